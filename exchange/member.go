package exchange

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/skeleton"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// swarmProtocols are what members of swarms speak.
var swarmProtocols = []protocol.ID{frame.Protocol}

// member is a peer that speaks the swarm protocol.
type member struct {
	id      peer.ID
	control *lane // frames on it are heard in order, or it breaks
	data    *lanes
	// heard is the stream of the peer's control frames, nil before the first. When it ends
	// neither side knows what the other has heard. It is touched by the loop only.
	heard network.Stream
	// measured says that the round trip time is known, or being measured; the same holds for it.
	measured bool

	mu       sync.Mutex // guards channels
	channels map[uint32]*reception
}

// reception is what comes in on a channel that this side has opened.
type reception struct {
	root cid.Cid

	mu     sync.Mutex // guards the following fields
	walk   *skeleton.Walk
	leaves []cid.Cid     // nil while they are not known
	early  []frame.Block // that were faster than the nodes
	credit int           // bytes of these that may still come
}

// newMember returns one to whom blocks go at the pacer's pace.
func newMember(p peer.ID, up *pacer) *member {
	m := &member{id: p, control: newLane(swarmProtocols), data: newLanes(swarmProtocols, up), channels: make(map[uint32]*reception)}
	m.control.ordered = true
	return m
}

func (m *member) close() {
	m.control.close()
	m.data.close()
}

// reception returns that of a channel, nil if it is not open.
func (m *member) reception(channel uint32) *reception {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.channels[channel]
}

// expect notes which channels are open once the peer has heard these frames. leaves are
// those of a DAG that are known.
func (m *member) expect(frames []frame.Frame, leaves func(root cid.Cid) []cid.Cid) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range frames {
		switch f := f.(type) {
		case frame.Open:
			r := &reception{root: f.Root, leaves: leaves(f.Root)}
			if f.Nodes {
				root, stops := unpruned(f.Root)
				r.walk, r.credit = skeleton.New(root, stops...), f.Credit
			}
			m.channels[f.Channel] = r
		case frame.Close:
			delete(m.channels, f.Channel)
		}
	}
}

// over forgets a channel if the frame says that the peer has ended it.
func (m *member) over(f frame.Frame) {
	if end, ok := f.(frame.End); ok {
		m.mu.Lock()
		delete(m.channels, end.Channel)
		m.mu.Unlock()
	}
}

// learn tells the receptions of a DAG its leaves.
func (m *member) learn(root cid.Cid, leaves []cid.Cid) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.channels {
		if r.root.Equals(root) {
			r.mu.Lock()
			r.leaves = leaves
			r.mu.Unlock()
		}
	}
}

// member returns that with the ID, nil if there is none.
func (x *Exchange) member(p peer.ID) *member {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.members[p]
}

// join makes a peer a member if it speaks the protocol, and drops one that does no more.
func (d *driver) join(ctx context.Context, p peer.ID) {
	x := d.x
	up := x.speaksSwarm(p)
	switch _, known := x.members[p]; {
	case up:
		if !known {
			x.mu.Lock()
			x.members[p] = newMember(p, x.up)
			x.mu.Unlock()
			d.dismiss(ctx, p)
		}
		d.stepSwarm(ctx, swarm.PeerUp{Peer: p, RTT: x.host.Peerstore().LatencyEWMA(p), Near: x.near(p)})
	case known:
		d.leave(ctx, p)
	}
}

func (x *Exchange) speaksSwarm(p peer.ID) bool {
	if x.o.Links == nil || x.isBanned(p) || x.host.Network().Connectedness(p) != network.Connected {
		return false
	}
	first, err := x.host.Peerstore().FirstSupportedProtocol(p, swarmProtocols...)
	return err == nil && first != ""
}

// leave forgets a member, and all that is under way with it.
func (d *driver) leave(ctx context.Context, p peer.ID) {
	x := d.x
	m := x.members[p]
	if m == nil {
		return
	}
	x.mu.Lock()
	delete(x.members, p)
	x.mu.Unlock()
	heard := m.heard
	x.spawn(func() {
		m.close()
		if heard != nil {
			heard.Reset()
		}
	})
	d.stepSwarm(ctx, swarm.PeerDown{Peer: p})
}

// lost ends what is under way with a member of whose frames some may not have arrived, in
// one direction or the other: both begin anew, after a while.
func (d *driver) lost(ctx context.Context, p peer.ID) {
	d.leave(ctx, p)
	d.x.spawn(func() {
		pause := time.NewTimer(rejoinDelay)
		defer pause.Stop()
		select {
		case <-pause.C:
			d.x.post(ctx, refresh{p})
		case <-ctx.Done():
		}
	})
}

// measure finds out how far a member is who shares a DAG, from the first frame on that says so: who
// only serves learns it in no other way, and who asks hears of queues as well.
func (d *driver) measure(ctx context.Context, m *member, f frame.Frame) {
	switch f.(type) {
	case frame.Open, frame.Have:
	default:
		return
	}
	if m.measured {
		return
	}
	m.measured = true
	x := d.x
	x.spawn(func() {
		ctx, cancel := context.WithTimeout(ctx, pingTime)
		defer cancel()
		if r := <-ping.Ping(ctx, x.host, m.id); r.Error != nil {
			x.log.Debug("ping", "peer", m.id, "err", r.Error)
			return
		}
		x.post(ctx, refresh{m.id}) // the host has noted it
	})
}

// sendFrames writes control frames.
func (d *driver) sendFrames(ctx context.Context, a swarm.Send) {
	x := d.x
	if g := d.guests[a.Peer]; g != nil {
		d.tellGuest(ctx, g, a.Frames)
		return
	}
	m := x.members[a.Peer]
	if m == nil {
		return
	}
	m.expect(a.Frames, d.swarm.Leaves)
	for _, f := range a.Frames {
		if _, ok := f.(frame.Have); ok {
			x.gave(a.Peer, openMiss)
		}
	}
	x.spawn(func() {
		if x.writeFrames(ctx, m, toWire(a.Frames)...) == nil {
			x.post(ctx, swarm.Sent{Peer: m.id})
		}
	})
}

// writeFrames writes control frames to a member. After an error all that is under way with it
// begins anew.
func (x *Exchange) writeFrames(ctx context.Context, m *member, frames ...frame.Frame) error {
	_, err := x.write(ctx, m.id, m.control, controlSize, func(s *stream) error { return s.frames.Write(frames...) })
	if err != nil {
		x.log.Debug("send frames", "peer", m.id, "err", err)
		x.post(ctx, broken{m})
	}
	return err
}
