package unixfs

import "github.com/p2pnode/p2pnode/block"

// Node is a UnixFS node for tests to make, lawful or not.
type Node struct {
	Type       uint64 // as in the message: 0 raw, 1 directory, 2 file, 3 metadata, 4 symlink, 5 HAMT
	Data       []byte
	Size       uint64
	NoSize     bool
	BlockSizes []uint64
	HashType   uint64
	Fanout     uint64
}

// Encode returns the node as a dag-pb block. The links keep their order.
func (n Node) Encode(links ...LinkRef) []byte {
	f := fsNode{
		typ: nodeType(n.Type), data: n.Data, size: n.Size, hasSize: !n.NoSize,
		blockSizes: n.BlockSizes, hashType: n.HashType, fanout: n.Fanout,
	}
	body := pbNode{data: f.encode()}
	out := []byte{}
	for _, l := range links {
		one := pbNode{links: []pbLink{{l.Name, l.Cid, l.Tsize}}}
		enc := one.encode()
		out = append(out, enc[:len(enc)-2]...) // without the empty data
	}
	return append(out, body.encode()...)
}

// DecodePB decodes a dag-pb block and encodes it again.
func DecodePB(b []byte) ([]byte, error) {
	n, err := decodePB(b)
	if err != nil {
		return nil, err
	}
	return n.encode(), nil
}

// DecodeFS decodes a UnixFS message and encodes it again.
func DecodeFS(b []byte) ([]byte, error) {
	n, err := decodeFS(b)
	if err != nil {
		return nil, err
	}
	return n.encode(), nil
}

// Grow makes sense of a block as an entry and as a HAMT node, and goes over its
// children, as the walk would.
func Grow(b block.Block) (children int, err error) {
	for _, k := range []kind{kindEntry, kindStat, kindShard, kindPart} {
		p := rootPlace(b.Cid(), k)
		p.width = 256
		g, e := growUnixFS(p, b)
		if err = e; err != nil {
			continue
		}
		for range g.links {
			if _, e := g.next(); e == nil {
				children++
			}
		}
	}
	return children, err
}

// Usage is what a Walker has in flight, arrived and behind markers.
func (w *Walker) Usage() (blocks int, bytes, held int64) {
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	return w.w.blocks, w.w.bytes, w.w.held
}
