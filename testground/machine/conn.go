package machine

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Lane is a stream of a connection. Lanes share the uplink; each keeps its order.
type Lane int

// The lanes.
const (
	Control Lane = iota
	Data
	lanes
)

// end is one side of a connection: what one peer believes of it, and what waits to
// be sent. The other end may be gone already, by a crash.
type end struct {
	from, to *Peer
	serial   uint64 // the same on both ends
	lanes    [lanes]lane
	closed   bool
}

// lane is messages that wait to be sent, in order.
type lane struct {
	end     *end
	queue   []*message
	flight  int // bytes on the way
	waiting bool
	last    time.Duration // when the latest of what is on the way arrives
}

type message struct {
	content       any
	size          int // bytes
	left, arrived int // bytes of it
	told          int // bytes of it of which the receiver was told
	toldAt        time.Duration
	leftAt        time.Duration // when the sender was told last that it leaves
	leftTold      int           // bytes of which it was told
	leaves        func(size int)
	done          func(ok bool)
	dropped       bool
}

// packet is some bytes of a message on the way.
type packet struct {
	lane *lane
	m    *message
	size int
}

// arrivingEvery is the least time between two Arriving of a message.
const arrivingEvery = 20 * time.Millisecond

// leavingEvery is the least time between two times that the sender of a message hears of it.
const leavingEvery = 250 * time.Millisecond

const (
	dialTime = 15 * time.Second // after which a dial that nobody answers is given up
	// handshakes is how many round trips it takes to connect.
	handshakes = 3
)

// Connect connects two peers that are up and can reach each other, and tells
// whether they are.
func (w *World) Connect(a, b *Peer) bool {
	if a == b || !a.up || !b.up || w.cut(a, b) != Open || a.bans(b) || b.bans(a) {
		return false
	}
	if x, y := a.ends[b], b.ends[a]; x != nil && y != nil && x.serial == y.serial {
		return true
	}
	w.serial++
	a.attach(b, w.serial)
	b.attach(a, w.serial)
	return true
}

// attach adds an end. If the peer still believes in an earlier connection, the new
// one takes its place and the body hears nothing, as with libp2p, where a peer is
// connected as long as there is one connection.
func (p *Peer) attach(to *Peer, serial uint64) {
	e := &end{from: p, to: to, serial: serial}
	for i := range e.lanes {
		e.lanes[i].end = e
	}
	old := p.ends[to]
	p.ends[to] = e
	if old != nil {
		old.close()
		return
	}
	rtt := 2 * p.w.o.Latency(p, to)
	p.After(0, func() {
		if p.ends[to] != nil {
			p.handle(Up{Peer: to.id, RTT: rtt})
		}
	})
}

// close ends what waits to be sent.
func (e *end) close() {
	e.closed = true
	for i := range e.lanes {
		for _, m := range e.lanes[i].queue {
			e.from.report(m, false)
		}
		e.lanes[i].queue = nil
	}
}

// report tells the sender what became of a message.
func (p *Peer) report(m *message, ok bool) {
	if m.done != nil {
		p.Do(func() { m.done(ok) })
	}
}

// detach ends the peer's side of a connection, if it is still the same one.
func (p *Peer) detach(from *Peer, serial uint64) {
	e := p.ends[from]
	if e == nil || e.serial != serial {
		return
	}
	delete(p.ends, from)
	e.close()
	p.After(0, func() {
		if p.ends[from] == nil {
			p.handle(Down{Peer: from.id})
		}
	})
}

// endLater has p notice after d that the connection of which e is the other end is gone.
func (w *World) endLater(p *Peer, e *end, d time.Duration) {
	w.After(d, func() { p.detach(e.from, e.serial) })
}

// Disconnect ends the connection between p and another peer; that one notices when
// the goodbye arrives.
func (p *Peer) Disconnect(to *Peer) {
	if e := p.ends[to]; e != nil {
		p.detach(to, e.serial)
		p.w.endLater(to, e, p.w.o.Latency(p, to))
	}
}

// Ban ends the connection and refuses others for d.
func (p *Peer) Ban(id peer.ID, d time.Duration) {
	if to := p.w.byID[id]; to != nil {
		p.banned[to] = p.w.now + d
		p.Disconnect(to)
	}
}

func (p *Peer) bans(o *Peer) bool { return p.w.now < p.banned[o] }

// Dial connects to another peer, and calls done with whether it did.
func (p *Peer) Dial(id peer.ID, done func(ok bool)) {
	to, d := p.w.byID[id], dialTime
	if to == nil {
		p.Do(func() { done(false) })
		return
	}
	if to.up && p.w.cut(p, to) != Hold {
		d = handshakes * 2 * p.w.o.Latency(p, to)
	}
	p.After(d, func() {
		known := p.ends[to] != nil
		ok := (known || !to.hidden) && p.w.Connect(p, to)
		p.Do(func() { done(ok) })
	})
}

// Send sends a message of that many bytes. leaves hears each leavingEvery, but not more
// often, how much more of it has left, and done that all of it has, or that it will not.
// Both may be nil.
func (p *Peer) Send(id peer.ID, l Lane, size int, content any, leaves func(size int), done func(ok bool)) {
	m := &message{content: content, size: max(size, 1), leftAt: p.w.now, leaves: leaves, done: done}
	to := p.w.byID[id]
	e := p.ends[to]
	if to == nil || e == nil {
		p.report(m, false)
		return
	}
	if drop := 1 - (1-p.line.Drop)*(1-to.line.Drop); drop > 0 {
		m.dropped = p.w.rng.Float64() < drop
	}
	e.lanes[l].queue = append(e.lanes[l].queue, m)
	p.offer(&e.lanes[l])
}
