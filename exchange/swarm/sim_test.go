package swarm_test

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/flow"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

const (
	ms   = time.Millisecond
	mbit = 1e6 / 8 // bytes/s
	// pieceSize is how much of a reply an uplink sends before it is another's turn, and
	// socketSize how much of what is sent to a peer seems to be sent.
	pieceSize  = 16 << 10
	socketSize = 256 << 10
)

// sim is a network of machines in a time of its own. Each has an uplink that its
// connections share in turn; frames are small and in nobody's way.
type sim struct {
	t      testing.TB
	rng    *rand.Rand
	now    time.Time
	events events
	seq    uint64
	nodes  []*node
	leaves []block.Block
	root   cid.Cid
	check  bool
}

type node struct {
	s     *sim
	id    peer.ID
	m     *swarm.Machine
	rtt   time.Duration // to everybody
	up    float64       // bytes/s
	pace  flow.Pace
	eager flow.Appetite
	has   map[cid.Cid]bool
	nodes bool // it has the nodes of the DAG
	got   int
	done  time.Time
	wake  time.Time

	conns map[*node]*conn
	turn  []*conn // with something to send
	busy  bool

	sent    int // bytes of leaves
	faults  []swarm.Fault
	frames  int
	opens   int  // of these
	silent  bool // takes all and sends nothing
	deaf    bool // hears nothing
	guest   bool // others take it for one that speaks another protocol
	settled time.Time
	lacked  time.Time // a leaf, first
}

// conn is what a node sends to another.
type conn struct {
	to      *node
	queue   []*piece
	backlog int // bytes that are not sent yet
	open    map[uint32]bool
}

// piece is a part of a reply; after it do is done.
type piece struct {
	size int
	do   func() // when it arrives
	gone func() // when it has seemed to be sent
}

type event struct {
	at  time.Time
	seq uint64
	f   func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// newSim makes a DAG of n leaves.
func newSim(t testing.TB, seed uint64, n, size int) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1e9, 0), check: n <= 64}
	for i := range n {
		data := make([]byte, size)
		binary.LittleEndian.PutUint64(data, uint64(i)<<20|seed)
		b, err := block.New(data, block.Prefix{Codec: cid.Raw})
		if err != nil {
			t.Fatal(err)
		}
		s.leaves = append(s.leaves, b)
	}
	b, err := block.New([]byte{}, block.Prefix{Codec: cid.DagProtobuf})
	if err != nil {
		t.Fatal(err)
	}
	s.root = b.Cid()
	return s
}

func (s *sim) after(d time.Duration, f func()) {
	s.seq++
	heap.Push(&s.events, event{s.now.Add(d), s.seq, f})
}

func (s *sim) node(rtt time.Duration, up float64) *node {
	n := &node{s: s, id: peer.ID(fmt.Sprint("node ", len(s.nodes))), rtt: rtt, up: up, has: make(map[cid.Cid]bool), conns: make(map[*node]*conn)}
	n.m = swarm.New(swarm.Options{Seed: s.rng.Uint64(), Pace: &n.pace, Appetite: &n.eager})
	s.nodes = append(s.nodes, n)
	return n
}

// fillUp gives a node all leaves.
func (n *node) fillUp() *node {
	n.nodes = true
	for _, b := range n.s.leaves {
		n.has[b.Cid()] = true
	}
	return n
}

func (s *sim) connect(a, b *node) {
	if a == b || a.conns[b] != nil {
		return
	}
	a.conns[b] = &conn{to: b, open: make(map[uint32]bool)}
	b.conns[a] = &conn{to: a, open: make(map[uint32]bool)}
	a.step(swarm.PeerUp{Peer: b.id, RTT: (a.rtt + b.rtt) / 2, Guest: b.guest})
	b.step(swarm.PeerUp{Peer: a.id, RTT: (a.rtt + b.rtt) / 2, Guest: a.guest})
}

func (s *sim) disconnect(a, b *node) {
	delete(a.conns, b)
	delete(b.conns, a)
	a.step(swarm.PeerDown{Peer: b.id})
	b.step(swarm.PeerDown{Peer: a.id})
}

