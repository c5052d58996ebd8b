package unixfs

import "github.com/p2pnode/p2pnode/block"

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
