package swarm_test

import (
	"errors"
	"fmt"
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

// TestOneSeed: a file from one peer takes what its line allows.
func TestOneSeed(t *testing.T) {
	for _, c := range []struct{ n, size int }{{1, 1000}, {64, 256 << 10}, {16, 1 << 20}, {3000, 4 << 10}} {
		s := newSim(t, 1, c.n, c.size)
		seed, get := s.node(50*ms, 100*mbit).fillUp(), s.node(50*ms, 100*mbit)
		s.connect(seed, get)
		began := s.now
		get.step(swarm.Fetch{ID: 1, Root: s.root})
		if !s.run(time.Minute, func() bool { return !get.done.IsZero() }) {
			t.Fatalf("%d leaves of %d bytes: got %d", c.n, c.size, get.got)
		}
		limit := 50*ms + time.Duration(float64(c.n*c.size)/(100*mbit)*float64(time.Second))
		took := get.done.Sub(began)
		t.Logf("%d leaves of %d bytes: %v, limit %v", c.n, c.size, took, limit)
		if took > limit*11/10+5*ms {
			t.Errorf("%d leaves of %d bytes took %v, limit %v", c.n, c.size, took, limit)
		}
		if d := get.m.Stats().DupLeaves; d > 0 {
			t.Errorf("%d duplicates from one seed", d)
		}
	}
}

// TestFlashCrowd: many want at the same time what one has, and take little more time than
// one would alone.
func TestFlashCrowd(t *testing.T) {
	for _, c := range []struct {
		n, leaves, degree int
		most              float64 // times the bound
	}{{4, 32, 0, 1.3}, {16, 32, 8, 1.5}, {16, 32, 0, 1.5}, {64, 32, 8, 1.7}, {64, 32, 0, 1.7}, {16, 256, 8, 1.2}} {
		got := flashCrowd(t, 1, c.n, c.leaves, 256<<10, c.degree, 10*mbit)
		t.Logf("%+v: %+v", c, got)
		if got.worst > c.most || got.dup > 0.02 || got.copies > 1.5 {
			t.Errorf("%d peers: %+v", c.n, got)
		}
	}
}

// TestRiders: peers that hardly pass on what they get do not hold up those that do.
func TestRiders(t *testing.T) {
	last := func(seed uint64, riders int) (worst time.Duration) {
		s := newSim(t, seed, 32, 256<<10)
		s.node(50*ms, 10*mbit).fillUp()
		var givers []*node
		for k := range 12 + riders {
			up := 10.0 * mbit
			if k >= 12 {
				up = 0.01 * mbit
			}
			o := s.node(50*ms, up)
			if k < 12 {
				givers = append(givers, o)
			}
		}
		for i, a := range s.nodes {
			for _, b := range s.nodes[:i] {
				s.connect(a, b)
			}
		}
		began := s.now
		for _, o := range s.nodes[1:] {
			o.step(swarm.Fetch{ID: 1, Root: s.root})
		}
		if !s.run(time.Hour, func() bool { return !slices.ContainsFunc(givers, func(o *node) bool { return o.done.IsZero() }) }) {
			t.Fatal("not all are done who give")
		}
		for _, o := range givers {
			worst = max(worst, o.done.Sub(began))
		}
		return worst
	}
	const seeds = 16
	var alone, beside time.Duration
	for seed := range uint64(seeds) {
		alone, beside = alone+last(seed, 0), beside+last(seed, 4)
	}
	t.Logf("%v, and %v beside four that hardly give", alone/seeds, beside/seeds)
	if beside > alone*14/10 {
		t.Errorf("12 took %v, and %v beside four that hardly give", alone/seeds, beside/seeds)
	}
}

// TestSpreaders: who passes on all that it gets is not served later than who can pass on little, as
// what it gets comes to the other too.
func TestSpreaders(t *testing.T) {
	const seeds = 20
	var strong, weak time.Duration
	for seed := range uint64(seeds) {
		s := newSim(t, seed, 32, 256<<10)
		a, b, c := s.node(50*ms, 10*mbit).fillUp(), s.node(50*ms, 10*mbit), s.node(50*ms, 2.5*mbit)
		s.connect(a, b)
		s.connect(a, c)
		s.connect(b, c)
		began := s.now
		for _, n := range []*node{b, c} {
			n.step(swarm.Fetch{ID: 1, Root: s.root})
		}
		if !s.run(time.Minute, func() bool { return !b.done.IsZero() && !c.done.IsZero() }) {
			t.Fatal("not all are done")
		}
		strong, weak = strong+b.done.Sub(began), weak+c.done.Sub(began)
	}
	t.Logf("%v with 10 Mbit/s up, %v with 2.5", strong/seeds, weak/seeds)
	if strong > weak*6/5 {
		t.Errorf("%v with 10 Mbit/s up, %v with 2.5", strong/seeds, weak/seeds)
	}
}

// TestSparse: who is not connected to the seed gets all from who is.
func TestSparse(t *testing.T) {
	s := newSim(t, 1, 8, 256<<10)
	a, b, c := s.node(50*ms, 10*mbit).fillUp(), s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit)
	s.connect(a, b)
	s.connect(b, c)
	b.step(swarm.Fetch{ID: 1, Root: s.root})
	c.step(swarm.Fetch{ID: 1, Root: s.root})
	if !s.run(time.Minute, func() bool { return !b.done.IsZero() && !c.done.IsZero() }) {
		t.Fatalf("got %d, %d", b.got, c.got)
	}
	if late := c.done.Sub(b.done); late > 500*ms {
		t.Errorf("the second had all %v after the first", late)
	}
}

