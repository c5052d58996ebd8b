package machine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Event is something that happens to a Body.
type Event interface{ event() }

type (
	// Up means that a peer can be talked to, Down that it no longer can.
	Up struct {
		Peer peer.ID
		RTT  time.Duration
	}
	Down struct{ Peer peer.ID }
	// Message is what a Body of another peer has sent.
	Message struct {
		From    peer.ID
		Content any
	}
	// Arriving means that Size more bytes of a message that is not complete came in.
	Arriving struct {
		From peer.ID
		Size int
	}
	// Wake means that the time that Next told has come.
	Wake struct{}
)

func (Up) event()       {}
func (Down) event()     {}
func (Message) event()  {}
func (Arriving) event() {}
func (Wake) event()     {}

// Body is what a peer does: pure machines, and the little that carries out what
// they decide. It may call its Peer's methods at any time; none of them calls it
// back at once.
type Body interface {
	// Handle takes an event. now is the peer's own time, and never goes back.
	Handle(now time.Time, e Event)
	// Next is the time at which it wants to be woken, zero if it does not.
	Next() time.Time
	// Check returns which of its invariants does not hold.
	Check() error
	// Reset begins a new life, in which nobody is connected: after a restart, with
	// what was on disk or without.
	Reset(keep bool)
}

// PeerOptions say what a peer is like. The zero value has no limits.
type PeerOptions struct {
	Line          Line
	Region, Group int
	Clock         Clock
	NoInbound     bool // cannot be dialed
}

// Peer is a place in the world at which a Body lives.
type Peer struct {
	w      *World
	number int
	id     peer.ID
	body   Body
	region int
	group  int
	clock  Clock
	line   Line
	hidden bool
	banned map[*Peer]time.Duration // until when

	up      bool
	life    int           // counts restarts: what was begun in an earlier life is void
	wake    time.Duration // when it will be woken, -1 if not
	handled int           // events
	ends    map[*Peer]*end

	ring     []*lane // lanes whose turn on the uplink comes, next first
	busy     bool    // the uplink
	downFree time.Duration
}

// Add makes a peer. It is up, and knows nobody.
func (w *World) Add(o PeerOptions, body func(*Peer) Body) *Peer {
	p := &Peer{
		w: w, number: len(w.peers), id: peer.ID(fmt.Sprintf("peer%05d", len(w.peers))),
		region: o.Region, group: o.Group, clock: o.Clock, line: o.Line, hidden: o.NoInbound,
		up: true, wake: -1, ends: make(map[*Peer]*end), banned: make(map[*Peer]time.Duration),
	}
	w.peers = append(w.peers, p)
	w.byID[p.id] = p
	p.body = body(p)
	p.body.Reset(false)
	return p
}

// World is where the peer lives.
func (p *Peer) World() *World { return p.w }

// Number counts peers from 0.
func (p *Peer) Number() int { return p.number }

// ID names the peer.
func (p *Peer) ID() peer.ID { return p.id }

// String names the peer.
func (p *Peer) String() string { return string(p.id) }

// Body is what the peer does.
func (p *Peer) Body() Body { return p.body }

// Up tells whether it runs.
func (p *Peer) Up() bool { return p.up }

// Line and SetLine are about how the peer is connected; what is on the way stays so.
func (p *Peer) Line() Line { return p.line }

// SetLine changes the line.
func (p *Peer) SetLine(l Line) { p.line = l }

// Now is the peer's own time.
func (p *Peer) Now() time.Time { return p.clock.local(p.w.now) }

// After has f called once d has passed, unless the peer goes down before.
func (p *Peer) After(d time.Duration, f func()) {
	life := p.life
	p.w.After(d, func() {
		if p.up && p.life == life {
			f()
		}
	})
}

// Do has f called at once, as an event of the peer: it may feed the body.
func (p *Peer) Do(f func()) {
	p.After(0, func() {
		f()
		p.settle()
	})
}

// Trace adds to the world's trace what the body has decided.
func (p *Peer) Trace(record []byte) { p.w.trace.add(p.w.now, p.number, record) }

func (p *Peer) handle(e Event) {
	if !p.up {
		return
	}
	p.body.Handle(p.Now(), e)
	p.settle()
}

// settle follows everything that a body does.
func (p *Peer) settle() {
	if p.handled++; p.handled%p.w.o.CheckEvery == 0 {
		p.check()
	}
	p.arm()
}

func (p *Peer) check() {
	if err := p.body.Check(); err != nil {
		p.w.Fail(fmt.Errorf("%s: %w", p, err))
	}
}

// arm has the peer woken when its body wants it.
func (p *Peer) arm() {
	next := p.body.Next()
	if next.IsZero() {
		return
	}
	at := max(p.w.now, p.clock.world(next))
	if p.wake >= 0 && p.wake <= at {
		return
	}
	p.wake = at
	p.After(at-p.w.now, func() {
		if p.wake != at {
			return // it was set anew
		}
		p.wake = -1
		if due := p.body.Next(); due.IsZero() || due.After(p.Now()) {
			p.arm() // it was put off
			return
		}
		p.handle(Wake{})
	})
}

// Crash takes the peer down without a goodbye: others notice after KeepAlive.
func (p *Peer) Crash() {
	for _, e := range p.inOrder() {
		p.w.endLater(e.to, e, p.w.o.KeepAlive)
	}
	p.fall()
}

// Stop takes the peer down in order.
func (p *Peer) Stop() {
	for _, e := range p.inOrder() {
		p.w.endLater(e.to, e, p.w.o.Latency(p, e.to))
	}
	p.fall()
}

func (p *Peer) fall() {
	for _, e := range p.ends {
		e.closed = true
	}
	p.up, p.wake, p.busy, p.ring = false, -1, false, nil
	p.life++
	clear(p.ends)
}

// Start brings a peer up that was down, with what it had on its disk or without.
func (p *Peer) Start(keep bool) {
	if p.up {
		return
	}
	p.up, p.downFree = true, 0
	p.body.Reset(keep)
	p.arm()
}

// inOrder lists the peer's connections by number: maps have no order that a seed
// could fix.
func (p *Peer) inOrder() []*end {
	return slices.SortedFunc(maps.Values(p.ends), func(a, b *end) int { return cmp.Compare(a.to.number, b.to.number) })
}

// Neighbours lists whom the peer is connected to, as far as it knows.
func (p *Peer) Neighbours() []*Peer {
	var list []*Peer
	for _, e := range p.inOrder() {
		list = append(list, e.to)
	}
	return list
}
