package unixfs

import (
	"math"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/shard"
)

// growUnixFS makes sense of a block of a file or directory, given its place. It
// holds no state: the walk calls it from many goroutines.
func growUnixFS(p place, b block.Block) (grown, error) {
	switch b.Cid().Type() {
	case cid.Raw:
		return growRaw(p, b)
	case cid.DagProtobuf:
	default:
		return grown{}, &CodecError{Cid: b.Cid()}
	}
	n, err := decodePB(b.RawData())
	if err != nil {
		return grown{}, malformed(b.Cid(), "%v", err)
	}
	f, err := decodeFS(n.data)
	if err != nil {
		return grown{}, malformed(b.Cid(), "%v", err)
	}
	g, err := growNode(p, b, &n, &f)
	if err != nil {
		return grown{}, err
	}
	g.link.Mode, g.link.ModTime = f.mode, f.modTime
	if g.link.Tsize == 0 {
		g.link.Tsize = n.tsize(b.Size())
	}
	if p.kind == kindStat {
		g.data, g.links, g.next = nil, 0, nil
	}
	return g, nil
}

func growNode(p place, b block.Block, n *pbNode, f *fsNode) (grown, error) {
	isEntry := p.kind == kindEntry || p.kind == kindStat
	switch {
	case f.typ == nodeFile || f.typ == nodeRaw:
		if p.kind == kindShard {
			return grown{}, malformed(b.Cid(), "a file where a HAMT node must be")
		}
		return growFile(p, b, n, f)
	case f.typ == nodeDir && isEntry:
		return growDir(p, b, n)
	case f.typ == nodeShard && (isEntry || p.kind == kindShard):
		return growShard(p, b, n, f)
	case f.typ == nodeSymlink && isEntry:
		if len(n.links) > 0 {
			return grown{}, malformed(b.Cid(), "a symlink with links")
		}
		g := grown{link: p.link, data: f.data}
		g.link.Type, g.link.Size = TypeSymlink, uint64(len(f.data))
		return g, nil
	default:
		return grown{}, malformed(b.Cid(), "UnixFS node of type %d in the wrong place", f.typ)
	}
}

func growRaw(p place, b block.Block) (grown, error) {
	size := uint64(b.Size())
	switch {
	case p.kind == kindShard:
		return grown{}, malformed(b.Cid(), "a raw block where a HAMT node must be")
	case p.kind == kindPart && size != p.size:
		return grown{}, malformed(b.Cid(), "leaf of %d bytes where %d are declared", size, p.size)
	}
	g := grown{link: p.link, data: cut(b.RawData(), p.from, p.to)}
	g.link.Type, g.link.Size, g.link.Tsize = TypeFile, size, size
	if p.kind == kindStat {
		g.data = nil
	}
	return g, nil
}

// cut returns the bytes of data from one offset to another, as far as it has them.
func cut(data []byte, from, to uint64) []byte {
	to = min(to, uint64(len(data)))
	return data[min(from, to):to]
}

// growFile checks that all sizes of a file node agree, and goes on to the
// children that hold the wanted range.
func growFile(p place, b block.Block, n *pbNode, f *fsNode) (grown, error) {
	if len(n.links) != len(f.blockSizes) {
		return grown{}, malformed(b.Cid(), "file node of %d links with %d sizes", len(n.links), len(f.blockSizes))
	}
	if p.depth >= FileDepthMax && len(n.links) > 0 {
		return grown{}, malformed(b.Cid(), "file of more than %d levels", FileDepthMax)
	}
	total := uint64(len(f.data))
	for _, s := range f.blockSizes {
		if s > FileSizeMax || total+s > FileSizeMax {
			return grown{}, malformed(b.Cid(), "file too large")
		}
		total += s
	}
	if f.hasSize && f.size != total {
		return grown{}, malformed(b.Cid(), "file node declares %d bytes and has %d", f.size, total)
	}
	if p.kind == kindPart && p.size != total {
		return grown{}, malformed(b.Cid(), "node of %d bytes where %d are declared", total, p.size)
	}
	g := grown{link: p.link, data: cut(f.data, p.from, p.to), kind: kindPart}
	g.link.Type, g.link.Size = TypeFile, total
	parts := fileParts{p: p, links: n.links, sizes: f.blockSizes, start: uint64(len(f.data))}
	if g.links = parts.trim(); g.links > 0 {
		g.next = parts.next
	}
	return g, nil
}

// fileParts gives the children of a file node that hold a range.
type fileParts struct {
	p     place // of the node
	links []pbLink
	sizes []uint64
	start uint64 // where the next child begins, counted from the start of the node
}

// trim leaves out children at both ends and returns how many remain. Those of
// no bytes hold nothing of any range; left in, they could multiply for free.
func (c *fileParts) trim() int {
	for len(c.links) > 0 && c.start+c.sizes[0] <= c.p.from {
		c.start += c.sizes[0]
		c.links, c.sizes = c.links[1:], c.sizes[1:]
	}
	end, count := c.start, 0
	for i, s := range c.sizes {
		if end >= c.p.to {
			c.links, c.sizes = c.links[:i], c.sizes[:i]
			break
		}
		if s > 0 {
			count++
		}
		end += s
	}
	return count
}