// TestNobodyKnows: peers that fetch the same do not wait for each other for ever, nor for one
// that never answers, when nobody has it.
func TestNobodyKnows(t *testing.T) {
	s := newSim(t, 1, 8, 1000)
	a, b := s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit)
	mute, refuses := s.node(50*ms, 10*mbit), s.node(50*ms, 10*mbit)
	mute.deaf = true
	s.connect(a, b)
	s.connect(a, mute)
	s.connect(b, refuses)
	began := s.now
	a.step(swarm.Fetch{ID: 1, Root: s.root})
	b.step(swarm.Fetch{ID: 1, Root: s.root})
	s.run(20*time.Second, func() bool { return !a.settled.IsZero() && !b.settled.IsZero() })
	if a.settled.IsZero() || b.settled.IsZero() {
		t.Fatalf("settled %v, %v", a.settled, b.settled)
	}
	if took := b.settled.Sub(began); took > 2*time.Second {
		t.Errorf("it took %v until it was clear that nobody knows the DAG", took)
	}
}

// TestGuesses: who is connected to very many does not ask them all, but at once one that is said
// to have it.
func TestGuesses(t *testing.T) {
	const peers, guesses = 200, 64
	s := newSim(t, 1, 8, 1000)
	get, seed := s.node(50*ms, 10*mbit), s.node(80*ms, 10*mbit).fillUp() // which is the farthest, and so the last
	s.connect(get, seed)
	for range peers {
		s.connect(get, s.node(50*ms, 10*mbit))
	}
	began := s.now
	get.step(swarm.Fetch{ID: 1, Root: s.root})
	s.run(2*time.Second, func() bool { return !get.settled.IsZero() })
	if get.settled.IsZero() || get.opens != guesses {
		t.Fatalf("asked %d after %v, settled: %t", get.opens, s.now.Sub(began), !get.settled.IsZero())
	}
	get.step(swarm.Provider{Peer: seed.id, Root: s.root})
	s.run(time.Second, func() bool { return !get.done.IsZero() })
	if get.done.IsZero() || get.opens != guesses+1 {
		t.Errorf("got %d leaves, asked %d", get.got, get.opens)
	}
}

// TestSeekersAreFew: of peers who fetch a DAG as well, and do not know it yet, no more are asked
// because those that had refused may be asked again.
func TestSeekersAreFew(t *testing.T) {
	m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(0)
	opened := 0
	var step func(swarm.Event)
	step = func(e swarm.Event) {
		for _, a := range slices.Clone(m.Step(now, e)) {
			s, ok := a.(swarm.Send)
			if !ok {
				continue
			}
			step(swarm.Sent{Peer: s.Peer})
			for _, f := range s.Frames {
				o, ok := f.(frame.Open)
				if !ok {
					continue
				}
				opened++
				if opened%2 == 0 {
					step(swarm.Frames{Peer: s.Peer, Frames: []frame.Frame{frame.End{Channel: o.Channel, Reason: frame.EndUnknown}}})
				} else {
					step(swarm.Frames{Peer: s.Peer, Frames: []frame.Frame{frame.Have{Channel: o.Channel}}})
				}
			}
		}
	}
	for i := range 60 {
		step(swarm.PeerUp{Peer: peer.ID(fmt.Sprintf("p%02d", i)), RTT: 50 * ms})
	}
	step(swarm.Fetch{ID: 1, Root: root})
	step(swarm.Loaded{Root: root, Err: errors.New("not here")})
	first := opened
	for end := now.Add(time.Minute); now.Before(end); {
		now = now.Add(100 * ms)
		step(swarm.Wake{})
	}
	if again := opened - first; first < 60 || again > 15 {
		t.Errorf("%d were asked, and %d more in a minute", first, again)
	}
}

// TestLastOneGoes: that nobody knows a DAG is clear when the last peer goes that had not
// said so.
func TestLastOneGoes(t *testing.T) {
	s := newSim(t, 1, 8, 1000)
	get, refuses, mute := s.node(50*ms, 10*mbit), s.node(20*ms, 10*mbit), s.node(100*ms, 10*mbit)
	mute.deaf = true
	s.connect(get, refuses)
	s.connect(get, mute)
	get.step(swarm.Fetch{ID: 1, Root: s.root})
	s.run(500*ms, func() bool { return false })
	if !get.settled.IsZero() {
		t.Fatal("settled before the peer has gone")
	}
	s.disconnect(get, mute)
	if s.run(time.Second, func() bool { return !get.settled.IsZero() }); get.settled.IsZero() {
		t.Error("not settled after the peer has gone")
	}
}

