package unixfs

import (
	"math"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
	"github.com/p2pnode/p2pnode/unixfs/shard"
)

// growUnixFS makes sense of a block of a file or directory, given its place. It
// holds no state: the walk calls it from many goroutines.
func growUnixFS(p place, b block.Block) (grown, error) {
	if b.Cid().Type() == cid.Raw {
		return growRaw(p, b)
	}
	n, err := codec.Decode(b)
	if err != nil {
		return grown{}, err
	}
	g, err := growNode(p, b, &n)
	if err != nil {
		return grown{}, err
	}
	g.link.Mode, g.link.ModTime = n.Mode, n.ModTime
	if g.link.Tsize == 0 {
		g.link.Tsize = n.Tsize(b.Size())
	}
	if p.kind == kindStat {
		g.data, g.links, g.next = nil, 0, nil
	}
	return g, nil
}

func growNode(p place, b block.Block, n *codec.Node) (grown, error) {
	isEntry := p.kind == kindEntry || p.kind == kindStat
	switch {
	case n.Type == codec.TypeFile || n.Type == codec.TypeRaw:
		if p.kind == kindShard {
			return grown{}, malformed(b.Cid(), "a file where a HAMT node must be")
		}
		return growFile(p, b, n)
	case n.Type == codec.TypeDir && isEntry:
		return growDir(p, b, n)
	case n.Type == codec.TypeShard && (isEntry || p.kind == kindShard):
		return growShard(p, b, n)
	case n.Type == codec.TypeSymlink && isEntry:
		if len(n.Links) > 0 {
			return grown{}, malformed(b.Cid(), "a symlink with links")
		}
		g := grown{link: p.link, data: n.Data}
		g.link.Type, g.link.Size = TypeSymlink, uint64(len(n.Data))
		return g, nil
	default:
		return grown{}, malformed(b.Cid(), "UnixFS node of type %d in the wrong place", n.Type)
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
func growFile(p place, b block.Block, n *codec.Node) (grown, error) {
	if len(n.Links) != len(n.BlockSizes) {
		return grown{}, malformed(b.Cid(), "file node of %d links with %d sizes", len(n.Links), len(n.BlockSizes))
	}
	if p.depth >= FileDepthMax && len(n.Links) > 0 {
		return grown{}, malformed(b.Cid(), "file of more than %d levels", FileDepthMax)
	}
	total := uint64(len(n.Data))
	for _, s := range n.BlockSizes {
		if s > codec.SizeMax || total+s > codec.SizeMax {
			return grown{}, malformed(b.Cid(), "file too large")
		}
		total += s
	}
	if n.HasSize && n.Size != total {
		return grown{}, malformed(b.Cid(), "file node declares %d bytes and has %d", n.Size, total)
	}
	if p.kind == kindPart && p.size != total {
		return grown{}, malformed(b.Cid(), "node of %d bytes where %d are declared", total, p.size)
	}
	g := grown{link: p.link, data: cut(n.Data, p.from, p.to), kind: kindPart}
	g.link.Type, g.link.Size = TypeFile, total
	parts := fileParts{p: p, links: n.Links, sizes: n.BlockSizes, start: uint64(len(n.Data))}
	if g.links = parts.trim(); g.links > 0 {
		g.next = parts.next
	}
	return g, nil
}

// fileParts gives the children of a file node that hold a range.
type fileParts struct {
	p     place // of the node
	links []codec.Link
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
		cid: l.Cid, kind: kindPart, path: c.p.path, depth: c.p.depth + 1, size: size,
		from: c.p.from - min(c.p.from, c.start), to: c.p.to - c.start,
		link: Link{Tsize: l.Tsize},
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
func growDir(p place, b block.Block, n *codec.Node) (grown, error) {
	if p.depth >= DirDepthMax {
		return grown{}, malformed(b.Cid(), "more than %d directories inside each other", DirDepthMax)
	}
	g := grown{link: p.link, links: len(n.Links), kind: kindEntry}
	g.link.Type = TypeDir
	links, seen, last := n.Links, map[string]bool(nil), ""
	if !slices.IsSortedFunc(links, func(a, b codec.Link) int { return strings.Compare(a.Name, b.Name) }) {
		seen = make(map[string]bool, len(links))
	}
	first := true
	g.next = func() (place, error) {
		l := links[0]
		links = links[1:]
		twice := !first && l.Name == last
		if seen != nil {
			twice = seen[l.Name]
			seen[l.Name] = true
		}
		first, last = false, l.Name
		child, err := entryPlace(p, b.Cid(), l, l.Name)
		if err == nil && twice {
			err = malformed(b.Cid(), "two entries of the name %q", l.Name)
		}
		return child, err
	}
	return g, nil
}

// entryPlace is the place of an entry of the directory that p is, or is part of.
func entryPlace(p place, dir cid.Cid, l codec.Link, name string) (place, error) {
	child := place{
		cid: l.Cid, kind: kindEntry, path: name, depth: p.depth + 1, to: math.MaxUint64,
		link: Link{Name: name, Cid: l.Cid, Tsize: l.Tsize},
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
func growShard(p place, b block.Block, n *codec.Node) (grown, error) {
	c := b.Cid()
	if n.HashType != shard.HashCode {
		return grown{}, malformed(c, "HAMT with hash function 0x%x", n.HashType)
	}
	w, err := shard.NewWidth(n.Fanout)
	if err != nil {
		return grown{}, malformed(c, "HAMT: %v (%d)", err, n.Fanout)
	}
	if p.kind == kindShard && w.Fanout != p.width {
		return grown{}, malformed(c, "HAMT node of fanout %d below one of %d", w.Fanout, p.width)
	}
	if p.kind != kindShard && p.depth >= DirDepthMax {
		return grown{}, malformed(c, "more than %d directories inside each other", DirDepthMax)
	}
	slots, err := w.Slots(n.Data, len(n.Links))
	if err != nil {
		return grown{}, malformed(c, "HAMT: %v", err)
	}
	g := grown{link: p.link, links: len(slots), kind: kindEntry}
	g.link.Type = TypeDir
	s := shardParts{p: p, cid: c, w: w, links: n.Links, slots: slots}
	g.next = s.next
	return g, nil
}

// shardParts gives the children of a HAMT node.
type shardParts struct {
	p     place // of the node
	cid   cid.Cid
	w     shard.Width
	links []codec.Link
	slots []int
}

func (s *shardParts) next() (place, error) {
	l, slot := s.links[0], s.slots[0]
	s.links, s.slots = s.links[1:], s.slots[1:]
	name, err := s.w.Cut(l.Name, slot)
	if err != nil {
		return place{cid: l.Cid, kind: kindEntry, link: Link{Name: l.Name, Cid: l.Cid, Tsize: l.Tsize}},
			malformed(s.cid, "HAMT link %q: %v", l.Name, err)
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
		cid: l.Cid, kind: kindShard, path: s.p.path, depth: s.p.depth,
		link: Link{Cid: l.Cid, Tsize: l.Tsize}, hash: hash, level: s.p.level + 1, width: s.w.Fanout,
	}
	if child.level >= s.w.Depth() {
		return child, malformed(s.cid, "HAMT: %v", shard.ErrDepth)
	}
	return child, nil
}
