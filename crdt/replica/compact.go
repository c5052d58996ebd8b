package replica

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// horizonMin is how many commits there must be after a horizon for another one to be named: each is
// two commits, and a base to be computed on every replica.
const horizonMin = 16

// Compaction is how far the history of a document is forgotten here.
type Compaction struct {
	// Horizon is the commit before which nothing is kept here; the zero ID if all is.
	Horizon commit.ID
	// Forgotten is how many commits were here before and are no more, the horizon included.
	Forgotten int
	// Pending is the next horizon, that was named and is not in effect yet; the zero ID if there is none.
	Pending commit.ID
	// Awaited have to commit before that can be, by author.
	Awaited []commit.Author
}

// Compact forgets the history before the horizon, from memory and disk. Who manages the document
// since its first commit names a horizon by it, if none is pending and 16 commits have come since the
// last; and who may write agrees to the one that is pending by a commit without edits. So where
// everybody has called it, the history is forgotten. Others keep theirs until they call it.
//
// The document is locked for as long as applying all its commits takes. Once Compact has cut the log,
// in one transaction, the rest of it is removed in parts. If ctx ends before, that goes on; if the
// replica is closed, or the process dies, it goes on when the replica is opened again.
func (d *Doc) Compact(ctx context.Context) (Compaction, error) {
	c, err := d.compact(ctx)
	if err != nil {
		return c, err
	}
	swept := make(chan error, 1)
	if !d.spawn(func() { swept <- d.sweep() }) {
		return c, fmt.Errorf("compact %s: %w", d.id, ErrClosed)
	}
	select {
	case err = <-swept:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return c, fmt.Errorf("compact %s: %w", d.id, err)
	}
	return c, nil
}

func (d *Doc) compact(ctx context.Context) (c Compaction, err error) {
	if err := d.turn.take(ctx); err != nil {
		return c, fmt.Errorf("compact %s: %w", d.id, err)
	}
	defer d.turn.release()
	change := change{compact: true}
	if err := d.step(&change); err != nil {
		return c, fmt.Errorf("compact %s: %w", d.id, err)
	}
	s, err := d.load(context.Background()) // it is there
	if err != nil {
		return c, fmt.Errorf("compact %s: %w", d.id, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c.Forgotten = change.forgotten
	if origin, err := s.core.Origin(); err == nil {
		c.Horizon = origin.At
	}
	c.Pending, c.Awaited, _ = s.core.Pending()
	return c, nil
}

// retire makes the commits by which a horizon comes into effect, or is named.
func (c *change) retire(s *state, key ed25519.PrivateKey, now uint64) error {
	core := s.core
	b, _, err := core.Agree(key, now)
	if err != nil {
		return err
	}
	if b.Size() > 0 {
		c.keep(s, b)
	}
	if _, _, pending := core.Pending(); pending || core.Recent() < horizonMin {
		return nil
	}
	blocks, _, err := core.Retire(key, now)
	for _, b := range blocks {
		c.keep(s, b)
	}
	if errors.Is(err, crdt.ErrRole) {
		return nil // it is for others to do
	}
	return err
}

// forget makes the document in memory begin with the horizon, if it does not yet.
func (c *change) forget(s *state) error {
	before, _ := s.core.Origin() // or there is none
	gone, err := s.core.Compact()
	if err != nil || !s.core.Compacted() {
		return err
	}
	base, err := s.core.Origin()
	if err == nil && base.At != before.At {
		c.base, c.forgotten = &base, len(gone)
	}
	return err
}

// cut makes the log on disk begin after a base, which the document in memory begins with already. The
// turn is the caller's.
func (d *Doc) cut(ctx context.Context, s *state, base *crdt.Base) (tip, error) {
	store, t := &d.replica.store, s.tip
	_, n, err := store.find(ctx, base.At)
	if err != nil {
		return t, err
	}
	unmarked := t.size - t.marked
	t.first, t.lost, t.size = n+1, 0, 0
	var outside []outsider
	err = store.walk(ctx, d.id, t.first, t.count, func(n uint64, b block.Block) error {
		id, ok := commit.IDOf(b.Cid())
		d.mu.Lock()
		has := ok && s.core.Has(id)
		d.mu.Unlock()
		switch {
		case has:
			t.size += uint64(b.Size())
		case ok:
			outside = append(outside, outsider{n, id})
			fallthrough
		default:
			t.lost++
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	t.marked = t.size - min(t.size, unmarked)
	slices.Reverse(outside)
	if err := store.empty(ctx, d.id, outside); err != nil {
		return t, err
	}
	if t.parts, err = store.keepBase(ctx, d.id, t.first, base); err != nil {
		return t, err
	}
	b, err := store.ds.Batch(ctx)
	if err == nil {
		err = store.cut(ctx, b, d.id, s.tip.first, t)
	}
	if err != nil {
		return t, err
	}
	d.mu.Lock()
	s.tip, s.saved = t, saved{}
	d.note(s)
	d.mu.Unlock()
	return t, nil
}

// spawn starts what Close and Forget wait for, unless either was called.
func (d *Doc) spawn(f func()) bool {
	d.replica.mu.Lock()
	if d.forgotten() {
		d.replica.mu.Unlock()
		return false
	}
	d.running.Add(1)
	d.replica.mu.Unlock()
	if !d.replica.spawn(func() { defer d.running.Done(); f() }) {
		d.running.Done()
		return false
	}
	return true
}

// sweepSoon has what is left of an older log removed.
func (d *Doc) sweepSoon() {
	d.spawn(func() {
		if err := d.sweep(); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrUnknown) {
			d.replica.log.Warn("remove what is before the horizon", "doc", d.id, "err", err)
		}
	})
}

// sweep removes what is on disk of a log from before it was cut, unless the replica is closed, or the
// document forgotten, before.
func (d *Doc) sweep() error {
	ctx, store := context.Background(), &d.replica.store // each part is short
	for {
		n, cut, err := store.pendingCut(ctx, d.id)
		if err != nil || !cut {
			return err
		}
		t, err := store.tip(ctx, d.id)
		if err != nil {
			return err
		}
		for n < t.first {
			select {
			case <-d.replica.closed:
				return ErrClosed
			case <-d.gone:
				return ErrUnknown
			default:
			}
			until := min(t.first, (n>>pageBits+1)<<pageBits)
			if err := store.removeBefore(ctx, d.id, n, until); err != nil {
				return err
			}
			n = until
		}
		if err := store.removeOld(ctx, d.id, t); err != nil {
			return err
		}
		if done, err := d.swept(ctx, t.first); done || err != nil {
			return err
		}
	}
}

// swept notes that nothing is left of a log before its commit first, unless it was cut again.
func (d *Doc) swept(ctx context.Context, first uint64) (done bool, err error) {
	d.turn <- struct{}{} // whoever has it gives it back soon
	defer d.turn.release()
	if d.forgotten() {
		return false, ErrUnknown
	}
	t, err := d.replica.store.tip(ctx, d.id)
	if err != nil || t.first != first {
		return false, err
	}
	return true, d.replica.store.ds.Delete(ctx, key(cutsPrefix, d.id.String()))
}

// resumeCuts goes on with what was being removed when the replica was closed.
func (r *Replica) resumeCuts(ctx context.Context) error {
	ids, err := r.store.pendingCuts(ctx)
	for _, id := range ids {
		d := r.docs[id]
		if d == nil {
			continue // it is being forgotten
		}
		d.sweepSoon()
	}
	return err
}