// TestNodesNeverCome: beside a peer that is alive, and of whose nodes none come, another is
// asked, and the blocks can soon be asked for by name.
func TestNodesNeverCome(t *testing.T) {
	m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cid.NewCidV1(cid.DagProtobuf, []byte("\x12\x20root56789012345678901234567890\x00\x00"))
	m.Step(now, swarm.PeerUp{Peer: "a", RTT: 50 * ms})
	m.Step(now, swarm.Fetch{ID: 1, Root: root})
	asked, opened := map[peer.ID]uint32{}, map[peer.ID]uint32{}
	var settled time.Time
	look := func(actions []swarm.Action) {
		for _, a := range actions {
			if _, ok := a.(swarm.Settled); ok && settled.IsZero() {
				settled = now
			}
			if s, ok := a.(swarm.Send); ok {
				for _, f := range s.Frames {
					if o, ok := f.(frame.Open); ok {
						asked[s.Peer] = o.Channel
						if o.Nodes {
							opened[s.Peer] = o.Channel
						}
					}
				}
			}
		}
	}
	look(m.Step(now, swarm.Loaded{Root: root, Err: errors.New("not here")}))
	look(m.Step(now, swarm.Sent{Peer: "a"}))
	look(m.Step(now, swarm.PeerUp{Peer: "b", RTT: 100 * ms}))
	look(m.Step(now, swarm.Frames{Peer: "b", Frames: []frame.Frame{frame.Have{Channel: asked["b"], Ranges: []frame.Range{{First: 0, Count: 1}}}}}))
	if len(opened) != 1 {
		t.Fatalf("%d peers were asked for the nodes", len(opened))
	}
	look(m.Step(now, swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Have{Channel: asked["a"], Ranges: []frame.Range{{First: 0, Count: 1}}}}}))
	began, beside := now, time.Time{}
	for now.Sub(began) < 10*time.Second {
		now = now.Add(100 * ms)
		for _, p := range []peer.ID{"a", "b"} {
			look(m.Step(now, swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Allow{Size: 1 << 20}}}))
			look(m.Step(now, swarm.Sent{Peer: p}))
		}
		if len(opened) == 2 && beside.IsZero() {
			beside = now
		}
	}
	if took := beside.Sub(began); beside.IsZero() || took < 150*ms || took > 400*ms {
		t.Errorf("another was asked after %v", took)
	}
	if took := settled.Sub(began); settled.IsZero() || took > 6*time.Second {
		t.Errorf("settled after %v", took)
	}
}

// TestNodesFromMany: the more peers are late with the nodes, the more others are asked at a time,
// but not many; and a peer that has sent some may take longer over the next.
func TestNodesFromMany(t *testing.T) {
	if got, want := sourcesOf(false), []int{1, 3, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("of silent peers %v were asked for the nodes, want %v", got, want)
	}
	if got, want := sourcesOf(true), []int{1, 3}; !slices.Equal(got, want) {
		t.Errorf("beside one that sends some %v were asked for the nodes, want %v", got, want)
	}
}

// sourcesOf tells how many peers of eight have been asked for nodes within 1.1 s, each time it is
// more. If walks is set, the second of them sends some as soon as it is asked.
func sourcesOf(walks bool) []int {
	m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(0)
	all := []peer.ID{"a", "b", "c", "d", "e", "f", "g", "h"}
	for i, p := range all {
		m.Step(now, swarm.PeerUp{Peer: p, RTT: time.Duration(50+i) * ms})
	}
	var asked []peer.ID // for the nodes, in order
	channels := map[peer.ID]uint32{}
	look := func(e swarm.Event) {
		for _, a := range m.Step(now, e) {
			if s, ok := a.(swarm.Send); ok {
				for _, f := range s.Frames {
					if o, ok := f.(frame.Open); ok {
						channels[s.Peer] = o.Channel
						if o.Nodes {
							asked = append(asked, s.Peer)
						}
					}
				}
			}
		}
	}
	look(swarm.Fetch{ID: 1, Root: root})
	look(swarm.Loaded{Root: root, Err: errors.New("not here")})
	for _, p := range all { // all say that they have something
		look(swarm.Sent{Peer: p})
		look(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Have{Channel: channels[p], Ranges: []frame.Range{{First: 0, Count: 1}}}}})
	}
	counts := []int{len(asked)}
	for range 22 { // 1.1 s
		now = now.Add(50 * ms)
		look(swarm.Wake{})
		for _, p := range all {
			look(swarm.Sent{Peer: p})
		}
		if n := len(asked); n > counts[len(counts)-1] {
			counts = append(counts, n)
			if walks {
				look(swarm.Walked{Peer: asked[1], Channel: channels[asked[1]]}) // the second sends some
			}
		}
	}
	return counts
}

