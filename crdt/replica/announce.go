package replica

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// announcing says what is new, once for all that is new at a time. What is new when ctx ends is
// said too, and whoever hears of it has a while to ask.
func (d *Doc) announcing(ctx context.Context, topic Topic) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			d.farewell(ctx, topic, last)
			return
		case <-d.news:
		}
		d.announce(ctx, topic)
		last = time.Now()
		pause.Reset(announceInterval)
		select {
		case <-ctx.Done():
			d.farewell(ctx, topic, last)
			return
		case <-pause.C:
		}
	}
}

// announce says what is new.
func (d *Doc) announce(ctx context.Context, topic Topic) {
	data, err := d.announcement(ctx)
	if err == nil {
		err = topic.Publish(ctx, data)
	}
	if err != nil && ctx.Err() == nil {
		d.replica.log.Info("announce document", "doc", d.id, "err", err)
	}
	d.replica.counts.announced.Add(1)
}

// farewell says what is new though ctx has ended, and stays until it is sent, as far as time can
// tell: a topic does not say. last is when the last announcement was made.
func (d *Doc) farewell(ctx context.Context, topic Topic, last time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
	defer cancel()
	select {
	case <-d.news:
		d.announce(ctx, topic)
		last = time.Now()
	default:
	}
	rest := time.NewTimer(time.Until(last.Add(lingerTime)))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
}

// announcement says which heads are on disk. If they are too many it says some.
func (d *Doc) announcement(ctx context.Context) ([]byte, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	a := wire.Announcement{Commits: uint64(s.core.Recent()), Blocks: d.fresh}
	d.fresh = nil
	heads := s.tip.heads
	for _, b := range a.Blocks { // those first that come along
		id, _ := commit.IDOf(b.Cid())
		if i := slices.IndexFunc(heads, func(h crdt.Head) bool { return h.ID == id }); i > 0 {
			heads = slices.Concat([]crdt.Head{heads[i]}, heads[:i], heads[i+1:])
		}
	}
	for _, h := range heads[:min(len(heads), wire.HeadsMax)] {
		author, _ := s.core.AuthorOf(h.ID)
		a.Heads = append(a.Heads, wire.Head{ID: h.ID, Author: author, Signature: *h.Signature})
	}
	return a.Append(nil), nil
}

// judge decides what becomes of an announcement before anyone else sees it. What nobody can
// have got from an honest peer is rejected. A head by somebody who may not write as far as is
// known here is ignored: the role may be in what is missing.
func (d *Doc) judge(ctx context.Context, m Message) Verdict {
	if m.From == d.replica.o.Host.ID() {
		return Accept
	}
	a, err := wire.DecodeAnnouncement(m.Data)
	switch {
	case errors.Is(err, wire.ErrVersion):
		return Ignore
	case err != nil:
		return d.reject(m, FaultMalformed, err)
	}
	for _, h := range a.Heads {
		if !commit.Verify(h.Author, d.id, h.ID, &h.Signature) {
			return d.reject(m, FaultForged, crdt.ErrInvalid)
		}
	}
	authors := make(map[commit.Author]bool)
	for _, h := range a.Heads {
		authors[h.Author] = true
	}
	for _, b := range a.Blocks {
		c, _, err := commit.Decode(b)
		switch {
		case errors.Is(err, commit.ErrVersion):
			return Ignore
		case err != nil:
			return d.reject(m, FaultMalformed, err)
		}
		authors[c.Author] = true
	}
	s, err := d.lock(ctx)
	if err != nil {
		return Ignore
	}
	defer d.mu.Unlock()
	for a := range authors {
		if s.core.Role(a) < commit.Write {
			return Ignore
		}
	}
	return Accept
}

func (d *Doc) reject(m Message, f Fault, err error) Verdict {
	d.replica.counts.forged.Add(1)
	d.replica.o.Judge.Report(m.Via, f)
	d.replica.log.Info("announcement rejected", "doc", d.id, "peer", m.Via, "author", m.From, "err", err)
	return Reject
}

// hearing takes announcements.
func (d *Doc) hearing(ctx context.Context, topic Topic) {
	for {
		m, err := topic.Next(ctx)
		if err != nil {
			return
		}
		if m.From == d.replica.o.Host.ID() {
			continue
		}
		d.replica.counts.heard.Add(1)
		if err := d.hear(ctx, m); err != nil && ctx.Err() == nil {
			d.replica.log.Info("take announcement", "doc", d.id, "peer", m.Via, "err", err)
		}
	}
}

// hear applies what came along with an announcement, and calls for what did not.
func (d *Doc) hear(ctx context.Context, m Message) error {
	a, err := wire.DecodeAnnouncement(m.Data)
	if err != nil {
		return err // the judge had let it pass
	}
	if err := d.takeAlong(ctx, m, a); err != nil {
		return err
	}
	var missing []commit.ID
	s, err := d.lock(ctx)
	if err != nil {
		return err
	}
	for _, h := range a.Heads {
		if !s.core.Has(h.ID) {
			missing = append(missing, h.ID)
		}
	}
	more := len(a.Heads) == wire.HeadsMax && a.Commits > uint64(s.core.Recent())
	d.mu.Unlock()
	if len(missing) == 0 && !more {
		return nil
	}
	d.call(call{from: m.Via, heads: missing, quiet: true})
	if m.From != m.Via {
		d.call(call{from: m.From, heads: missing, quiet: true})
	}
	return nil
}

// takeAlong applies the blocks of an announcement, if there are any that are not here.
func (d *Doc) takeAlong(ctx context.Context, m Message, a wire.Announcement) error {
	s, err := d.lock(ctx)
	if err != nil {
		return err
	}
	blocks := slices.DeleteFunc(a.Blocks, func(b block.Block) bool {
		id, _ := commit.IDOf(b.Cid())
		return s.core.Has(id)
	})
	d.mu.Unlock()
	if len(blocks) == 0 {
		return nil
	}
	heads := make([]crdt.Head, len(a.Heads))
	for i, h := range a.Heads {
		heads[i] = crdt.Head{ID: h.ID, Signature: &h.Signature}
	}
	// Whoever passed it on may not have known what is wrong with a commit that is signed.
	_, _, err = d.receive(ctx, m.From, blocks, heads)
	return err
}
