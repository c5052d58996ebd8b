package swarm_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// TestSimGuests: peers that have all leaves and speak another protocol are sources as good as
// others, once there is a swarm, and are asked for no leaf that comes from elsewhere.
func TestSimGuests(t *testing.T) {
	crowd := func(seed uint64, guests int) (took time.Duration, fromGuests, dups int) {
		s := newSim(t, seed, 64, 256<<10)
		nodes := []*node{s.node(50*ms, 10*mbit).fillUp()}
		for range guests {
			g := s.node(50*ms, 10*mbit).fillUp()
			g.guest = true
			nodes = append(nodes, g)
		}
		fetchers := []*node{s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit)}
		for i, f := range fetchers {
			for _, o := range slices.Concat(nodes, fetchers[:i]) {
				s.connect(f, o)
			}
		}
		began := s.now
		for _, f := range fetchers {
			f.step(swarm.Fetch{ID: 1, Root: s.root})
		}
		done := func() bool { return !slices.ContainsFunc(fetchers, func(n *node) bool { return n.done.IsZero() }) }
		if !s.run(time.Minute, done) {
			t.Fatalf("seed %d, %d guests: not all is there after a minute", seed, guests)
		}
		for _, f := range fetchers {
			took = max(took, f.done.Sub(began))
			dups += int(f.m.Stats().DupLeaves)
		}
		for _, g := range nodes[1:] {
			fromGuests += g.sent / (256 << 10)
		}
		return took, fromGuests, dups
	}
	for seed := range uint64(5) {
		alone, _, _ := crowd(seed, 0)
		took, sent, dups := crowd(seed, 4)
		t.Logf("seed %d: %v, %v with four guests, who sent %d; %d came twice", seed, alone, took, sent, dups)
		if took > alone*3/4 || sent < 64 || dups > 4*64/20 {
			t.Errorf("seed %d: %v, %v with four guests, who sent %d; %d came twice", seed, alone, took, sent, dups)
		}
	}
}

// besideSilent is a node among guests that say that they have all leaves, and send none.
func besideSilent(t *testing.T, leaves, guests int) (*sim, *node) {
	s := newSim(t, 1, leaves, 1000)
	get, near := s.node(50*ms, 10*mbit), s.node(0, 10*mbit) // near has no leaf, but guests are asked where there is a swarm
	get.nodes, near.nodes = true, true                      // so that no leaf is sent unasked
	s.connect(get, near)
	for range guests {
		o := s.node(0, 10*mbit).fillUp()
		o.silent, o.guest = true, true
		s.connect(get, o)
	}
	return s, get
}

// TestSilentGuests: guests that say that they have what they never send do not keep a leaf from
// one who sends it, however far away, and whatever else happens.
func TestSilentGuests(t *testing.T) {
	for _, silent := range []int{1, 2, 8} {
		for _, leaves := range []int{1, 40} {
			s, get := besideSilent(t, leaves, silent)
			s.connect(get, s.node(600*ms, 10*mbit).fillUp())
			began := s.now
			get.step(swarm.Fetch{ID: 1, Root: s.root})
			if !s.run(5*time.Minute, func() bool { return !get.done.IsZero() }) {
				t.Fatalf("%d silent guests: %d of %d leaves", silent, get.got, leaves)
			}
			took := get.done.Sub(began)
			t.Logf("%d leaves, %d silent guests: %v", leaves, silent, took)
			if took > 20*time.Second {
				t.Errorf("%d leaves, %d silent guests: %v", leaves, silent, took)
			}
		}
	}
}

// TestOnlySilentGuests: what only those say to have who send nothing is soon asked for by name.
func TestOnlySilentGuests(t *testing.T) {
	for _, silent := range []int{1, 2, 8} {
		s, get := besideSilent(t, 1, silent)
		began := s.now
		get.step(swarm.Fetch{ID: 1, Root: s.root})
		if !s.run(5*time.Minute, func() bool { return !get.lacked.IsZero() }) {
			t.Fatalf("%d silent guests: the leaf is never said to be lacking", silent)
		}
		took := get.lacked.Sub(began)
		t.Logf("%d silent guests: %v", silent, took)
		if took > 20*time.Second {
			t.Errorf("%d silent guests: %v until the leaf was said to be lacking", silent, took)
		}
	}
}

// TestGuestAlone: who only has guests asks them nothing: what it needs is unclaimed.
func TestGuestAlone(t *testing.T) {
	s := newSim(t, 1, 8, 1000)
	get, g := s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit).fillUp()
	g.guest = true
	s.connect(get, g)
	get.step(swarm.Fetch{ID: 1, Root: s.root})
	s.run(5*time.Second, func() bool { return false })
	if c := get.m.Claim(1, s.root); c != swarm.Unclaimed || get.got > 0 {
		t.Errorf("the root is claimed: %d, %d leaves have come", c, get.got)
	}
}