// TestNodesFromTwo: if two are asked for the nodes because a third keeps them back, the leaves that
// follow the nodes unasked come from one of them alone.
func TestNodesFromTwo(t *testing.T) {
	s := newSim(t, 1, 32, 64<<10)
	get, mute := s.node(50*ms, 10*mbit), s.node(10*ms, 10*mbit).fillUp()
	mute.deaf = true
	s.connect(get, mute)
	for range 2 {
		s.connect(get, s.node(50*ms, 10*mbit).fillUp())
	}
	get.step(swarm.Fetch{ID: 1, Root: s.root})
	if !s.run(time.Minute, func() bool { return !get.done.IsZero() }) {
		t.Fatalf("%d leaves have come", get.got)
	}
	if st := get.m.Stats(); st.DupLeaves > 1 || get.opens < 4 {
		t.Errorf("%d leaves came twice, after %d Opens", st.DupLeaves, get.opens)
	}
}

// TestMuteNewcomers: peers that come one after the other, and never answer, do not keep a fetch from
// looking elsewhere.
func TestMuteNewcomers(t *testing.T) {
	began := time.Unix(1000, 0)
	m, now := swarm.New(swarm.Options{}), began
	root := cidOf(0)
	m.Step(now, swarm.PeerUp{Peer: "0", RTT: 50 * ms})
	m.Step(now, swarm.Fetch{ID: 1, Root: root})
	m.Step(now, swarm.Loaded{Root: root, Err: errors.New("not here")})
	for k := 0; now.Sub(began) < time.Minute; k++ {
		e := swarm.Event(swarm.Wake{})
		if k%30 == 7 { // each 3 s
			e = swarm.PeerUp{Peer: peer.ID(fmt.Sprint(k)), RTT: 50 * ms}
		}
		now = now.Add(100 * ms)
		for _, a := range m.Step(now, e) {
			switch a := a.(type) {
			case swarm.Send:
				m.Step(now, swarm.Sent{Peer: a.Peer})
			case swarm.Settled:
				if took := now.Sub(began); took > 11*time.Second {
					t.Errorf("settled after %v", took)
				}
				if c := m.Claim(1, root); c != swarm.Unclaimed {
					t.Errorf("settled, and the root is claimed: %d", c)
				}
				return
			}
		}
	}
	t.Error("not settled after a minute")
}

// TestAliveAndMute: a peer that is alive and never answers an Open is left alone in the end,
// although nobody else is there.
func TestAliveAndMute(t *testing.T) {
	m, began := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(0)
	m.Step(began, swarm.PeerUp{Peer: "a", RTT: 50 * ms})
	m.Step(began, swarm.Fetch{ID: 1, Root: root})
	m.Step(began, swarm.Loaded{Root: root, Err: errors.New("not here")})
	for now := began; now.Sub(began) < 2*time.Minute; now = now.Add(time.Second) {
		m.Step(now, swarm.Sent{Peer: "a"})
		m.Step(now, swarm.Wake{})
		for _, a := range m.Step(now, swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Allow{Size: 1 << 20}}}) {
			if _, ok := a.(swarm.Report); ok {
				t.Fatal("what is alive was reported as it spoke")
			}
		}
		if m.Table()[0].Stalled {
			if took := now.Sub(began); took < time.Minute || took > 62*time.Second {
				t.Errorf("left alone after %v", took)
			}
			return
		}
	}
	t.Error("never left alone")
}

// TestChokedForEver: a peer that has a leaf, and lets nobody ask, is not waited for longer than
// one that serves a crowd may need.
func TestChokedForEver(t *testing.T) {
	m, began := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(1)
	var channel uint32
	var lacks time.Time
	now := began
	step := func(e swarm.Event) {
		for _, a := range m.Step(now, e) {
			switch a := a.(type) {
			case swarm.Lack:
				if lacks.IsZero() {
					lacks = now
				}
			case swarm.Send:
				for _, f := range a.Frames {
					if o, ok := f.(frame.Open); ok {
						channel = o.Channel
					}
				}
			}
		}
	}
	step(swarm.PeerUp{Peer: "a", RTT: 50 * ms})
	step(swarm.Fetch{ID: 1, Root: root})
	step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: []cid.Cid{cidOf(0)}, Sizes: []int{-1}, Nodes: 1}})
	step(swarm.Sent{Peer: "a"})
	step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Allow{}}})
	step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Have{Channel: channel, Ranges: []frame.Range{{First: 0, Count: 1}}}}})
	for lacks.IsZero() && now.Sub(began) < 2*time.Minute {
		now = now.Add(500 * ms)
		step(swarm.Wake{})
		if now.Sub(began)%time.Second == 0 { // it says that it lives
			step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Allow{}}})
		}
	}
	if took := lacks.Sub(began); lacks.IsZero() || took < 30*time.Second || took > 45*time.Second {
		t.Errorf("the leaf is asked for elsewhere after %v", took)
	}
}

