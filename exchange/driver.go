package exchange

import (
	"context"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// protocols are what is spoken, the best first.
var protocols = []protocol.ID{wire.Protocol120, wire.Protocol110, wire.Protocol100}

// Protocols lists the protocols that are spoken, the best first.
func Protocols() []protocol.ID { return slices.Clone(protocols) }

// Inputs of the loop beside swap.Event.
type (
	// arrival is a message; size bytes of unsaved are held for its blocks.
	arrival struct {
		event swap.Received
		size  int64
	}
	// refresh asks to look whether a peer can be talked to.
	refresh struct{ peer peer.ID }
	// gained is a block that came by another way than ours, while it was waited for.
	gained struct{ block block.Block }
	// query looks into the machine.
	query func(*swap.Machine)
)

// driver is the state of the loop; only the loop touches it.
type driver struct {
	x       *Exchange
	machine *swap.Machine
	finds   map[cid.Cid]context.CancelFunc
}

func (d *driver) handle(ctx context.Context, in any) {
	switch in := in.(type) {
	case arrival:
		d.x.unsaved.Release(in.size - d.step(ctx, in.event))
	case refresh:
		d.refresh(ctx, in.peer)
	case query:
		in(d.machine)
	case gained:
		d.gained(ctx, in.block)
	case swap.Want:
		// What was delivered since it was asked for is not to be fetched again.
		if in.Cids = d.x.stillWaited(in.Cids); len(in.Cids) > 0 {
			d.step(ctx, in)
		}
	case swap.Found:
		if cancel := d.finds[in.Cid]; cancel != nil {
			cancel()
			delete(d.finds, in.Cid)
		}
		d.step(ctx, in)
	case swap.Event:
		d.step(ctx, in)
	}
}

// step feeds the machine and does what it says. It returns how many bytes of
// blocks went to the store.
func (d *driver) step(ctx context.Context, e swap.Event) int64 {
	x := d.x
	var kept int64
	for _, a := range d.machine.Step(time.Now(), e) {
		switch a := a.(type) {
		case swap.Send:
			d.send(ctx, a)
		case swap.Look:
			x.spawn(func() { x.look(ctx, a) })
		case swap.Serve:
			if r := x.remotes[a.Peer]; r != nil {
				x.spawn(func() { x.serve(ctx, r, a) })
			}
		case swap.Deliver:
			kept += x.deliver(a)
			d.value(a.From)
		case swap.Fail:
			x.fail(a)
		case swap.Find:
			d.find(ctx, a.Cid)
		case swap.StopFind:
			if cancel := d.finds[a.Cid]; cancel != nil {
				cancel()
			}
		case swap.Dial:
			x.spawn(func() { x.dial(ctx, a.Peer) })
		case swap.Report:
			x.report(a.Peer, a.Fault)
		case swap.Ban:
			x.ban(a)
			d.drop(a.Peer)
		}
	}
	return kept
}

// gained gives a block to those that wait for it, and has it asked for no more.
func (d *driver) gained(ctx context.Context, b block.Block) {
	for _, w := range d.x.takeWaiting(b.Cid()) {
		d.step(ctx, swap.Drop{Session: w.s.id, Cids: []cid.Cid{b.Cid()}})
		if w.ch != nil {
			w.ch <- result{b: b}
		}
	}
}

// refresh tells the machine whether the peer can be talked to now. That this is
// looked up here, and not carried by the notice, makes late notices harmless.
func (d *driver) refresh(ctx context.Context, p peer.ID) {
	x := d.x
	caps, up := x.reach(p)
	_, known := x.remotes[p]
	switch {
	case up && !known:
		x.mu.Lock()
		x.remotes[p] = newRemote(p)
		x.mu.Unlock()
		e := swap.PeerUp{Peer: p, Caps: caps, RTT: x.host.Peerstore().LatencyEWMA(p)}
		if x.o.Judge != nil {
			e.Score = x.o.Judge.Score(p)
		}
		d.step(ctx, e)
	case !up && known:
		d.drop(p)
		d.step(ctx, swap.PeerDown{Peer: p})
	}
}

// reach tells whether a peer is connected and speaks bitswap.
func (x *Exchange) reach(p peer.ID) (swap.Caps, bool) {
	if x.isBanned(p) || x.host.Network().Connectedness(p) != network.Connected {
		return swap.Caps{}, false
	}
	first, err := x.host.Peerstore().FirstSupportedProtocol(p, protocols...)
	if err != nil || first == "" {
		return swap.Caps{}, false
	}
	return swap.Caps{BlocksOnly: first != wire.Protocol120}, true
}

// value has the connection to a peer that delivers kept, if the host must
// choose which to close.
func (d *driver) value(p peer.ID) {
	if r := d.x.remotes[p]; r != nil && !r.valued {
		r.valued = true
		d.x.host.ConnManager().TagPeer(p, connTag, connValue)
	}
}

// drop closes the streams to a peer that is gone.
func (d *driver) drop(p peer.ID) {
	x := d.x
	r := x.remotes[p]
	if r == nil {
		return
	}
	x.mu.Lock()
	delete(x.remotes, p)
	x.mu.Unlock()
	x.spawn(r.close)
}

func (d *driver) close() {
	for _, cancel := range d.finds {
		cancel()
	}
	for _, r := range d.x.remotes {
		d.x.spawn(r.close)
	}
}

// report passes a fault on.
func (x *Exchange) report(p peer.ID, f Fault) {
	x.log.Debug("peer misbehaves", "peer", p, "fault", string(f))
	if x.o.Judge != nil {
		x.o.Judge.Report(p, f)
	}
}

// ban keeps a peer away.
func (x *Exchange) ban(a swap.Ban) {
	x.log.Info("peer banned", "peer", a.Peer, "for", a.For)
	x.mu.Lock()
	if len(x.banned) >= bannedMax {
		for p, until := range x.banned {
			if len(x.banned) < bannedMax/2 && time.Now().Before(until) {
				break
			}
			delete(x.banned, p)
		}
	}
	x.banned[a.Peer] = time.Now().Add(a.For)
	x.mu.Unlock()
	x.spawn(func() { x.host.Network().ClosePeer(a.Peer) })
}

func (x *Exchange) isBanned(p peer.ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	until, banned := x.banned[p]
	if banned && time.Now().After(until) {
		delete(x.banned, p)
		return false
	}
	return banned
}
