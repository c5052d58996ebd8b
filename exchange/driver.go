package exchange

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/flow"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// protocols are what is spoken, the best first.
var protocols = []protocol.ID{wire.Protocol120, wire.Protocol110, wire.Protocol100}

// Protocols lists the protocols that may be spoken, the best first.
func Protocols() []protocol.ID { return slices.Concat(swarmProtocols, protocols) }

// Inputs of the loop beside swap.Event.
type (
	// arrival is a message; size bytes of unsaved are held for its blocks.
	arrival struct {
		event swap.Received
		size  int64
	}
	// refresh asks to look whether a peer can be talked to.
	refresh struct{ peer peer.ID }
	// limit says that the limits have changed.
	limit struct{}
	// gained is a block that came by another way than ours, while it was waited for.
	gained struct{ block block.Block }
	// query looks into the machines.
	query func(*swap.Machine, *swarm.Machine)

	// heard is a control frame.
	heard struct {
		peer   peer.ID
		stream network.Stream
		frame  frame.Frame
	}
	// silenced is the end of a stream of these.
	silenced struct {
		peer   peer.ID
		stream network.Stream
	}
	// broken is the end of the stream of ours.
	broken struct{ member *member }
	// given ends a Serve to a guest, of those leaves that were there.
	given struct {
		guest   *guest
		channel uint32
		leaves  []int
		event   swarm.Served
	}
	// walked are nodes of a DAG; size bytes of unsaved are held for them.
	walked struct {
		event swarm.Walked
		nodes []block.Block
		size  int64
	}
	// arrivedLeaf is a leaf, or what was none; size bytes of unsaved are held for it.
	arrivedLeaf struct {
		event swarm.Event
		size  int64
	}
)

// driver is the state of the loop; only the loop touches it.
type driver struct {
	x       *Exchange
	machine *swap.Machine
	swarm   *swarm.Machine
	pace    *flow.Pace     // of both
	hunger  *flow.Appetite // the same
	finds   map[cid.Cid]context.CancelFunc
	parked  map[uint64][]cid.Cid // by session, what waits until swarm has settled who fetches it
	orders  map[uint64]swarm.Order
	guests  map[peer.ID]*guest
	after   []func() // see later
}

func newDriver(x *Exchange) *driver {
	pace, hunger := new(flow.Pace), new(flow.Appetite)
	return &driver{
		x: x,
		machine: swap.New(swap.Options{Seed: rand.Uint64(), Search: x.o.Finder != nil,
			ServingSizeMax: x.o.ServingSizeMax, Pace: pace, Appetite: hunger}),
		swarm: swarm.New(swarm.Options{Seed: rand.Uint64(),
			ServingSizeMax: x.o.ServingSizeMax, Pace: pace, Appetite: hunger}),
		pace:   pace,
		hunger: hunger,
		finds:  make(map[cid.Cid]context.CancelFunc),
		parked: make(map[uint64][]cid.Cid),
		orders: make(map[uint64]swarm.Order),
		guests: make(map[peer.ID]*guest),
	}
}

// later has f called when all actions of the machines are begun. What one of them leads to may
// not be another Step at once: that would make the actions void that are still to come.
func (d *driver) later(f func()) { d.after = append(d.after, f) }

// finish does what was left for later.
func (d *driver) finish() {
	for len(d.after) > 0 {
		f := d.after[0]
		d.after = d.after[1:]
		f()
	}
}

func (d *driver) handle(ctx context.Context, in any) {
	defer d.finish()
	switch in := in.(type) {
	case arrival:
		d.named(ctx, in.event)
		rest, kept := d.heardGuest(ctx, in.event)
		rest = d.askedByGuest(ctx, rest)
		d.x.unsaved.Release(in.size - kept - d.step(ctx, rest))
	case swap.Receiving:
		d.step(ctx, in)
		if d.guests[in.Peer] != nil {
			d.stepSwarm(ctx, swarm.Receiving(in))
		}
	case refresh:
		d.refresh(ctx, in.peer)
	case limit:
		d.limit(ctx)
	case query:
		in(d.machine, d.swarm)
	case gained:
		d.gained(ctx, in.block)
	case swap.Want:
		d.want(ctx, in)
	case swap.CloseSession:
		d.closeSession(ctx, in)
	case swap.Held:
		d.held(ctx, in)
	case swap.Found:
		if cancel := d.finds[in.Cid]; cancel != nil {
			cancel()
			delete(d.finds, in.Cid)
		}
		d.step(ctx, in)
	case swap.Provider:
		d.step(ctx, in)
		d.stepSwarm(ctx, swarm.Provider{Peer: in.Peer, Root: in.Cid})
	case swap.Event:
		d.step(ctx, in)
	default:
		d.handleSwarm(ctx, in)
	}
}

