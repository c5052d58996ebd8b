// Package link is a model of how packets travel between hosts: a queue before each
// uplink, latency by pair, jitter, loss, and a queue before each downlink; cuts between
// groups of hosts, and hosts that are silent.
//
// It is a machine: it is given packets and the time, and says which packets come out
// where. It has no clock, no goroutine and no socket; package netns drives it with real
// packets. It does not know connections, but for the answer to TCP across a cut that
// refuses, and it models nobody's congestion control: the kernels at both ends have their own.
//
// Invariant: packets of one host to another come out in the order in which they went in,
// and what has come in has come out, waits in a bounded queue, or is counted as lost.
package link

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

const (
	// DefaultQueue is how long a packet may wait for a line that is busy.
	DefaultQueue = 100 * time.Millisecond

	// queueMin is what a queue holds however slow its line is, in bytes: with less,
	// TCP does not get off the ground.
	queueMin = 16 * 1500

	// flightMax bounds the packets on all ways together; lines without a rate do not.
	flightMax = 1 << 16
)

// Options say what all hosts have in common. The zero value is a network without latency.
type Options struct {
	// Latency is how long a packet takes between two hosts, one way. Nil: none.
	Latency func(from, to int) time.Duration
	// Queue is how long a packet may wait before an uplink or downlink. 0: DefaultQueue.
	Queue time.Duration
	// Seed decides jitter and loss.
	Seed uint64
}

// Traffic counts what went over a host's line, in bytes and packets with their headers.
type Traffic struct {
	BytesOut, BytesIn     int64
	PacketsOut, PacketsIn int64
	Lost                  int64 // packets of this host that did not arrive, for whatever reason
}

// Delivery is a packet that comes out at a host.
type Delivery struct {
	Host   int
	Due    time.Time
	Packet []byte
}

// Net is a network of hosts, which are numbered from 0. Its methods are for one goroutine,
// and the times given to them must not go back.
type Net struct {
	o      Options
	rng    *rand.Rand
	hosts  []*host
	byAddr map[netip.Addr]int
	cuts   map[[2]int]fabric.Cut
	order  map[[2]int]time.Time // of the last arrival, by pair
	events queue
	seq    uint64
}

type host struct {
	addr             netip.Addr
	line             fabric.Line
	group            int
	silent           bool
	upFree, downFree time.Time // when all that waits has left
	traffic          Traffic
}

// New makes a network without hosts.
func New(o Options) *Net {
	if o.Queue == 0 {
		o.Queue = DefaultQueue
	}
	return &Net{
		o: o, rng: rand.New(rand.NewPCG(o.Seed, 2)),
		byAddr: make(map[netip.Addr]int), cuts: make(map[[2]int]fabric.Cut), order: make(map[[2]int]time.Time),
	}
}

// Add adds a host with an IPv4 address and a perfect line, and returns its number.
func (n *Net) Add(addr netip.Addr) int {
	n.hosts = append(n.hosts, &host{addr: addr})
	n.byAddr[addr] = len(n.hosts) - 1
	return len(n.hosts) - 1
}

// SetLine changes a host's line from now on.
func (n *Net) SetLine(host int, l fabric.Line) { n.hosts[host].line = l }

// SetGroup puts a host into a group; all begin in group 0.
func (n *Net) SetGroup(host, group int) { n.hosts[host].group = group }

// SetSilent loses everything from and to a host, as if its power were gone.
func (n *Net) SetSilent(host int, silent bool) { n.hosts[host].silent = silent }

// SetCut separates the groups a and b, or joins them again. Hold loses what is sent
// across, so that TCP sends it again and again; Drop does so too, and answers TCP with a reset.
func (n *Net) SetCut(a, b int, c fabric.Cut) { n.cuts[[2]int{min(a, b), max(a, b)}] = c }

// Traffic returns what went over a host's line so far.
func (n *Net) Traffic(host int) Traffic { return n.hosts[host].traffic }

func (n *Net) cut(a, b *host) fabric.Cut {
	if a.group == b.group {
		return fabric.Open
	}
	return n.cuts[[2]int{min(a.group, b.group), max(a.group, b.group)}]
}