// TestSaysAndLacks: a peer that says again and again that it has a leaf, and sends a Miss whenever it is
// asked for it, does not keep the leaf from being looked for elsewhere; nor does it give hope of it, to
// those who fetch together, when nobody else has it.
func TestSaysAndLacks(t *testing.T) {
	for _, reason := range []frame.MissReason{frame.MissGone, frame.MissElsewhere} {
		for _, crowd := range []bool{false, true} {
			asked, took, claim := saysAndLacks(reason, crowd)
			if took > 45*time.Second || asked < 2 || claim != swarm.Unclaimed {
				t.Errorf("miss for reason %d, crowd %v: asked %d times, looked for elsewhere after %v, and in vain, it is claimed: %d",
					reason, crowd, asked, took, claim)
			}
		}
	}
}

// saysAndLacks tells how often such a peer is asked, after what time the leaf is looked for elsewhere, 2
// minutes if it is not, and what the machine does about it once that was in vain.
func saysAndLacks(reason frame.MissReason, crowd bool) (asked int, took time.Duration, claim swarm.Claim) {
	m, began := swarm.New(swarm.Options{}), time.Unix(1000, 0)
	now, root := began, cidOf(1)
	one := []frame.Range{{First: 0, Count: 1}}
	channels := map[peer.ID]uint32{}
	lacked := false
	var say []frame.Frame
	step := func(e swarm.Event) {
		for _, a := range m.Step(now, e) {
			switch a := a.(type) {
			case swarm.Lack:
				lacked = true
			case swarm.Send:
				for _, f := range a.Frames {
					switch f := f.(type) {
					case frame.Open:
						channels[a.Peer] = f.Channel
					case frame.Request:
						asked++
						say = append(say, frame.Miss{Channel: f.Channel, Reason: reason, Ranges: one})
					}
				}
			}
		}
	}
	step(swarm.PeerUp{Peer: "liar", RTT: 50 * ms})
	if crowd {
		step(swarm.PeerUp{Peer: "friend", RTT: 50 * ms})
	}
	step(swarm.Fetch{ID: 1, Root: root})
	step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: []cid.Cid{cidOf(0)}, Sizes: []int{-1}, Nodes: 1}})
	if crowd {
		step(swarm.Frames{Peer: "friend", Frames: []frame.Frame{
			frame.Have{Channel: channels["friend"]}, frame.Open{Channel: 7, Root: root, Leaves: 1},
		}})
	}
	for !lacked && now.Sub(began) < 2*time.Minute {
		now = now.Add(100 * ms)
		step(swarm.Sent{Peer: "liar"})
		step(swarm.Sent{Peer: "friend"})
		frames := append(say, frame.Have{Channel: channels["liar"], Ranges: one})
		say = nil
		step(swarm.Frames{Peer: "liar", Frames: frames})
	}
	took = now.Sub(began)
	step(swarm.Missing{ID: 1, Cid: cidOf(0)})
	return asked, took, m.Claim(1, cidOf(0))
}

// TestBarEnds: a leaf that a peer would not send, as others have it, is asked of it again
// though nothing else happens.
func TestBarEnds(t *testing.T) {
	m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(1)
	var asked []time.Time
	var channel uint32
	step := func(e swarm.Event) {
		for _, a := range m.Step(now, e) {
			if s, ok := a.(swarm.Send); ok {
				for _, f := range s.Frames {
					switch f := f.(type) {
					case frame.Open:
						channel = f.Channel
					case frame.Request:
						asked = append(asked, now)
					}
				}
			}
		}
	}
	step(swarm.PeerUp{Peer: "a", RTT: 50 * ms})
	step(swarm.Fetch{ID: 1, Root: root})
	step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: []cid.Cid{cidOf(0)}, Sizes: []int{-1}, Nodes: 1}})
	step(swarm.Sent{Peer: "a"})
	one := []frame.Range{{First: 0, Count: 1}}
	step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Have{Channel: channel, Ranges: one}}})
	step(swarm.Sent{Peer: "a"})
	step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Miss{Channel: channel, Reason: frame.MissElsewhere, Ranges: one}}})
	began := now
	for len(asked) < 2 && !m.Next().IsZero() && m.Next().Sub(began) < time.Minute {
		now = m.Next()
		step(swarm.Wake{})
	}
	if len(asked) != 2 || asked[1].Sub(began) > 3*time.Second {
		t.Errorf("asked at %v", asked)
	}
}

