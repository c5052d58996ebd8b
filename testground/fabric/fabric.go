// Package fabric is a network in memory that libp2p hosts talk over: peers with
// uplinks and downlinks, latency, jitter and loss, partitions, and crashes without
// a goodbye. It is a libp2p transport at the level of streams, so that a thousand
// hosts fit into a process; in a synctest bubble its time is virtual.
//
// It is a model of TCP with a good congestion control, not of packets: bytes of a
// connection arrive in order, a loss costs a round trip, connections share an
// uplink fairly, and what is on the way is bounded by bandwidth times delay. Slow
// start, and queues of routers between, are not modelled; where they matter, run
// real QUIC over simulated packets instead.
//
// Invariant: all that happens, happens in the order of (time, sequence number), one
// thing at a time; so what the network does follows from its seed and from when
// the hosts call it.
package fabric

import (
	"container/heap"
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Options of a fabric. The zero value is a network without delay.
type Options struct {
	// Latency is how long a packet takes from a to b, one way. Nil: no time.
	Latency func(a, b netip.Addr) time.Duration

	// KeepAlive is how long an end of a connection takes to notice that nothing
	// gets through any more. Default 30 s.
	KeepAlive time.Duration

	// Seed decides jitter and loss.
	Seed uint64

	// Tap, if not nil, returns where to write what one end of a new stream sends, as it
	// is sent. The writer must return at once and not call back.
	Tap func() io.Writer
}

// Fabric is a network. Make it, and all hosts on it, in one bubble, or in none.
type Fabric struct {
	o    Options
	wake chan struct{}
	done chan struct{}
	over chan struct{}

	mu     sync.Mutex // guards all of the network: NICs, connections, streams
	events eventHeap
	seq    uint64
	conns  uint64 // made so far
	rng    *rand.Rand
	nics   map[netip.Addr]*NIC
	cuts   map[[2]int]Cut
	closed bool
	trace  hash.Hash
}

// New makes a network. Close it after its hosts.
func New(o Options) *Fabric {
	if o.Latency == nil {
		o.Latency = func(a, b netip.Addr) time.Duration { return 0 }
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 30 * time.Second
	}
	f := &Fabric{
		o: o, wake: make(chan struct{}, 1), done: make(chan struct{}), over: make(chan struct{}),
		rng:  rand.New(rand.NewPCG(o.Seed, 0)),
		nics: make(map[netip.Addr]*NIC), cuts: make(map[[2]int]Cut),
		trace: sha256.New(),
	}
	go f.run()
	return f
}

// Close ends the network: nothing moves any more.
func (f *Fabric) Close() {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.closed = true
	f.mu.Unlock()
	close(f.done)
	<-f.over
}

// event is something that will happen.
type event struct {
	at  time.Time
	seq uint64
	do  func(now time.Time) // with mu held
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// at has do called at a time, with mu held. The caller holds mu.
func (f *Fabric) at(t time.Time, do func(now time.Time)) {
	f.seq++
	heap.Push(&f.events, event{at: t, seq: f.seq, do: do})
	if f.events[0].seq == f.seq {
		f.look()
	}
}

// run lets things happen when their time has come.
//
// An alarm is never moved: for one that is, a bubble looks through all its timers when
// it rings, and there are some for every connection. An earlier one is set beside it.
func (f *Fabric) run() {
	defer close(f.over)
	var alarms []time.Time // that have not rung, the earliest last
	for {
		next, any := f.catchUp()
		now := time.Now()
		for len(alarms) > 0 && !alarms[len(alarms)-1].After(now) {
			alarms = alarms[:len(alarms)-1]
		}
		if any && (len(alarms) == 0 || next.Before(alarms[len(alarms)-1])) {
			alarms = append(alarms, next)
			time.AfterFunc(next.Sub(now), f.look)
		}
		select {
		case <-f.wake:
		case <-f.done:
			return
		}
	}
}

// look has run look at what is due.
func (f *Fabric) look() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// catchUp does what is due and returns when the next thing will be.
func (f *Fabric) catchUp() (next time.Time, any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for len(f.events) > 0 {
		if f.events[0].at.After(now) {
			return f.events[0].at, true
		}
		heap.Pop(&f.events).(event).do(now)
	}
	return next, false
}

// delay is how long a packet from a to b is on its way.
func (f *Fabric) delay(a, b *NIC) time.Duration {
	d := f.o.Latency(a.addr, b.addr)
	if j := a.line.Jitter + b.line.Jitter; j > 0 {
		d += time.Duration(f.rng.Int64N(int64(j)))
	}
	return d
}