// Send takes a packet, which it keeps, from a host. What is not IPv4, or to nobody here, is ignored.
func (n *Net) Send(now time.Time, from int, packet []byte) {
	dst, ok := destination(packet)
	to, known := n.byAddr[dst]
	if !ok || !known {
		return
	}
	a, b := n.hosts[from], n.hosts[to]
	a.traffic.PacketsOut++
	a.traffic.BytesOut += int64(len(packet))
	if a.silent || b.silent || len(n.events) >= flightMax {
		a.traffic.Lost++
		return
	}
	if c := n.cut(a, b); c != fabric.Open {
		a.traffic.Lost++
		if reset := resetFor(packet); c == fabric.Drop && reset != nil {
			n.at(event{at: now, to: from, from: to, packet: reset, last: true})
		}
		return
	}
	left, ok := n.wait(&a.upFree, now, len(packet), a.line.Up)
	if !ok || n.lost(a, b) || b.line.NoInbound && opens(packet) {
		a.traffic.Lost++
		return
	}
	arrival := left.Add(n.delay(from, to))
	pair := [2]int{from, to}
	if last := n.order[pair]; arrival.Before(last) {
		arrival = last
	}
	n.order[pair] = arrival
	n.at(event{at: arrival, from: from, to: to, packet: packet})
}

// wait queues bytes before a line of so many bits per second, and returns when they have
// left it. A queue that is full takes none.
func (n *Net) wait(free *time.Time, now time.Time, size, bits int) (left time.Time, ok bool) {
	if bits == 0 {
		return now, true
	}
	start := now
	if free.After(now) {
		start = *free
	}
	most := max(n.o.Queue, airtime(queueMin, bits))
	if start.Sub(now) > most {
		return time.Time{}, false
	}
	*free = start.Add(airtime(size, bits))
	return *free, true
}

// airtime is how long a line of so many bits per second is busy with size bytes.
func airtime(size, bits int) time.Duration {
	return time.Duration(float64(size) * 8 / float64(bits) * float64(time.Second))
}

func (n *Net) lost(a, b *host) bool {
	p := 1 - (1-a.line.Loss)*(1-b.line.Loss)
	return p > 0 && n.rng.Float64() < p
}

func (n *Net) delay(from, to int) time.Duration {
	var d time.Duration
	if n.o.Latency != nil {
		d = n.o.Latency(from, to)
	}
	if j := n.hosts[from].line.Jitter + n.hosts[to].line.Jitter; j > 0 {
		d += time.Duration(n.rng.Int64N(int64(j)))
	}
	return d
}

// Next is when there is something to do, if nothing is sent before. ok is false if there is nothing.
func (n *Net) Next() (at time.Time, ok bool) {
	if len(n.events) == 0 {
		return time.Time{}, false
	}
	return n.events[0].at, true
}

// Step returns what comes out until now, in order.
func (n *Net) Step(now time.Time) []Delivery {
	var out []Delivery
	for len(n.events) > 0 && !n.events[0].at.After(now) {
		e := heap.Pop(&n.events).(event)
		if !e.last {
			n.arrive(e)
			continue
		}
		to := n.hosts[e.to]
		to.traffic.PacketsIn++
		to.traffic.BytesIn += int64(len(e.packet))
		out = append(out, Delivery{e.to, e.at, e.packet})
	}
	return out
}

// arrive takes a packet into the queue before the downlink. What was on its way when the
// way was cut does not arrive.
func (n *Net) arrive(e event) {
	from, to := n.hosts[e.from], n.hosts[e.to]
	left, ok := n.wait(&to.downFree, e.at, len(e.packet), to.line.Down)
	if !ok || from.silent || to.silent || n.cut(from, to) != fabric.Open {
		from.traffic.Lost++
		return
	}
	e.at, e.last = left, true
	n.at(e)
}

func (n *Net) at(e event) {
	n.seq++
	e.seq = n.seq
	heap.Push(&n.events, e)
}

// event is a packet that reaches a downlink or, if last, a host.
type event struct {
	at       time.Time
	seq      uint64 // the order of what is at the same time
	from, to int
	last     bool
	packet   []byte
}

// queue is a heap of events, the next first.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].seq < q[j].seq
	}
	return q[i].at.Before(q[j].at)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}