// TestFirstIsUrgent: of many leaves that are waited for at once, as a reader does who looks
// ahead, that one is looked for elsewhere first without which he cannot go on.
func TestFirstIsUrgent(t *testing.T) {
	const n = 1000
	m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(n)
	leaves, sizes := make([]cid.Cid, n), make([]int, n)
	for i := range leaves {
		leaves[i], sizes[i] = cidOf(i), -1
	}
	m.Step(now, swarm.PeerUp{Peer: "a", RTT: 50 * ms})
	m.Step(now, swarm.Fetch{ID: 1, Root: root, Order: swarm.Forward})
	m.Step(now, swarm.Loaded{Root: root, Index: swarm.Index{Leaves: leaves, Sizes: sizes, Nodes: 1}})
	m.Step(now, swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Open{Channel: 1, Root: root, Leaves: n}}})
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		m.Step(now, swarm.Hurry{ID: 1, Cids: leaves[i : i+1]})
	}
	for k := range 20 { // the peer gets on
		now = now.Add(time.Second)
		got := frame.Got{Channel: 1, Ranges: []frame.Range{{First: 900 + k, Count: 1}}}
		for _, a := range m.Step(now, swarm.Frames{Peer: "a", Frames: []frame.Frame{got}}) {
			if l, ok := a.(swarm.Lack); ok {
				if l.Cids[0] != leaves[0] || l.Cids[1] != leaves[1] {
					t.Errorf("%d leaves are looked for, the first is none of those that the reader needs next", len(l.Cids))
				}
				return
			}
		}
	}
	t.Error("no leaf is looked for elsewhere")
}

// TestFresh: what a peer has just got, and few have, is asked for at once beside what it is asked
// for already, but not if nobody wants it.
func TestFresh(t *testing.T) {
	const n, fresh = 10, 7
	for _, c := range []struct {
		order  swarm.Order
		wanted bool
	}{{swarm.Rarest, true}, {swarm.Parts, false}} {
		m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
		root := cidOf(n)
		leaves, sizes := make([]cid.Cid, n), make([]int, n)
		for i := range leaves {
			leaves[i], sizes[i] = cidOf(i), -1
		}
		channels, requested := make(map[peer.ID]uint32), false
		step := func(e swarm.Event) {
			for _, s := range sends(m, now, e) {
				for _, f := range s.Frames {
					switch f := f.(type) {
					case frame.Open:
						channels[s.Peer] = f.Channel
					case frame.Request:
						requested = requested || slices.Contains(numbersOf(f.Ranges), fresh)
					}
				}
			}
		}
		have := func(p peer.ID, list ...frame.Range) {
			step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Have{Channel: channels[p], Ranges: list}}})
		}
		peers := []peer.ID{"a", "b", "c"}
		step(swarm.Fetch{ID: 1, Root: root, Order: c.order})
		step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: leaves, Sizes: sizes, Nodes: 1}})
		step(swarm.Hurry{ID: 1, Cids: leaves[:6]})
		for _, p := range peers {
			step(swarm.PeerUp{Peer: p, RTT: 50 * ms})
			have(p) // nothing yet
		}
		for _, p := range peers {
			have(p, frame.Range{First: 0, Count: 6})
		}
		have("a", frame.Range{First: fresh, Count: 1})
		if requested != c.wanted {
			t.Errorf("order %d: what a peer has just got is asked for: %t", c.order, requested)
		}
	}
}

func cidOf(i int) cid.Cid {
	b, err := block.New(fmt.Append(nil, i), block.Prefix{Codec: cid.Raw})
	if err != nil {
		panic(err)
	}
	return b.Cid()
}

// TestSeeds: several seeds share the work by what their lines allow, and nothing comes
// twice.
func TestSeeds(t *testing.T) {
	for _, ups := range [][]float64{{25, 25, 25, 25}, {50, 25, 15, 10}, {90, 5, 4, 1}} {
		s := newSim(t, 1, 128, 128<<10)
		get := s.node(50*ms, 100*mbit)
		sum := 0.0
		for _, up := range ups {
			s.connect(get, s.node(50*ms, up*mbit).fillUp())
			sum += up
		}
		began := s.now
		get.step(swarm.Fetch{ID: 1, Root: s.root})
		if !s.run(time.Minute, func() bool { return !get.done.IsZero() }) {
			t.Fatalf("%v: got %d", ups, get.got)
		}
		limit := 50*ms + time.Duration(128*128*1024/(sum*mbit)*float64(time.Second))
		took, dup := get.done.Sub(began), get.m.Stats().DupLeaves
		t.Logf("%v: %v, limit %v, %d duplicates", ups, took, limit, dup)
		if took > limit*13/10 || dup > 1 {
			t.Errorf("%v: took %v, limit %v, %d duplicates", ups, took, limit, dup)
		}
	}
}

