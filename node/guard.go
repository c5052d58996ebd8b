package node

import (
	"context"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
)

// guard is the store as everybody sees it. It lets garbage collection run
// beside readers and writers without stopping either.
//
// The race it closes: a collector decides that block B is garbage; a writer
// puts B, which costs nothing because B is held; the collector deletes B. So
// whoever reads or writes B while a collection runs first notes B under mu; the
// collector looks at the notes and deletes under the same mu. Whichever comes
// first, B is there at the end, or its reader learns that it is not.
//
// What was written before the collection began is protected by the lease of
// the call that wrote it; what is being read, by its root.
type guard struct {
	blockstore.Store

	mu     sync.Mutex
	leases map[*lease]struct{} // of running adds and imports
	roots  map[cid.Cid]int     // of running reads and pins, counted
	round  *round              // nil when no collection runs
}

// round is what happened since the running collection began.
type round struct {
	noted map[string]struct{} // multihashes read or put
	fresh []cid.Cid           // roots opened, not yet marked
}

// lease protects what one running call has written until it is released.
type lease struct {
	written map[string]struct{} // multihashes
}

func newGuard(s blockstore.Store) *guard {
	return &guard{Store: s, leases: make(map[*lease]struct{}), roots: make(map[cid.Cid]int)}
}

// Get reads a block, protected from a collection that is running now.
func (g *guard) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	g.mu.Lock()
	if g.round != nil {
		g.round.noted[string(c.Hash())] = struct{}{}
	}
	g.mu.Unlock()
	return g.Store.Get(ctx, c)
}

// Put stores blocks, protected from a collection that is running now.
func (g *guard) Put(ctx context.Context, blocks ...block.Block) error {
	return g.putLeased(ctx, nil, blocks)
}

// putLeased stores blocks, protected until l is released.
func (g *guard) putLeased(ctx context.Context, l *lease, blocks []block.Block) error {
	g.mu.Lock()
	for _, b := range blocks {
		key := string(b.Cid().Hash())
		if l != nil {
			l.written[key] = struct{}{}
		}
		if g.round != nil {
			g.round.noted[key] = struct{}{}
		}
	}
	g.mu.Unlock()
	return g.Store.Put(ctx, blocks...)
}

func (g *guard) lease() *lease {
	l := &lease{written: make(map[string]struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leases[l] = struct{}{}
	return l
}

// release ends a lease. A collection that runs now has marked before the pin
// that replaces the lease was there, so it keeps what was leased all the same.
func (g *guard) release(l *lease) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.leases, l)
	if g.round != nil {
		for key := range l.written {
			g.round.noted[key] = struct{}{}
		}
	}
}

// hold protects what can be reached from root in the store until drop.
func (g *guard) hold(root cid.Cid) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roots[root]++
	if g.round != nil {
		g.round.fresh = append(g.round.fresh, root)
	}
}

func (g *guard) drop(root cid.Cid) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roots[root]--; g.roots[root] <= 0 {
		delete(g.roots, root)
	}
}

// begin starts a collection and returns the roots that are held; ok is false
// when one runs already.
func (g *guard) begin() (held []cid.Cid, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.round != nil {
		return nil, false
	}
	g.round = &round{noted: make(map[string]struct{})}
	for c := range g.roots {
		held = append(held, c)
	}
	return held, true
}

func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.round = nil
}

// collect deletes those of cids that nobody uses, and returns them. If roots
// were opened meanwhile it deletes nothing and returns those instead: the
// caller marks them and comes again. Users of the store wait while it runs, so
// cids should be few.
func (g *guard) collect(ctx context.Context, cids []cid.Cid, dry bool) (garbage, fresh []cid.Cid, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if fresh := g.round.fresh; len(fresh) > 0 {
		g.round.fresh = nil
		return nil, fresh, nil
	}
	for _, c := range cids {
		if !g.inUse(string(c.Hash())) {
			garbage = append(garbage, c)
		}
	}
	if dry || len(garbage) == 0 {
		return garbage, nil, nil
	}
	return garbage, nil, g.Store.Delete(ctx, garbage...)
}

// inUse is called with mu held.
func (g *guard) inUse(key string) bool {
	if _, ok := g.round.noted[key]; ok {
		return true
	}
	for l := range g.leases {
		if _, ok := l.written[key]; ok {
			return true
		}
	}
	return false
}
