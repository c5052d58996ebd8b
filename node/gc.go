package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// sweepBatch is how many blocks are judged and deleted while users of the
// store wait.
const sweepBatch = 64

// ErrCollecting means that a collection runs already.
var ErrCollecting = errors.New("garbage collection is already running")

// GCOptions says how to collect.
type GCOptions struct {
	// DryRun counts garbage and deletes nothing.
	DryRun bool
}

// GCResult counts what a collection found.
type GCResult struct {
	Kept    int   `json:"kept"`    // blocks
	Removed int   `json:"removed"` // blocks; with DryRun those that would be
	Freed   int64 `json:"freed"`   // bytes in removed blocks
}

// GC removes the blocks that no pin reaches and no running call uses. Reads and
// adds go on meanwhile. It removes nothing at all when it cannot prove the set
// of pins complete (ErrPinsDamaged) or cannot read an inner block of a pinned
// DAG, because then it does not know what is garbage.
func (n *Node) GC(ctx context.Context, o GCOptions) (GCResult, error) {
	held, ok := n.store.begin()
	if !ok {
		return GCResult{}, ErrCollecting
	}
	defer n.store.end()
	if err := n.flush(ctx); err != nil {
		return GCResult{}, fmt.Errorf("collect garbage: %w", err)
	}
	marked := make(marks)
	list, err := n.pins.list(ctx)
	if err != nil {
		return GCResult{}, fmt.Errorf("collect garbage: %w", err)
	}
	for _, p := range list {
		if err := marked.whole(ctx, n.store.Store, p.Cid); err != nil {
			return GCResult{}, fmt.Errorf("collect garbage: pin %s is not complete: %w", p.Cid, err)
		}
	}
	if err := marked.held(ctx, n.store.Store, held); err != nil {
		return GCResult{}, fmt.Errorf("collect garbage: %w", err)
	}
	res, err := n.sweep(ctx, marked, o.DryRun)
	if err != nil {
		return res, fmt.Errorf("collect garbage: %w", err)
	}
	if n.disk != nil && !o.DryRun {
		if _, err := n.disk.Compact(ctx); err != nil {
			return res, fmt.Errorf("collect garbage: compact: %w", err)
		}
	}
	return res, nil
}

// sweep deletes what is not marked, a few blocks at a time.
func (n *Node) sweep(ctx context.Context, marked marks, dry bool) (GCResult, error) {
	var (
		res   GCResult
		batch []cid.Cid
	)
	flush := func() error {
		for len(batch) > 0 {
			sizes := make(map[cid.Cid]int, len(batch))
			kept := batch[:0]
			for _, c := range batch {
				if marked.has(c) { // marked since it was put in the batch
					res.Kept++
					continue
				}
				kept = append(kept, c)
				sizes[c], _ = n.store.Size(ctx, c) // only counts
			}
			garbage, fresh, err := n.store.collect(ctx, kept, dry)
			if err != nil {
				return err
			}
			if len(fresh) > 0 {
				if err := marked.held(ctx, n.store.Store, fresh); err != nil {
					return err
				}
				batch = kept
				continue
			}
			for _, c := range garbage {
				res.Freed += int64(sizes[c])
			}
			res.Removed += len(garbage)
			res.Kept += len(kept) - len(garbage)
			batch = batch[:0]
		}
		return nil
	}
	for c, err := range n.store.All(ctx) {
		if err != nil {
			return res, err
		}
		if marked.has(c) {
			res.Kept++
			continue
		}
		if batch = append(batch, c); len(batch) >= sweepBatch {
			if err := flush(); err != nil {
				return res, err
			}
		}
	}
	return res, flush()
}

// marks holds the multihashes of the blocks to keep. Sixteen bytes of a digest
// name it well enough: a collision keeps a block too many.
type marks map[[16]byte]struct{}

func markOf(c cid.Cid) (m [16]byte) {
	h := c.Hash()
	copy(m[:], h[max(0, len(h)-len(m)):])
	return m
}

func (m marks) has(c cid.Cid) bool {
	_, ok := m[markOf(c)]
	return ok
}

// whole marks the DAG below root and fails on an inner block that cannot be
// read. Raw leaves are marked unread.
func (m marks) whole(ctx context.Context, g block.Getter, root cid.Cid) error {
	return m.walk(ctx, g, root, false)
}

// held marks what is there of the DAGs below roots.
func (m marks) held(ctx context.Context, g block.Getter, roots []cid.Cid) error {
	for _, c := range roots {
		if err := m.walk(ctx, g, c, true); err != nil {
			return err
		}
	}
	return nil
}

// walk visits inner blocks depth first with a stack of its own: the depth of a
// DAG is a stranger's choice. A block that an earlier partial walk has marked
// has had its children marked too, as far as they were there; pins are walked
// first.
func (m marks) walk(ctx context.Context, g block.Getter, root cid.Cid, partial bool) error {
	stack := []cid.Cid{root}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if m.has(c) && !(partial && c == root) {
			continue
		}
		m[markOf(c)] = struct{}{}
		if c.Prefix().Codec == cid.Raw {
			continue
		}
		b, err := g.Get(ctx, c)
		if errors.Is(err, block.ErrNotFound) && partial {
			continue
		}
		if err != nil {
			return err
		}
		links, err := codec.Links(b)
		if err != nil {
			return err
		}
		for _, l := range links {
			stack = append(stack, l.Cid)
		}
	}
	return nil
}