// TestSilent: peers that say they have all and send nothing cost some time, and no more.
func TestSilent(t *testing.T) {
	for _, silent := range []int{0, 1, 4, 8} {
		s := newSim(t, 1, 64, 256<<10)
		get := s.node(50*ms, 100*mbit)
		for range silent {
			o := s.node(20*ms, 100*mbit).fillUp()
			o.silent = true
			s.connect(get, o)
		}
		s.connect(get, s.node(50*ms, 100*mbit).fillUp())
		began := s.now
		get.step(swarm.Fetch{ID: 1, Root: s.root})
		if !s.run(10*time.Minute, func() bool { return !get.done.IsZero() }) {
			t.Fatalf("%d silent: got %d", silent, get.got)
		}
		took := get.done.Sub(began)
		t.Logf("%d silent: %v; %v", silent, took, get.faults)
		if took > 3*time.Second {
			t.Errorf("%d silent peers: took %v", silent, took)
		}
	}
}

// TestChurn: peers come and go, some for good, and all who stay have all in the end.
func TestChurn(t *testing.T) {
	for seed := range uint64(30) {
		s := newSim(t, seed, 40, 64<<10)
		origin := s.node(50*ms, 10*mbit).fillUp()
		nodes := []*node{origin}
		for range 10 {
			n := s.node(time.Duration(10+s.rng.IntN(200))*ms, float64(1+s.rng.IntN(50))*mbit)
			n.silent = s.rng.IntN(10) == 0
			nodes = append(nodes, n)
		}
		cut := func() {
			a, b := nodes[s.rng.IntN(len(nodes))], nodes[s.rng.IntN(len(nodes))]
			if a.conns[b] != nil {
				s.disconnect(a, b)
			} else {
				s.connect(a, b)
			}
		}
		for i, n := range nodes {
			s.connect(origin, n)
			s.connect(n, nodes[s.rng.IntN(len(nodes))])
			s.after(time.Duration(s.rng.IntN(3000))*ms, func() { n.step(swarm.Fetch{ID: uint64(i), Root: s.root}) })
		}
		for range 60 {
			s.after(time.Duration(s.rng.IntN(20_000))*ms, cut)
		}
		for _, n := range nodes[1:] { // in the end all reach the origin
			s.after(21*time.Second, func() { s.connect(origin, n) })
		}
		done := func() bool {
			for _, n := range nodes[1:] {
				if n.done.IsZero() {
					return false
				}
			}
			return true
		}
		if !s.run(10*time.Minute, done) {
			for _, n := range nodes {
				t.Logf("%s: %d, silent %v, %d connections, %+v", n.id, n.got, n.silent, len(n.conns), n.m.Stats())
			}
			t.Fatalf("seed %d: not all are done", seed)
		}
	}
}

// TestPace: what a limit allows is sent to peers in turn, so that each can pass on what it
// has; a peer that is near is not in that turn.
func TestPace(t *testing.T) {
	const limit, size = mbit, 64 << 10
	s := newSim(t, 1, 32, size)
	origin, nigh := s.node(20*ms, 100*mbit).fillUp(), s.node(20*ms, 100*mbit)
	origin.pace.Set(limit)
	s.connect(origin, nigh)
	origin.step(swarm.PeerUp{Peer: nigh.id, Near: true})
	nodes := []*node{origin}
	for range 8 {
		n := s.node(20*ms, 100*mbit)
		for _, o := range nodes {
			s.connect(o, n)
		}
		nodes = append(nodes, n)
	}
	began := s.now
	for _, n := range append(nodes[1:], nigh) {
		n.step(swarm.Fetch{ID: 1, Root: s.root})
	}
	s.run(time.Hour, func() bool {
		return !slices.ContainsFunc(append(nodes[1:], nigh), func(n *node) bool { return n.done.IsZero() })
	})
	bound := time.Duration(32 * size / float64(limit) * float64(time.Second))
	if took := nigh.done.Sub(began); took > bound/10 {
		t.Errorf("the peer that is near had all after %v, at the limit it takes %v", took, bound)
	}
	for _, n := range nodes[1:] {
		if took := n.done.Sub(began); took > bound*14/10 || took < bound*9/10 {
			t.Errorf("%s had all after %v, the limit allows %v", n.id, took, bound)
		}
		if len(n.faults) > 0 || n.m.Stats().DupLeaves > 1 {
			t.Errorf("%s: faults %v, %d leaves twice", n.id, n.faults, n.m.Stats().DupLeaves)
		}
	}
}

// TestAppetite: of many peers no more is asked for than a limit lets pass soon, or two leaves,
// but of those that are near.
func TestAppetite(t *testing.T) {
	for _, near := range []bool{false, true} {
		s := newSim(t, 1, 64, 256<<10)
		get := s.node(20*ms, 100*mbit)
		get.eager.Set(mbit)
		for range 8 {
			seed := s.node(20*ms, 10*mbit).fillUp()
			s.connect(seed, get)
			get.step(swarm.PeerUp{Peer: seed.id, Near: near})
		}
		get.step(swarm.Fetch{ID: 1, Root: s.root})
		most := 0
		if !s.run(time.Hour, func() bool {
			asked := 0
			for _, p := range get.m.Table() {
				asked += p.Asked
			}
			most = max(most, asked)
			return !get.done.IsZero()
		}) {
			t.Fatalf("got %d", get.got)
		}
		if bounded := most <= 2*256<<10; bounded == near {
			t.Errorf("near %v: %d bytes were asked for at a time", near, most)
		}
	}
}