// handleSwarm takes what concerns swarms alone.
func (d *driver) handleSwarm(ctx context.Context, in any) {
	switch in := in.(type) {
	case swarm.Fetch:
		if d.x.lives(in.ID) { // else nobody would ever end it
			d.orders[in.ID] = in.Order
			d.step(ctx, swap.Begin{Session: in.ID, Root: in.First})
			d.stepSwarm(ctx, in)
		}
	case heard:
		d.hear(ctx, in)
	case silenced:
		if m := d.x.members[in.peer]; m != nil && m.heard == in.stream {
			d.lost(ctx, in.peer)
		}
	case broken:
		if d.x.members[in.member.id] == in.member {
			d.lost(ctx, in.member.id)
		}
	case offering:
		d.offer(ctx, in)
	case given:
		in.guest.given(in.channel, in.leaves)
		d.stepSwarm(ctx, in.event)
	case walked:
		var kept int64
		for _, b := range in.nodes {
			kept += d.arrived(ctx, b, in.event.Peer, nil)
		}
		d.x.unsaved.Release(in.size - kept)
		d.stepSwarm(ctx, in.event)
	case arrivedLeaf:
		d.x.unsaved.Release(in.size - d.stepSwarm(ctx, in.event))
	case swarm.Loaded:
		d.loaded(ctx, in)
	case swarm.Event:
		d.stepSwarm(ctx, in)
	}
}

// hear takes a control frame.
func (d *driver) hear(ctx context.Context, in heard) {
	d.join(ctx, in.peer)
	m := d.x.members[in.peer]
	if m == nil {
		d.x.spawn(func() { in.stream.Reset() })
		return
	}
	m.heard = in.stream
	m.over(in.frame)
	d.measure(ctx, m, in.frame)
	d.stepSwarm(ctx, swarm.Frames{Peer: in.peer, Frames: []frame.Frame{in.frame}})
}

// held tells of blocks that the store has.
func (d *driver) held(ctx context.Context, e swap.Held) {
	d.step(ctx, e)
	same := swarm.Held{Blocks: make([]swarm.Sized, len(e.Blocks))}
	for i, b := range e.Blocks {
		same.Blocks[i] = swarm.Sized(b)
	}
	d.stepSwarm(ctx, same)
}

// next is when the machines want to be woken, zero if they do not.
func (d *driver) next() time.Time {
	a, b := d.machine.Next(), d.swarm.Next()
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (d *driver) wake(ctx context.Context) {
	defer d.finish()
	d.step(ctx, swap.Wake{})
	d.stepSwarm(ctx, swarm.Wake{})
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
			kept += x.deliver(a.Block, a.From, nil)
			d.value(a.From)
		case swap.Fail:
			d.later(func() { d.failed(ctx, a) })
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
			x.ban(a.Peer, a.For)
			d.drop(a.Peer)
			d.later(func() { d.leave(ctx, a.Peer); d.dismiss(ctx, a.Peer) })
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
	case up:
		if !known {
			x.mu.Lock()
			x.remotes[p] = newRemote(p, x.up)
			x.mu.Unlock()
		}
		e := swap.PeerUp{Peer: p, Caps: caps, RTT: x.host.Peerstore().LatencyEWMA(p), Near: x.near(p)}
		if x.o.Judge != nil {
			e.Score = x.o.Judge.Score(p)
		}
		d.step(ctx, e)
	case known:
		d.drop(p)
		d.step(ctx, swap.PeerDown{Peer: p})
	}
	d.join(ctx, p)
	d.invite(ctx, p)
}

// limit tells the machines what may be exchanged.
func (d *driver) limit(ctx context.Context) {
	l := d.x.Limits()
	d.pace.Set(l.UpBytesPerSec)
	d.hunger.Set(l.DownBytesPerSec)
	d.wake(ctx)
}

// gone forgets a peer that is kept away.
func (d *driver) gone(ctx context.Context, p peer.ID) {
	d.drop(p)
	delete(d.guests, p)
	d.step(ctx, swap.PeerDown{Peer: p})
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
	for _, m := range d.x.members {
		d.x.spawn(m.close)
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
func (x *Exchange) ban(p peer.ID, d time.Duration) {
	x.log.Info("peer banned", "peer", p, "for", d)
	x.mu.Lock()
	if len(x.banned) >= bannedMax {
		for old, until := range x.banned {
			if len(x.banned) < bannedMax/2 && time.Now().Before(until) {
				break
			}
			delete(x.banned, old)
		}
	}
	x.banned[p] = time.Now().Add(d)
	x.mu.Unlock()
	x.spawn(func() { x.host.Network().ClosePeer(p) })
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
