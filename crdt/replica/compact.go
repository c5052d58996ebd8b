package replica

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
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

// beginning is a document that begins with a base from a peer, until what follows proves it.
type beginning struct {
	doc   *Doc
	from  peer.ID
	base  crdt.Base
	core  *crdt.Doc
	shelf *shelf
	list  []block.Block // applied
	size  int           // of blocks, in memory
}

// begin reads a base from a peer, if there is any need of it. Who has the horizon needs nothing older;
// who has not cannot have anything that follows.
func (d *Doc) begin(ctx context.Context, from peer.ID, base crdt.Base) (*beginning, error) {
	has, err := d.Has(ctx, base.At)
	if err != nil || has {
		return nil, err
	}
	b := &beginning{doc: d, from: from, base: base, shelf: newShelf(d.replica.store)}
	if b.core, err = crdt.Begin(d.id, base, d.replica.author, b.shelf); err != nil {
		d.replica.o.Judge.Report(from, FaultInvalid)
	}
	return b, err
}

// take takes commits that follow the base. Once it is proven the document begins with it, and take
// returns how many commits follow it so far.
func (b *beginning) take(ctx context.Context, s wire.Section) (n int, err error) {
	b.shelf.keep(s.Blocks...)
	for _, c := range s.Blocks {
		b.size += c.Size() + wire.BlockSize
	}
	judge := b.doc.replica.o.Judge
	if b.size > wire.SectionSizeMax {
		judge.Report(b.from, FaultIncomplete)
		return 0, fmt.Errorf("base that %d bytes do not prove: %w", b.size, wire.ErrLimit)
	}
	report, err := b.core.Apply(s.Blocks, s.Heads)
	if err != nil {
		return 0, err
	}
	if len(report.Rejected) > 0 {
		judge.Report(b.from, FaultInvalid)
		return 0, report.Rejected[0].Err
	}
	b.list = append(b.list, report.Applied...)
	if !b.core.Proven() {
		return 0, nil
	}
	return len(b.list), b.doc.adopt(ctx, b)
}

// adopt makes the document begin with a base that is proven. What was here before is before the
// horizon, or outside of it.
func (d *Doc) adopt(ctx context.Context, b *beginning) error {
	if err := d.turn.take(ctx); err != nil {
		return err
	}
	defer d.turn.release()
	ctx = context.WithoutCancel(ctx) // who gives up must not leave half of it
	s, err := d.load(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	wanted := !s.core.Has(b.base.At) && b.core.Outranks(s.core)
	t := tip{first: s.tip.count, count: s.tip.count}
	d.mu.Unlock()
	if !wanted {
		return fmt.Errorf("begin %s anew: another horizon is in effect here: %w", d.id, crdt.ErrBeforeHorizon)
	}
	if err := d.write(ctx, s.tip.first, t, b); err != nil {
		return fmt.Errorf("begin %s anew: %w", d.id, err)
	}
	d.replica.log.Info("document begins with its horizon", "doc", d.id, "horizon", b.base.At, "before", s.tip.len(), "now", len(b.list))
	d.fail(s, nil, crdt.ErrBeforeHorizon)
	if _, err := d.load(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	for w := range d.watchers {
		w.put([]Delta{{}})
	}
	close(d.changed)
	d.changed = make(chan struct{})
	d.mu.Unlock()
	d.spawn(func() {
		if err := d.sweep(); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrUnknown) {
			d.replica.log.Warn("remove what is before the horizon", "doc", d.id, "err", err)
		}
	})
	return nil
}

// write writes a base and what follows it after the log, which begins there then.
func (d *Doc) write(ctx context.Context, from uint64, t tip, b *beginning) (err error) {
	store := &d.replica.store
	if t.heads, err = b.core.Heads(); err != nil {
		return err
	}
	if t.parts, err = store.keepBase(ctx, d.id, t.first, &b.base); err != nil {
		return err
	}
	batch, err := store.ds.Batch(ctx)
	if err != nil {
		return err
	}
	if batch, t, err = store.lay(ctx, batch, d.id, t, b.list); err != nil {
		return err
	}
	t.lost = t.count - t.first - uint64(b.core.Len())
	return store.cut(ctx, batch, d.id, from, t)
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
		d.spawn(func() {
			if err := d.sweep(); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrUnknown) {
				r.log.Warn("remove what is before the horizon", "doc", id, "err", err)
			}
		})
	}
	return err
}