// run runs until all are done or the time is over.
func (s *sim) run(most time.Duration, done func() bool) bool {
	end := s.now.Add(most)
	for len(s.events) > 0 && !done() {
		e := heap.Pop(&s.events).(event)
		if e.at.After(end) {
			break
		}
		s.now = e.at
		e.f()
	}
	return done()
}

func (n *node) other(id peer.ID) *node {
	for _, o := range n.s.nodes {
		if o.id == id {
			return o
		}
	}
	return nil
}

func (n *node) step(e swarm.Event) {
	s := n.s
	for _, a := range slices.Clone(n.m.Step(s.now, e)) {
		n.do(a)
	}
	if s.check {
		if err := n.m.Invariants(); err != nil {
			s.t.Fatalf("%v, %s after %T: %v", s.now.Sub(time.Unix(1e9, 0)), n.id, e, err)
		}
	}
	next := n.m.Next()
	if !next.IsZero() && (n.wake.IsZero() || next.Before(n.wake) || !n.wake.After(s.now)) {
		n.wake = next
		s.after(max(0, next.Sub(s.now)), func() {
			if n.wake.Equal(next) {
				n.wake = time.Time{}
				n.step(swarm.Wake{})
			}
		})
	}
}

func (n *node) do(a swarm.Action) {
	s := n.s
	switch a := a.(type) {
	case swarm.Send:
		c := n.conns[n.other(a.Peer)]
		s.after(0, func() { n.step(swarm.Sent{Peer: a.Peer}) })
		if c == nil {
			return
		}
		n.frames += len(a.Frames)
		for _, f := range a.Frames {
			if _, is := f.(frame.Open); is {
				n.opens++
			}
		}
		s.after((n.rtt+c.to.rtt)/4, func() {
			if c.to.conns[n] != nil && !c.to.deaf {
				c.to.step(swarm.Frames{Peer: n.id, Frames: a.Frames})
			}
		})
	case swarm.Load:
		s.after(ms, func() { n.step(n.load(a)) })
	case swarm.ServeNodes:
		n.write(a.Peer, a.Seq, 1000, func(to *node) {
			leaves := make([]cid.Cid, len(s.leaves))
			for i, b := range s.leaves {
				leaves[i] = b.Cid()
			}
			to.nodes = true
			to.step(swarm.Indexed{Peer: n.id, Channel: a.Channel, Leaves: leaves, Nodes: 1, Pushed: a.Pushed})
		}, true)
	case swarm.Serve:
		for k, i := range a.Numbers {
			n.writeLeaf(a.Peer, a.Seq, a.Channel, i, k == len(a.Numbers)-1)
		}
	case swarm.Deliver:
		n.has[a.Block.Cid()] = true
		n.got++
		if n.got == len(s.leaves) {
			n.done = s.now
		}
		s.after(ms, func() {
			n.step(swarm.Held{Blocks: []swarm.Sized{{Cid: a.Block.Cid(), Size: a.Block.Size()}}})
		})
	case swarm.Settled:
		n.settled = s.now
	case swarm.Lack:
		if n.lacked.IsZero() {
			n.lacked = s.now
		}
	case swarm.Report:
		n.faults = append(n.faults, a.Fault)
	case swarm.Ban:
		o := n.other(a.Peer)
		s.after(0, func() { s.disconnect(n, o) })
	}
}

func (n *node) load(a swarm.Load) swarm.Loaded {
	e := swarm.Loaded{Root: a.Root}
	if !n.nodes && a.Leaves == nil {
		e.Err = fmt.Errorf("not here")
		return e
	}
	e.Index.Nodes = 1
	for _, b := range n.s.leaves {
		e.Index.Leaves = append(e.Index.Leaves, b.Cid())
		size := -1
		if n.has[b.Cid()] {
			size = b.Size()
		}
		e.Index.Sizes = append(e.Index.Sizes, size)
	}
	return e
}

func (n *node) writeLeaf(to peer.ID, seq uint64, channel uint32, i int, last bool) {
	if n.silent {
		return
	}
	b := n.s.leaves[i]
	n.sent += b.Size()
	n.write(to, seq, b.Size(), func(o *node) {
		o.step(swarm.Leaf{Peer: n.id, Channel: channel, Number: i, Block: b})
	}, last)
}