// TestLimitIsSlow: what a limit makes slow is not taken back for a peer that has nothing to do.
func TestLimitIsSlow(t *testing.T) {
	const limit = 62_500
	var eager flow.Appetite
	eager.Set(limit)
	m, began := swarm.New(swarm.Options{Appetite: &eager}), time.Unix(0, 0)
	now, root := began, cidOf(1)
	channels := map[peer.ID]uint32{}
	var asked []peer.ID
	step := func(e swarm.Event) {
		for _, a := range m.Step(now, e) {
			if s, ok := a.(swarm.Send); ok {
				for _, f := range s.Frames {
					switch f := f.(type) {
					case frame.Open:
						channels[s.Peer] = f.Channel
					case frame.Request:
						asked = append(asked, s.Peer)
					case frame.Cancel:
						t.Errorf("after %v the leaf was taken back from %s", now.Sub(began), s.Peer)
					}
				}
			}
		}
	}
	for _, p := range []peer.ID{"a", "b"} {
		step(swarm.PeerUp{Peer: p, RTT: 50 * ms})
	}
	step(swarm.Fetch{ID: 1, Root: root})
	step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: []cid.Cid{cidOf(0)}, Sizes: []int{-1}, Nodes: 1}})
	for _, p := range []peer.ID{"a", "b"} {
		step(swarm.Sent{Peer: p})
		step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Have{Channel: channels[p], Ranges: []frame.Range{{First: 0, Count: 1}}}}})
		step(swarm.Sent{Peer: p})
	}
	if len(asked) == 0 {
		t.Fatal("nobody was asked")
	}
	for ; now.Sub(began) < 15*time.Second; now = now.Add(100 * ms) {
		if now.Sub(began) > 500*ms {
			step(swarm.Receiving{Peer: asked[0], Size: limit / 10})
		}
		step(swarm.Wake{})
	}
	if len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
}

// TestSmallAtOnce: however many wait for a large file, and take nothing of it, a small one is
// sent in answer to the Open.
func TestSmallAtOnce(t *testing.T) {
	m, now := swarm.New(swarm.Options{ServingSizeMax: 64 << 20}), time.Unix(0, 0)
	index := func(first, n, size int) (i swarm.Index) {
		for k := range n {
			i.Leaves, i.Sizes = append(i.Leaves, cidOf(first+k)), append(i.Sizes, size)
		}
		i.Nodes = 1
		return i
	}
	large, small := cidOf(1000), cidOf(1001)
	var nodes []swarm.ServeNodes
	var leaves []swarm.Serve
	var step func(swarm.Event)
	step = func(e swarm.Event) {
		for _, a := range slices.Clone(m.Step(now, e)) {
			switch a := a.(type) {
			case swarm.ServeNodes:
				nodes = append(nodes, a)
				step(swarm.Served{Peer: a.Peer, Seq: a.Seq})
			case swarm.Serve: // and nothing of it is taken
				leaves = append(leaves, a)
			}
		}
	}
	open := func(p peer.ID, root cid.Cid) {
		step(swarm.PeerUp{Peer: p, RTT: 50 * ms})
		step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Open{Channel: 1, Root: root, Nodes: true, Credit: 1 << 20}}})
	}
	for k := range 50 {
		p := peer.ID(fmt.Sprint("large", k))
		open(p, large)
		if k == 0 {
			step(swarm.Loaded{Root: large, Index: index(0, 100, 256<<10)})
		}
		step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Request{Channel: 1, Ranges: []frame.Range{{First: 0, Count: 64}}}}})
	}
	for range 10 { // those who may ask, ask
		now = now.Add(100 * ms)
		step(swarm.Wake{})
		for k := range 50 {
			step(swarm.Frames{Peer: peer.ID(fmt.Sprint("large", k)), Frames: []frame.Frame{frame.Request{Channel: 1, Ranges: []frame.Range{{First: 0, Count: 64}}}}})
		}
	}
	if len(leaves) == 0 {
		t.Fatal("nobody is sent anything")
	}
	nodes, leaves = nil, nil
	open("small", small)
	step(swarm.Loaded{Root: small, Index: index(2000, 3, 10<<10)})
	if len(nodes) != 1 || nodes[0].Pushed != 3 {
		t.Fatalf("of the small one: %+v", nodes)
	}
	if len(leaves) != 1 || leaves[0].Peer != "small" || len(leaves[0].Numbers) != 3 {
		t.Errorf("of its leaves: %+v", leaves)
	}
}