// TestGuestIsServed: a guest's requests for leaves of a DAG that is shared are answered, though
// no peer is let in.
func TestGuestIsServed(t *testing.T) {
	s := newSim(t, 1, 8, 1000)
	n, other, g := s.node(50*ms, 10*mbit).fillUp(), s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit)
	g.guest = true
	s.connect(n, other)
	if _, _, ok := n.m.Shared(s.leaves[3].Cid()); ok {
		t.Error("shared before anybody has asked")
	}
	other.step(swarm.Fetch{ID: 1, Root: s.root})
	s.run(time.Minute, func() bool { return !other.done.IsZero() })
	if root, i, ok := n.m.Shared(s.leaves[3].Cid()); ok && (!root.Equals(s.root) || i != 3) {
		t.Errorf("leaf 3 is %d of %v", i, root)
	}
	s.connect(n, g)
	g.step(swarm.Fetch{ID: 1, Root: s.root})
	if !s.run(time.Minute, func() bool { return !g.done.IsZero() }) {
		t.Errorf("the guest has %d leaves", g.got)
	}
}

// opened is the channel of the last Open.
func opened(sent []frame.Frame) (channel uint32) {
	for _, f := range sent {
		if o, ok := f.(frame.Open); ok {
			channel = o.Channel
		}
	}
	return channel
}

// TestNodesFromElsewhere: peers that fetch the same DAG, of which nobody in the swarm has the
// nodes, exchange it as soon as one has got them by another protocol.
func TestNodesFromElsewhere(t *testing.T) {
	s := newSim(t, 1, 4, 1000)
	m, now := swarm.New(swarm.Options{}), s.now
	var sent []frame.Frame
	var loads, settled int
	step := func(e swarm.Event) {
		now = now.Add(ms)
		for _, a := range m.Step(now, e) {
			switch a := a.(type) {
			case swarm.Send:
				sent = append(sent, a.Frames...)
			case swarm.Load:
				loads++
			case swarm.Settled:
				settled++
			}
		}
		if err := m.Invariants(); err != nil {
			t.Fatal(err)
		}
	}
	missing := swarm.Loaded{Root: s.root, Err: errors.New("not there"), Missing: s.root}
	step(swarm.PeerUp{Peer: "other"})
	step(swarm.Fetch{ID: 1, Root: s.root})
	step(swarm.Frames{Peer: "other", Frames: []frame.Frame{frame.Open{Channel: 9, Root: s.root, Nodes: true}}})
	step(missing)
	step(swarm.Sent{Peer: "other"})
	if !slices.ContainsFunc(sent, func(f frame.Frame) bool { h, ok := f.(frame.Have); return ok && h.Channel == 9 && len(h.Ranges) == 0 }) {
		t.Fatalf("who fetches it too was told %v, want that nodes may follow", sent)
	}
	step(swarm.Held{Blocks: []swarm.Sized{{Cid: s.leaves[0].Cid(), Size: 1000}}})
	step(swarm.Frames{Peer: "other", Frames: []frame.Frame{frame.Have{Channel: opened(sent)}}})
	if loads != 1 {
		t.Errorf("%d loads after another block has come", loads)
	}
	step(swarm.Held{Blocks: []swarm.Sized{{Cid: s.root, Size: 10}}})
	if loads != 2 {
		t.Fatalf("%d loads after the missing block has come", loads)
	}
	step(missing) // another node that is not there either
	step(swarm.Held{Blocks: []swarm.Sized{{Cid: s.root, Size: 10}}})
	x := swarm.Index{Nodes: 1, Sizes: []int{1000, -1, -1, -1}}
	for _, b := range s.leaves {
		x.Leaves = append(x.Leaves, b.Cid())
	}
	sent = nil
	step(swarm.Loaded{Root: s.root, Index: x})
	if c := m.Claim(1, s.leaves[1].Cid()); loads != 3 || c != swarm.Claimed || settled == 0 {
		t.Errorf("%d loads, settled %d times, claim %d of a leaf that has not come", loads, settled, c)
	}
	if !slices.ContainsFunc(sent, func(f frame.Frame) bool {
		h, ok := f.(frame.Have)
		return ok && h.Channel == 9 && slices.Equal(h.Ranges, []frame.Range{{First: 0, Count: 1}})
	}) {
		t.Errorf("who waits was told %v, want that leaf 0 is here", sent)
	}
}
