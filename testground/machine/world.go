// Package machine runs the project's pure machines, thousands of them, in one
// seeded loop of events: no goroutine, no clock, no libp2p. It is the fast floor of
// the simulation; package sim runs whole nodes.
//
// A World moves messages between Peers over lines with a rate, latency, jitter and
// loss, cuts and mends it, and lets peers crash and come back with clocks that are
// wrong. What a peer does is its Body: for now Exchange, around a swap.Machine;
// other machines are other bodies. Connections are a model of TCP with a good
// congestion control, as in package fabric: bytes of a lane arrive in order, lanes
// share an uplink fairly, a lost packet costs a round trip, and what is on the way
// is bounded. Computing and hashing take no time.
//
// It says nothing about goroutines, streams, codecs or libp2p: what breaks there is
// for the other floor to find.
//
// Invariant: a run follows from its seed alone. Whatever happens, happens in the
// order of (time, sequence number); whatever a body decides is in the trace, so two
// runs with the same Trace did the same.
package machine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Options tunes a World. The zero value works.
type Options struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Latency is how long a bit takes from one peer to another; it must be
	// symmetric. Default Ring.
	Latency func(from, to *Peer) time.Duration
	// KeepAlive is how long a peer believes in a connection whose other end is
	// silent because it crashed or was cut off. Default 30 s.
	KeepAlive time.Duration
	// FindTime is how long a search for providers takes, about. Default 800 ms.
	FindTime time.Duration
	// CheckEvery is after how many events of a peer its invariants are checked.
	// They are slow. Default 256.
	CheckEvery int
	// Tick is called about once a second of the world, to look on. Nil: it is not.
	Tick func(*World)
}

// momentMax is how many events may happen before time must go on.
const momentMax = 2_000_000

// World is a network of machines. It is not safe for concurrent use.
type World struct {
	o      Options
	rng    *rand.Rand
	now    time.Duration
	queue  queue
	events int64
	ticked time.Duration // the last tick
	trace  *trace
	err    error // the first that was noticed

	peers     []*Peer
	byID      map[peer.ID]*Peer
	serial    uint64 // of the last connection
	cuts      map[[2]int]Cut
	cutAt     map[[2]int]time.Duration // when each Hold began
	held      []*packet                // by a cut, in the order in which they left
	providers map[cid.Cid][]*Peer
}

// New makes an empty world.
func New(o Options) *World {
	if o.Latency == nil {
		o.Latency = Ring
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = 30 * time.Second
	}
	if o.FindTime <= 0 {
		o.FindTime = 800 * time.Millisecond
	}
	if o.CheckEvery <= 0 {
		o.CheckEvery = 256
	}
	return &World{
		o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x3a11)), trace: newTrace(),
		byID: make(map[peer.ID]*Peer), cuts: make(map[[2]int]Cut), cutAt: make(map[[2]int]time.Duration),
		providers: make(map[cid.Cid][]*Peer),
	}
}

// Now is how long the world exists, by its own time.
func (w *World) Now() time.Duration { return w.now }

// Rand is where scenarios take their chances from.
func (w *World) Rand() *rand.Rand { return w.rng }

// Events is how many things have happened.
func (w *World) Events() int64 { return w.events }

// Trace is the hash of all that the bodies have decided, and when.
func (w *World) Trace() string { return w.trace.sum() }

// Peers lists all peers, those that are down included. The slice is the world's own.
func (w *World) Peers() []*Peer { return w.peers }

// Up lists the peers that are up.
func (w *World) Up() []*Peer {
	return slices.DeleteFunc(slices.Clone(w.peers), func(p *Peer) bool { return !p.up })
}

// After has f called once d has passed.
func (w *World) After(d time.Duration, f func()) { w.queue.push(w.now+max(d, 0), f) }

// Fail ends the run with the first error that anybody tells.
func (w *World) Fail(err error) {
	if w.err == nil {
		w.err = &Error{Seed: w.o.Seed, At: w.now, Err: err}
	}
}

// Error is what went wrong in a world, and when.
type Error struct {
	Seed uint64
	At   time.Duration // in the world's time
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("seed %d, at %v: %v", e.Seed, e.At, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Run lets time pass until done tells so, which may be nil, or until d is over. It returns the first error of the world.
func (w *World) Run(d time.Duration, done func() bool) error {
	end, moment := w.now+d, 0
	for w.err == nil && (done == nil || !done()) {
		if len(w.queue.heap) == 0 || w.queue.heap[0].at > end {
			w.now = end
			break
		}
		e := w.queue.pop()
		if moment++; e.at > w.now {
			moment = 0
		} else if moment > momentMax {
			w.Fail(fmt.Errorf("run: %d events, and no time has passed", moment))
		}
		w.now = e.at
		w.events++
		e.do()
		w.tick()
	}
	return w.err
}

// tick calls Tick, if it is time.
func (w *World) tick() {
	if w.o.Tick != nil && w.now-w.ticked >= time.Second {
		w.ticked = w.now
		w.o.Tick(w)
	}
}

// Settle runs until nothing is left to happen, and checks all peers. That takes at
// most d: a world in which nobody wants anything falls silent.
func (w *World) Settle(d time.Duration) error {
	if err := w.Run(d, func() bool { return w.queue.live == 0 }); err != nil {
		return err
	}
	if n := w.queue.live; n > 0 {
		w.Fail(fmt.Errorf("settle: nobody wants anything, and after %v %d things are still to happen", d, n))
	}
	return w.Check()
}

// Check asks all peers for their invariants.
func (w *World) Check() error {
	for _, p := range w.peers {
		if p.up {
			p.check()
		}
	}
	return w.err
}
