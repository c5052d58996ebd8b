// Package skeleton walks a DAG in the one order that both sides of a transfer
// follow: breadth first, links as they stand, nothing twice.
//
// It is no fetcher and knows no bytes: whoever reads the blocks, from a store or
// from a peer, tells a Walk what the next one is, a node with links or a leaf. So a
// peer can send the nodes of a DAG without their names: the receiver's own Walk says
// which block must come next, and a block that does not hash to that name is a breach.
// When the walk is over both sides know the same leaves by the same numbers, and a
// few bytes name thousands of them.
//
// Invariant: two walks from the same root with the same stops, told the same, are the
// same. What a Walk holds is in proportion to the links it was told of, and bounded.
package skeleton

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Limits of a walk. A DAG beyond them is fetched in parts.
const (
	NodesMax  = 1 << 17
	LeavesMax = 1 << 18
	// SizeMax is how many bytes all nodes together may have.
	SizeMax = 256 << 20
)

// ErrTooLarge means a DAG beyond the limits of this package.
var ErrTooLarge = errors.New("DAG too large to walk at once")

// Walk is a walk under way. It is not safe for concurrent use.
type Walk struct {
	seen   map[string]struct{}
	queue  []cid.Cid // met and not visited yet, from head
	head   int
	leaves []cid.Cid
	nodes  int
	size   int
}

// New begins a walk at root. What is below the stops, and these themselves, are left
// out.
func New(root cid.Cid, stops ...cid.Cid) *Walk {
	w := &Walk{seen: make(map[string]struct{})}
	for _, c := range stops {
		w.seen[c.KeyString()] = struct{}{}
	}
	w.meet(root)
	return w
}

// meet queues c unless it was met before. An identity CID holds its block itself.
func (w *Walk) meet(c cid.Cid) {
	if c.Prefix().MhType == multihash.IDENTITY {
		return
	}
	if _, known := w.seen[c.KeyString()]; !known {
		w.seen[c.KeyString()] = struct{}{}
		w.queue = append(w.queue, c)
	}
}

// Next returns the block that Node or Leaf is to be told of; ok is false when the walk
// is over. Raw blocks are leaves without being told.
func (w *Walk) Next() (c cid.Cid, ok bool) {
	for w.head < len(w.queue) {
		if c = w.queue[w.head]; c.Type() != cid.Raw || len(w.leaves) == LeavesMax {
			return c, true
		}
		w.leave(c)
	}
	return cid.Undef, false
}

// leave takes the next block for a leaf.
func (w *Walk) leave(c cid.Cid) {
	w.leaves = append(w.leaves, c)
	w.pass()
}

func (w *Walk) pass() {
	w.queue[w.head] = cid.Undef
	if w.head++; w.head > len(w.queue)/2 && w.head > 1024 {
		w.queue = append([]cid.Cid(nil), w.queue[w.head:]...)
		w.head = 0
	}
}

// Node says that the next block has size bytes and these links.
func (w *Walk) Node(size int, links []cid.Cid) error {
	if _, ok := w.Next(); !ok {
		return errOver
	}
	w.nodes++
	w.size += size
	if w.nodes > NodesMax || w.size > SizeMax || len(w.leaves)+len(w.queue)-w.head+len(links) > NodesMax+LeavesMax {
		return fmt.Errorf("walk %d nodes of %d bytes: %w", w.nodes, w.size, ErrTooLarge)
	}
	w.pass()
	for _, c := range links {
		w.meet(c)
	}
	return nil
}

// Leaf says that the next block has no links, or none that matter.
func (w *Walk) Leaf() error {
	c, ok := w.Next()
	switch {
	case !ok:
		return errOver
	case len(w.leaves) == LeavesMax:
		return fmt.Errorf("walk %d leaves: %w", LeavesMax, ErrTooLarge)
	}
	w.leave(c)
	return nil
}

// errOver means that a walk is told of a block beyond its end.
var errOver = errors.New("walk: nothing comes next")

// Leaves returns those met so far, each at its number. The caller must not change them.
func (w *Walk) Leaves() []cid.Cid { return w.leaves }

// Nodes is how many nodes were visited, and Size how many bytes they have.
func (w *Walk) Nodes() int { return w.nodes }

// Size is how many bytes the visited nodes have.
func (w *Walk) Size() int { return w.size }
