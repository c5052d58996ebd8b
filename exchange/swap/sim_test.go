package swap_test

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/flow"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// sim is a network of machines in a discrete-event loop: no goroutine, no
// clock, one seed.
type sim struct {
	t     testing.TB
	rng   *rand.Rand
	now   time.Time
	queue simQueue
	seq   int
	nodes []*node
	byID  map[peer.ID]*node
	trace hash.Hash
	check bool
	// progress has receivers told of messages that are on their way.
	progress bool
	// providers is what searches find, which end after searchTime.
	providers  map[cid.Cid][]peer.ID
	searchTime time.Duration
}

// node is a machine with a store and an uplink.
type node struct {
	s       *sim
	id      peer.ID
	m       *swap.Machine
	has     map[cid.Cid]block.Block
	got     map[cid.Cid]bool
	failed  map[cid.Cid]swap.Reason
	doneAt  time.Time
	need    int
	links   map[peer.ID]bool
	rtt     time.Duration
	up      float64 // bytes/s
	pace    flow.Pace
	eager   flow.Appetite
	free    time.Time
	lie     lie
	lost    map[cid.Cid]int // how often it is sent in vain
	loss    float64         // share of the blocks sent that never arrive
	wake    time.Time
	offline bool // cannot be dialed
	banned  map[peer.ID]bool
	faults  map[swap.Fault]int
	bytesIn int
}

// lie is how a node misbehaves.
type lie int

const (
	honest       lie = iota
	haveSilent       // has all, sends nothing
	corrupt          // sends other bytes
	mute             // answers nothing
	haveThenDont     // has all, until asked for it
	fickle           // has all, until asked for it; then says so, of half of them
)

type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	e := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return e
}

func newSim(t testing.TB, seed uint64) *sim {
	return &sim{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0), check: true,
		byID: make(map[peer.ID]*node), trace: sha256.New(), providers: make(map[cid.Cid][]peer.ID), searchTime: time.Second}
}

func (s *sim) node(rtt time.Duration, up float64, search bool) *node {
	n := &node{s: s, id: peer.ID(fmt.Sprintf("peer%03d", len(s.nodes))), rtt: rtt, up: up,
		has: make(map[cid.Cid]block.Block), got: make(map[cid.Cid]bool), failed: make(map[cid.Cid]swap.Reason),
		links: make(map[peer.ID]bool), lost: make(map[cid.Cid]int), banned: make(map[peer.ID]bool), faults: make(map[swap.Fault]int)}
	n.m = swap.New(swap.Options{Seed: s.rng.Uint64(), Search: search, Pace: &n.pace, Appetite: &n.eager})
	s.nodes = append(s.nodes, n)
	s.byID[n.id] = n
	return n
}

func (s *sim) after(d time.Duration, f func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{at: s.now.Add(d), seq: s.seq, do: f})
}

// run runs until nothing happens any more, or for d.
func (s *sim) run(d time.Duration, done func() bool) {
	end := s.now.Add(d)
	for len(s.queue) > 0 && !done() {
		if s.queue[0].at.After(end) {
			s.now = end
			return
		}
		e := heap.Pop(&s.queue).(simEvent)
		s.now = e.at
		e.do()
	}
}

func (s *sim) connect(a, b *node) {
	if a.links[b.id] || a.banned[b.id] || b.banned[a.id] {
		return
	}
	a.links[b.id], b.links[a.id] = true, true
	a.step(swap.PeerUp{Peer: b.id})
	b.step(swap.PeerUp{Peer: a.id})
}

func (s *sim) disconnect(a, b *node) {
	if !a.links[b.id] {
		return
	}
	delete(a.links, b.id)
	delete(b.links, a.id)
	a.step(swap.PeerDown{Peer: b.id})
	b.step(swap.PeerDown{Peer: a.id})
}

func (s *sim) blocks(n, size int, to ...*node) []cid.Cid {
	var cids []cid.Cid
	for range n {
		data := make([]byte, max(size, 8))
		binary.LittleEndian.PutUint64(data, s.rng.Uint64())
		b, err := block.New(data, block.Prefix{Codec: cid.Raw})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, n := range to {
			n.has[b.Cid()] = b
		}
		cids = append(cids, b.Cid())
	}
	return cids
}

func (n *node) want(session uint64, cids ...cid.Cid) {
	n.need += len(cids)
	n.step(swap.Want{Session: session, Cids: cids})
}

func (n *node) done() bool { return len(n.got)+len(n.failed) >= n.need }

// step feeds the machine, checks it, and carries out what it says.
func (n *node) step(e swap.Event) {
	actions := slices.Clone(n.m.Step(n.s.now, e))
	if n.s.check {
		if err := n.m.Invariants(); err != nil {
			n.s.t.Fatalf("%v %s after %T: invariant %v", n.s.now, n.id, e, err)
		}
	}
	for _, a := range actions {
		fmt.Fprintf(n.s.trace, "%v %s %T%v\n", n.s.now.UnixNano(), n.id, a, a)
		n.do(a)
	}
	if next := n.m.Next(); !next.IsZero() && (n.wake.IsZero() || next.Before(n.wake)) {
		n.wake = next
		n.s.after(max(0, next.Sub(n.s.now)), func() {
			if n.wake.Equal(next) {
				n.wake = time.Time{}
				n.step(swap.Wake{})
			}
		})
	}
}

