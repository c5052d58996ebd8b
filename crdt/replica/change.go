package replica

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Update makes the edits that f makes, all or none. It returns when the commit that they are
// part of is on disk, with its ID; the zero ID if there were no edits. Edits by several Updates
// may become one commit. If ctx ends before, the edits may have been made all the same. f is
// called while the document is locked, and again if its edits must go into another commit.
func (d *Doc) Update(ctx context.Context, f func(*crdt.Tx) error) (commit.ID, error) {
	for {
		g, err := d.edit(ctx, f)
		if errors.Is(err, crdt.ErrHeads) {
			if err := d.merge(ctx); err != nil {
				return commit.ID{}, err
			}
			continue
		}
		if err != nil && (g == nil || !errors.Is(err, crdt.ErrFull)) {
			return commit.ID{}, err
		}
		if g == nil {
			return commit.ID{}, nil
		}
		select {
		case <-g.done:
		case <-ctx.Done():
			return commit.ID{}, fmt.Errorf("edit %s: %w", d.id, ctx.Err())
		}
		if err == nil {
			return g.id, g.err
		}
	}
}

// edit makes edits, and returns the group that they belong to; or, with an error, the one that
// may be in the way.
func (d *Doc) edit(ctx context.Context, f func(*crdt.Tx) error) (*group, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if err := s.core.Update(f); err != nil {
		return s.group, err
	}
	if s.group != nil {
		return s.group, nil // it goes with what was edited before
	}
	if _, err := s.core.Heads(); err == nil {
		return nil, nil // nothing was edited
	}
	g := &group{done: make(chan struct{})}
	if !d.replica.spawn(func() { d.seal(g) }) {
		d.state = nil
		d.weigh(0)
		return nil, fmt.Errorf("edit %s: %w", d.id, ErrClosed)
	}
	s.group = g
	return g, nil
}

// seal makes a commit of a group in a while, if nobody has before.
func (d *Doc) seal(g *group) {
	if w := d.replica.o.Window; w > 0 {
		timer := time.NewTimer(w)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-d.replica.closed:
		case <-g.done:
			return
		}
	}
	d.turn <- struct{}{} // whoever has it gives it back soon
	defer d.turn.release()
	select {
	case <-g.done:
		return
	default:
	}
	if err := d.step(new(change)); err != nil {
		d.replica.log.Error("write edits", "doc", d.id, "err", err)
	}
}

// merge makes commits without edits until an edit can follow all heads.
func (d *Doc) merge(ctx context.Context) error {
	if err := d.turn.take(ctx); err != nil {
		return fmt.Errorf("merge heads of %s: %w", d.id, err)
	}
	defer d.turn.release()
	c := change{merge: true}
	return d.step(&c)
}

// receive takes what a peer has sent. before tells whether some of it is before a horizon, which is
// no fault: whoever sends it cannot know that yet.
func (d *Doc) receive(ctx context.Context, from peer.ID, blocks []block.Block, heads []crdt.Head) (report crdt.Report, before bool, err error) {
	if err := d.turn.take(ctx); err != nil {
		return report, false, err
	}
	defer d.turn.release()
	c := change{blocks: blocks, signed: heads}
	err = d.step(&c)
	report = c.report
	report.Rejected = slices.DeleteFunc(slices.Clone(report.Rejected), func(x crdt.Rejection) bool { return errors.Is(x.Err, crdt.ErrBeforeHorizon) })
	before = len(report.Rejected) < len(c.report.Rejected)
	r := d.replica
	for _, id := range report.Outside {
		r.log.Warn("commit is outside of the horizon of the document", "doc", d.id, "commit", id)
	}
	for _, x := range report.Rejected {
		r.counts.rejected.Add(1)
		r.log.Info("commit rejected", "doc", d.id, "peer", from, "err", x.Err)
	}
	if len(report.Rejected) > 0 {
		r.o.Judge.Report(from, FaultInvalid)
	}
	d.forks(report.Forks)
	return report, before, err
}

// forks notes that authors have two histories. It is the author's doing, and not that of who passes
// them on: whoever has both sees it.
func (d *Doc) forks(list []crdt.Fork) {
	r := d.replica
	for _, f := range list {
		r.counts.forks.Add(1)
		if f.Author == r.author {
			r.log.Error("this node's key has been used twice: was an old backup restored?", "doc", d.id, "commit", f.ID1, "other", f.ID2)
			continue
		}
		r.log.Warn("author has two histories", "doc", d.id, "author", f.Author, "commit", f.ID1, "other", f.ID2)
		if p, err := peerOf(f.Author); err == nil {
			r.o.Judge.Report(p, FaultForked)
		}
	}
}