func (c *fileParts) next() (place, error) {
	for c.sizes[0] == 0 {
		c.links, c.sizes = c.links[1:], c.sizes[1:]
	}
	l, size := c.links[0], c.sizes[0]
	p := place{
		cid: l.cid, kind: kindPart, path: c.p.path, depth: c.p.depth + 1, size: size,
		from: c.p.from - min(c.p.from, c.start), to: c.p.to - c.start,
		link: Link{Tsize: l.tsize},
	}
	if c.p.kind != kindPart {
		p.depth = 1
	}
	if c.p.to == math.MaxUint64 {
		p.to = math.MaxUint64
	}
	c.start += size
	c.links, c.sizes = c.links[1:], c.sizes[1:]
	return p, nil
}

// growDir goes on to the entries of a plain directory.
func growDir(p place, b block.Block, n *pbNode) (grown, error) {
	if p.depth >= DirDepthMax {
		return grown{}, malformed(b.Cid(), "more than %d directories inside each other", DirDepthMax)
	}
	g := grown{link: p.link, links: len(n.links), kind: kindEntry}
	g.link.Type = TypeDir
	links, seen, last := n.links, map[string]bool(nil), ""
	if !slices.IsSortedFunc(links, func(a, b pbLink) int { return strings.Compare(a.name, b.name) }) {
		seen = make(map[string]bool, len(links))
	}
	first := true
	g.next = func() (place, error) {
		l := links[0]
		links = links[1:]
		twice := !first && l.name == last
		if seen != nil {
			twice = seen[l.name]
			seen[l.name] = true
		}
		first, last = false, l.name
		child, err := entryPlace(p, b.Cid(), l, l.name)
		if err == nil && twice {
			err = malformed(b.Cid(), "two entries of the name %q", l.name)
		}
		return child, err
	}
	return g, nil
}

// entryPlace is the place of an entry of the directory that p is, or is part of.
func entryPlace(p place, dir cid.Cid, l pbLink, name string) (place, error) {
	child := place{
		cid: l.cid, kind: kindEntry, path: name, depth: p.depth + 1, to: math.MaxUint64,
		link: Link{Name: name, Cid: l.cid, Tsize: l.tsize},
	}
	if what := badName(name); what != "" {
		return child, malformed(dir, "entry %q: %s", name, what)
	}
	if child.path = join(p.path, name); len(child.path) > PathSizeMax {
		return child, malformed(dir, "entry %.64q…: path of more than %d bytes", name, PathSizeMax)
	}
	return child, nil
}

// growShard checks that a HAMT node is consistent in itself and with its place,
// and goes on to its entries and to the nodes below.
func growShard(p place, b block.Block, n *pbNode, f *fsNode) (grown, error) {
	c := b.Cid()
	if f.hashType != shard.HashCode {
		return grown{}, malformed(c, "HAMT with hash function 0x%x", f.hashType)
	}
	w, err := shard.NewWidth(f.fanout)
	if err != nil {
		return grown{}, malformed(c, "HAMT: %v (%d)", err, f.fanout)
	}
	if p.kind == kindShard && w.Fanout != p.width {
		return grown{}, malformed(c, "HAMT node of fanout %d below one of %d", w.Fanout, p.width)
	}
	if p.kind != kindShard && p.depth >= DirDepthMax {
		return grown{}, malformed(c, "more than %d directories inside each other", DirDepthMax)
	}
	slots, err := w.Slots(f.data, len(n.links))
	if err != nil {
		return grown{}, malformed(c, "HAMT: %v", err)
	}
	g := grown{link: p.link, links: len(slots), kind: kindEntry}
	g.link.Type = TypeDir
	s := shardParts{p: p, cid: c, w: w, links: n.links, slots: slots}
	g.next = s.next
	return g, nil
}

// shardParts gives the children of a HAMT node.
type shardParts struct {
	p     place // of the node
	cid   cid.Cid
	w     shard.Width
	links []pbLink
	slots []int
}

func (s *shardParts) next() (place, error) {
	l, slot := s.links[0], s.slots[0]
	s.links, s.slots = s.links[1:], s.slots[1:]
	name, err := s.w.Cut(l.name, slot)
	if err != nil {
		return place{cid: l.cid, kind: kindEntry, link: Link{Name: l.name, Cid: l.cid, Tsize: l.tsize}},
			malformed(s.cid, "HAMT link %q: %v", l.name, err)
	}
	hash := s.w.Extend(s.p.hash, slot) // 0 at the root, whose level is 0 too
	if name != "" {
		child, err := entryPlace(s.p, s.cid, l, name)
		if err == nil && s.w.Share(shard.Hash(name), s.p.level+1) != hash {
			err = malformed(s.cid, "HAMT entry %q in the wrong slot", name)
		}
		return child, err
	}
	child := place{
		cid: l.cid, kind: kindShard, path: s.p.path, depth: s.p.depth,
		link: Link{Cid: l.cid, Tsize: l.tsize}, hash: hash, level: s.p.level + 1, width: s.w.Fanout,
	}
	if child.level >= s.w.Depth() {
		return child, malformed(s.cid, "HAMT: %v", shard.ErrDepth)
	}
	return child, nil
}
