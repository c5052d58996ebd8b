package exchange

import (
	"context"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// stepSwarm feeds the machine of the swarms and does what it says. It returns how many
// bytes of blocks went to the store.
func (d *driver) stepSwarm(ctx context.Context, e swarm.Event) int64 {
	x := d.x
	var kept int64
	for _, a := range d.swarm.Step(time.Now(), e) {
		switch a := a.(type) {
		case swarm.Send:
			d.sendFrames(ctx, a)
		case swarm.Load:
			x.spawn(func() { x.load(ctx, a) })
		case swarm.ServeNodes:
			if m := x.members[a.Peer]; m != nil {
				x.spawn(func() { x.serveNodes(ctx, m, a) })
			}
		case swarm.Serve:
			if r, g := x.remotes[a.Peer], d.guests[a.Peer]; r != nil && g != nil {
				x.spawn(func() { x.serveGuest(ctx, r, g, a) })
			} else if m := x.members[a.Peer]; m != nil {
				x.spawn(func() { x.serveLeaves(ctx, m, a) })
			}
		case swarm.Deliver:
			kept += d.arrived(ctx, a.Block, a.From, a.IDs)
		case swarm.Settled:
			d.later(func() { d.settled(ctx, a.IDs) })
		case swarm.Lack:
			d.lacked(ctx, a)
		case swarm.Report:
			x.report(a.Peer, Fault(a.Fault))
		case swarm.Ban:
			x.ban(a.Peer, a.For)
			d.later(func() { d.gone(ctx, a.Peer) })
		}
	}
	return kept
}

// arrived takes a block that swap need not ask for any more. It returns how many bytes went
// to the store.
func (d *driver) arrived(ctx context.Context, b block.Block, from peer.ID, sessions []uint64) int64 {
	for _, id := range d.x.sessionsFor(b.Cid()) {
		d.step(ctx, swap.Drop{Session: id, Cids: []cid.Cid{b.Cid()}})
	}
	d.value(from)
	return d.x.deliver(b, from, sessions)
}

// named tells the machine of the swarms of a member that has shown in bitswap that it has the
// root of a DAG.
func (d *driver) named(ctx context.Context, e swap.Received) {
	if d.x.members[e.Peer] == nil {
		return
	}
	name := func(c cid.Cid) {
		if d.swarm.Seeks(c) {
			d.stepSwarm(ctx, swarm.Provider{Peer: e.Peer, Root: c})
		}
	}
	for _, b := range e.Blocks {
		name(b.Cid())
	}
	for _, c := range e.Haves {
		name(c)
	}
}

// loaded tells the members, before the machine, which leaves a DAG has.
func (d *driver) loaded(ctx context.Context, e swarm.Loaded) {
	if e.Err == nil {
		for _, m := range d.x.members {
			m.learn(e.Root, e.Index.Leaves)
		}
	}
	d.stepSwarm(ctx, e)
}

// want has blocks asked for: by number those that the machine of the swarms fetches, by
// name all others, when it is known which are which.
func (d *driver) want(ctx context.Context, e swap.Want) {
	var claimed, soon, named []cid.Cid
	// What was delivered since it was asked for is not to be fetched again.
	for _, c := range d.x.stillWaited(e.Cids) {
		switch d.swarm.Claim(e.Session, c) {
		case swarm.Claimed:
			if d.x.isAwaited(c) {
				claimed = append(claimed, c)
			} else {
				soon = append(soon, c)
			}
		case swarm.Undecided:
			d.parked[e.Session] = append(d.parked[e.Session], c)
		case swarm.Unclaimed:
			named = append(named, c)
		}
	}
	if len(claimed) > 0 {
		d.stepSwarm(ctx, swarm.Hurry{ID: e.Session, Cids: claimed, Soon: d.orders[e.Session] == swarm.Rarest})
	}
	if len(soon) > 0 {
		d.stepSwarm(ctx, swarm.Hurry{ID: e.Session, Cids: soon, Soon: true})
	}
	if len(named) > 0 {
		d.step(ctx, swap.Want{Session: e.Session, Cids: named})
	}
}

// settled looks again who is to fetch what sessions wait for.
func (d *driver) settled(ctx context.Context, sessions []uint64) {
	for _, id := range sessions {
		parked := d.parked[id]
		delete(d.parked, id)
		// What is asked for by name, and was not claimed until now.
		claimed := slices.DeleteFunc(d.x.waitedBy(id), func(c cid.Cid) bool { return d.swarm.Claim(id, c) != swarm.Claimed })
		if len(claimed) > 0 {
			d.step(ctx, swap.Drop{Session: id, Cids: claimed})
		}
		if parked = append(parked, claimed...); len(parked) > 0 {
			d.want(ctx, swap.Want{Session: id, Cids: parked})
		}
	}
}

// lacked has blocks asked for by name that no member has.
func (d *driver) lacked(ctx context.Context, a swarm.Lack) {
	for _, id := range a.IDs {
		if cids := d.x.stillWaited(slices.Clone(a.Cids)); len(cids) > 0 {
			d.step(ctx, swap.Want{Session: id, Cids: cids})
			if slices.Contains(cids, a.First) {
				d.step(ctx, swap.Want{Session: id, Cids: []cid.Cid{a.First}}) // once more: before all others
			}
		}
	}
}

// failed gives a block up that nobody has, but for those sessions of which a peer may soon
// have it.
func (d *driver) failed(ctx context.Context, a swap.Fail) {
	for _, id := range d.x.sessionsFor(a.Cid) {
		d.stepSwarm(ctx, swarm.Missing{ID: id, Cid: a.Cid})
	}
	d.x.fail(a, func(id uint64) bool { return d.swarm.Claim(id, a.Cid) != swarm.Unclaimed })
}

// closeSession ends what is fetched for a session.
func (d *driver) closeSession(ctx context.Context, e swap.CloseSession) {
	delete(d.parked, e.Session)
	delete(d.orders, e.Session)
	d.stepSwarm(ctx, swarm.Leave{ID: e.Session})
	d.step(ctx, e)
}

// lives tells whether a session has not ended. Of one that does, CloseSession is still to
// come.
func (x *Exchange) lives(id uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sessions[id] != nil
}

// sessionsFor lists the sessions that wait for a block.
func (x *Exchange) sessionsFor(c cid.Cid) (ids []uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range x.waiting[c] {
		if !slices.Contains(ids, w.s.id) {
			ids = append(ids, w.s.id)
		}
	}
	return ids
}

// waitedBy lists the blocks that a session waits for.
func (x *Exchange) waitedBy(id uint64) (cids []cid.Cid) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c, list := range x.waiting {
		if slices.ContainsFunc(list, func(w *waiter) bool { return w.s.id == id }) {
			cids = append(cids, c)
		}
	}
	return cids
}