// step seals the edits that there are, applies commits, and writes both to disk at once: then
// the edits are acknowledged. The turn is the caller's. If it fails, the state is computed from
// disk again when it is needed.
func (d *Doc) step(c *change) error {
	ctx := context.Background() // who gives up must not leave half of it
	s, err := d.load(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	c.group, s.group = s.group, nil
	err = c.apply(s, d.replica.o.Key)
	all := c.all()
	if err == nil && c.compact {
		err = c.forget(s)
	}
	clear(s.shelf.fresh)
	if err == nil && (c.base != nil || s.saved.long(s.tip.size+sizeOf(all))) {
		c.snapshot, err = s.core.Snapshot() // before others make edits
	}
	d.mu.Unlock()
	t := s.tip
	t.lost += uint64(len(c.report.Outside))
	if err == nil && len(all) > 0 {
		t, err = d.replica.store.append(ctx, d.id, t, all, c.heads)
	}
	if err != nil {
		d.fail(s, c.group, err)
		return err
	}
	d.done(ctx, s, t, c)
	if c.base != nil {
		if t, err = d.cut(ctx, s, c.base); err != nil {
			d.fail(s, nil, err)
			return err
		}
	}
	if c.snapshot != nil {
		d.keep(ctx, s, t, c.snapshot)
	}
	return nil
}

// change is what a step does.
type change struct {
	blocks []block.Block // of others
	signed []crdt.Head
	merge  bool // whether heads must become fewer
	// compact forgets what is before the horizon, which is base then, or nil if there is nothing.
	compact   bool
	base      *crdt.Base
	forgotten int // commits
	// inverse makes edits, or is nil. That it cannot, refused tells; else id is their commit.
	inverse func(*crdt.Doc) error
	refused error
	id      commit.ID

	group  *group        // edits that are sealed, or nil
	own    []block.Block // what was committed here
	report crdt.Report
	heads  []crdt.Head // in the end
	// snapshot is the state in the end, or nil if it need not be written.
	snapshot []byte
}

// keep notes a commit that was made here.
func (c *change) keep(s *state, b block.Block) {
	c.own = append(c.own, b)
	s.shelf.keep(b)
}

// apply makes the change in memory.
func (c *change) apply(s *state, key ed25519.PrivateKey) (err error) {
	core, now := s.core, uint64(time.Now().UnixMilli())
	c.merge = c.merge || c.compact && core.Role(commit.AuthorOf(key)) >= commit.Write
	if c.group != nil {
		b, head, err := core.Seal(key, now)
		if err != nil {
			return err
		}
		c.keep(s, b)
		c.group.id = head.ID
	}
	if len(c.blocks)+len(c.signed) > 0 {
		if c.report, err = core.Apply(c.blocks, c.signed); err != nil {
			return err
		}
		s.shelf.keep(c.report.Applied...)
	}
	for c.merge {
		b, _, err := core.Merge(key, now)
		if err != nil {
			return err
		}
		if b.Size() == 0 {
			break
		}
		c.keep(s, b)
	}
	if c.inverse != nil {
		if c.refused = c.inverse(core); c.refused == nil {
			b, head, err := core.Seal(key, now)
			if err != nil {
				return err
			}
			c.keep(s, b)
			c.id = head.ID
		}
	}
	if c.compact {
		if err := c.retire(s, key, now); err != nil {
			return err
		}
	}
	c.heads, err = core.Heads()
	return err
}

// all are the commits that were not here before, in the order of their making.
func (c *change) all() []block.Block {
	return append(c.own[:len(c.own):len(c.own)], c.report.Applied...)
}

// fail forgets a state that is not what is on disk.
func (d *Doc) fail(s *state, g *group, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range []*group{g, s.group} {
		if g != nil {
			g.err = fmt.Errorf("write edits of %s: %w", d.id, err)
			close(g.done)
		}
	}
	d.state = nil
	d.weigh(0)
}

// done acknowledges what is on disk, and tells who wants to know.
func (d *Doc) done(ctx context.Context, s *state, t tip, c *change) {
	deltas := d.deltas(ctx, c)
	d.mu.Lock()
	s.tip = t
	d.note(s)
	if len(c.own) > 0 {
		d.say(c.own)
	}
	if c.group != nil {
		close(c.group.done)
	}
	d.show(deltas)
	d.mu.Unlock()
}

// show tells who watches, and who waits for commits. mu is held.
func (d *Doc) show(deltas []Delta) {
	for w := range d.watchers {
		w.put(deltas)
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// say has own commits announced. mu is held.
func (d *Doc) say(own []block.Block) {
	size := 0
	d.fresh = append(d.fresh, own...)
	for _, b := range d.fresh {
		size += b.Size()
	}
	if size > wire.InlineMax || len(d.fresh) > wire.HeadsMax {
		d.fresh = nil // whoever hears of the heads pulls them
	}
	d.tell()
}

// tell has the heads announced.
func (d *Doc) tell() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}