func (n *node) do(a swap.Action) {
	switch a := a.(type) {
	case swap.Send:
		n.transmit(a.Peer, 50*(len(a.Entries)+len(a.Haves)+len(a.DontHaves)),
			swap.Received{Full: a.Full, Entries: a.Entries, Haves: a.Haves, DontHaves: a.DontHaves},
			func() { n.step(swap.Sent{Peer: a.Peer}) })
	case swap.Look:
		e := swap.Looked{Peer: a.Peer}
		for _, c := range a.Cids {
			size := -1
			if b, ok := n.has[c]; ok {
				size = b.Size()
			}
			e.Blocks = append(e.Blocks, swap.Sized{Cid: c, Size: size})
		}
		n.s.after(100*time.Microsecond, func() { n.step(e) })
	case swap.Serve:
		e := swap.Received{}
		size := 0
		for _, c := range a.Cids {
			n.lost[c]--
			if n.lost[c] < 0 && (n.loss == 0 || n.s.rng.Float64() >= n.loss) {
				e.Blocks = append(e.Blocks, n.has[c])
			}
			size += n.has[c].Size()
		}
		begin := max(0, n.free.Sub(n.s.now))
		n.transmit(a.Peer, size, e, func() { n.step(swap.Served{Peer: a.Peer, Seq: a.Seq, Size: size}) })
		for at := begin + 500*ms; at < n.free.Sub(n.s.now); at += 500 * ms {
			n.s.after(at, func() { n.step(swap.Serving{Peer: a.Peer, Seq: a.Seq, Size: int(n.up / 2)}) })
		}
	case swap.Deliver:
		c := a.Block.Cid()
		if n.got[c] {
			n.s.t.Fatalf("%s was delivered twice", c)
		}
		n.got[c] = true
		n.has[c] = a.Block
		n.doneAt = n.s.now
		n.s.after(time.Millisecond, func() { n.step(swap.Held{Blocks: []swap.Sized{{Cid: c, Size: a.Block.Size()}}}) })
	case swap.Fail:
		n.failed[a.Cid] = a.Reason
	case swap.Find:
		for i, p := range n.s.providers[a.Cid] {
			n.s.after(100*time.Millisecond*time.Duration(i+1), func() { n.step(swap.Provider{Cid: a.Cid, Peer: p}) })
		}
		n.s.after(n.s.searchTime, func() { n.step(swap.Found{Cid: a.Cid}) })
	case swap.Dial:
		n.s.after(n.rtt, func() {
			if o := n.s.byID[a.Peer]; o == nil || o.offline {
				n.step(swap.DialFailed{Peer: a.Peer})
			} else {
				n.s.connect(n, o)
			}
		})
	case swap.Ban:
		n.banned[a.Peer] = true
		o := n.s.byID[a.Peer]
		delete(n.links, a.Peer)
		n.s.after(0, func() { delete(o.links, n.id); o.step(swap.PeerDown{Peer: n.id}) })
	case swap.Report:
		n.faults[a.Fault]++
	}
}

// transmit moves a message over the uplink; sent is called when it has left.
func (n *node) transmit(to peer.ID, size int, e swap.Received, sent func()) {
	o := n.s.byID[to]
	if n.free.Before(n.s.now) {
		n.free = n.s.now
	}
	if n.s.progress {
		n.progress(o, size, n.free.Sub(n.s.now)+(n.rtt+o.rtt)/4)
	}
	n.free = n.free.Add(time.Duration(float64(size) / n.up * float64(time.Second)))
	left := n.free.Sub(n.s.now)
	n.s.after(left, func() {
		sent()
		n.s.after((n.rtt+o.rtt)/4, func() {
			if o.links[n.id] {
				o.bytesIn += size
				o.receive(n.id, e)
			}
		})
	})
}

// progress tells the receiver every 20 ms how much more of a message came, which
// begins to come after a delay.
func (n *node) progress(to *node, size int, delay time.Duration) {
	part := int(n.up * 0.02)
	for got := part; got < size; got += part {
		delay += 20 * time.Millisecond
		n.s.after(delay, func() {
			if to.links[n.id] {
				to.step(swap.Receiving{Peer: n.id, Size: part})
			}
		})
	}
}

// receive takes a message, honestly or not.
func (n *node) receive(from peer.ID, e swap.Received) {
	e.Peer = from
	if n.lie == honest {
		n.step(e)
		return
	}
	var reply swap.Received
	for _, w := range e.Entries {
		switch {
		case w.Cancel || n.lie == mute:
		case n.lie == fickle && !w.Have && w.Cid.Hash()[len(w.Cid.Hash())-1]%2 == 0:
		case (n.lie == haveThenDont || n.lie == fickle) && !w.Have:
			reply.DontHaves = append(reply.DontHaves, w.Cid)
		case w.Have:
			reply.Haves = append(reply.Haves, w.Cid)
		case n.lie == corrupt:
			b, _ := block.New(binary.LittleEndian.AppendUint64(make([]byte, 1000), n.s.rng.Uint64()), block.Prefix{Codec: cid.Raw})
			reply.Blocks = append(reply.Blocks, b)
		}
	}
	if len(reply.Haves)+len(reply.DontHaves)+len(reply.Blocks) > 0 {
		n.transmit(from, 1000, reply, func() {})
	}
}
