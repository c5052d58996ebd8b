package replica

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

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
	d.show([]Delta{{}}) // look at everything
	d.mu.Unlock()
	d.sweepSoon()
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