// write puts size bytes into the socket to a peer.
func (n *node) write(id peer.ID, seq uint64, size int, arrive func(*node), last bool) {
	to := n.other(id)
	c := n.conns[to]
	if c == nil {
		if last {
			n.s.after(0, func() { n.step(swarm.Served{Peer: id, Seq: seq, Failed: true}) })
		}
		return
	}
	if len(c.queue) == 0 {
		n.turn = append(n.turn, c)
	}
	for left := size; left > 0; left -= pieceSize {
		p := &piece{size: min(left, pieceSize)}
		if left <= pieceSize {
			p.do = func() { arrive(to) }
			if last {
				p.gone = func() { n.step(swarm.Served{Peer: id, Seq: seq, Size: size}) }
			}
		} else {
			m := p.size
			p.do = func() { to.step(swarm.Receiving{Peer: n.id, Size: m}) }
		}
		c.queue = append(c.queue, p)
		c.backlog += p.size
	}
	n.seemSent(c)
	n.pump()
}

// seemSent tells of what the socket has room for.
func (n *node) seemSent(c *conn) {
	room := socketSize
	for _, p := range c.queue {
		if room -= p.size; room < 0 {
			return
		}
		if gone := p.gone; gone != nil {
			p.gone = nil
			n.s.after(0, gone)
		}
	}
}

// pump sends the next piece.
func (n *node) pump() {
	if n.busy || len(n.turn) == 0 {
		return
	}
	n.busy = true
	c := n.turn[0]
	n.turn = n.turn[1:]
	p := c.queue[0]
	n.s.after(time.Duration(float64(p.size)/n.up*float64(time.Second)), func() {
		n.busy = false
		c.queue = c.queue[1:]
		c.backlog -= p.size
		if len(c.queue) > 0 {
			n.turn = append(n.turn, c)
		}
		if p.gone != nil {
			n.s.after(0, p.gone)
		}
		n.s.after((n.rtt+c.to.rtt)/4, func() {
			if c.to.conns[n] != nil {
				p.do()
			}
		})
		n.seemSent(c)
		n.pump()
	})
}

// crowd is what a flash crowd has taken.
type crowd struct {
	worst, median float64 // times the bound
	dup           float64 // share
	copies        float64 // sent by the seed
	frames        float64 // for each leaf and peer
}

// flashCrowd has n peers fetch what one has; degree 0 connects all with all.
func flashCrowd(t testing.TB, seed uint64, n, leaves, size, degree int, up float64) crowd {
	s := newSim(t, seed, leaves, size)
	origin := s.node(50*ms, up).fillUp()
	var all []*node
	for range n {
		all = append(all, s.node(50*ms, up))
	}
	if everyone := s.nodes; degree == 0 || degree >= n {
		for i, a := range everyone {
			for _, b := range everyone[:i] {
				s.connect(a, b)
			}
		}
	} else {
		for range degree / 2 {
			order := s.rng.Perm(len(everyone))
			for i, k := range order {
				s.connect(everyone[k], everyone[order[(i+1)%len(order)]])
			}
		}
	}
	began := s.now
	for _, o := range all {
		s.after(time.Duration(s.rng.IntN(10))*ms, func() { o.step(swarm.Fetch{ID: 1, Root: s.root}) })
	}
	left := func() bool {
		return !slices.ContainsFunc(all, func(o *node) bool { return o.done.IsZero() })
	}
	if !s.run(time.Hour, left) {
		for _, o := range all {
			t.Logf("%s has %d of %d; %+v", o.id, o.got, leaves, o.m.Stats())
		}
		t.Fatalf("not all are done after %v", s.now.Sub(began))
	}
	var c crowd
	var times []float64
	dups, frames := int64(0), 0
	for _, o := range all {
		times = append(times, o.done.Sub(began).Seconds())
		dups += o.m.Stats().DupLeaves
		frames += o.frames
	}
	slices.Sort(times)
	file := float64(leaves * size)
	bound := math.Max(file/up, float64(n)*file/(up*float64(n+1)))
	c.worst, c.median = times[n-1]/bound, times[n/2]/bound
	c.dup, c.copies = float64(dups)/float64(n*leaves), float64(origin.sent)/file
	c.frames = float64(frames) / float64(n*leaves)
	return c
}
