package swarm_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// sharer is a machine that has all leaves of a DAG, and what it does.
type sharer struct {
	m       *swarm.Machine
	now     time.Time
	n       int
	replies []swarm.Serve
	told    []time.Time // that nobody waits
}

const sharedSize = 256 << 10 // of each leaf

// newSharer makes one for n leaves, which "a" has opened a channel for.
func newSharer(n int) *sharer {
	s := &sharer{m: swarm.New(swarm.Options{}), now: time.Unix(0, 0), n: n}
	leaves, sizes := make([]cid.Cid, n), make([]int, n)
	for i := range leaves {
		leaves[i], sizes[i] = cidOf(i), sharedSize
	}
	s.comes("a")
	s.step(swarm.Loaded{Root: cidOf(n), Index: swarm.Index{Leaves: leaves, Sizes: sizes, Nodes: 1}})
	return s
}

func (s *sharer) step(e swarm.Event) {
	for _, a := range slices.Clone(s.m.Step(s.now, e)) {
		switch a := a.(type) {
		case swarm.Serve:
			s.replies = append(s.replies, a)
		case swarm.Send:
			if slices.Contains(a.Frames, frame.Frame(frame.Idle{})) {
				s.told = append(s.told, s.now)
			}
			s.m.Step(s.now, swarm.Sent{Peer: a.Peer})
		}
	}
}

// comes has a peer connect, and open a channel.
func (s *sharer) comes(p peer.ID) {
	s.step(swarm.PeerUp{Peer: p, RTT: 50 * ms})
	s.step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Open{Channel: 1, Root: cidOf(s.n), Leaves: s.n}}})
}

// ask has "a" ask for leaves.
func (s *sharer) ask(r frame.Range) {
	s.step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Request{Channel: 1, Ranges: []frame.Range{r}}}})
}

func (s *sharer) wait(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(10 * ms) {
		s.step(swarm.Wake{})
	}
}

// arrive ends the oldest reply.
func (s *sharer) arrive() {
	p := s.replies[0]
	s.replies = s.replies[1:]
	s.step(swarm.Served{Peer: "a", Seq: p.Seq, Size: sharedSize * len(p.Numbers)})
	for _, i := range p.Numbers {
		s.step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Got{Channel: 1, Ranges: []frame.Range{{First: i, Count: 1}}}}})
	}
}

// TestInvite: who lacks something is told that nobody waits, less and less often if it asks for
// nothing, and never while somebody waits.
func TestInvite(t *testing.T) {
	s := newSharer(8)
	began := s.now
	s.wait(time.Minute)
	if n := len(s.told); n < 2 || n > 8 || s.told[0].Sub(began) > 100*ms || s.told[n-1].Sub(began) > 10*time.Second {
		t.Errorf("who asks for nothing was told at %v", s.told)
	}
	for i := 2; i < len(s.told); i++ {
		if s.told[i].Sub(s.told[i-1]) < 3*s.told[i-1].Sub(s.told[i-2])/2 {
			t.Errorf("who asks for nothing was told at %v, no less often in the end", s.told)
		}
	}
	s.told = nil
	const asked = 4
	s.ask(frame.Range{First: 0, Count: asked})
	for left := asked; len(s.replies) > 0; { // it takes one after the other
		if left -= len(s.replies[0].Numbers); left > 0 {
			s.wait(200 * ms)
			if len(s.told) > 0 {
				t.Errorf("told that nobody waits, before %d leaves that were asked for", left)
			}
		}
		s.arrive()
	}
	s.wait(time.Second)
	if len(s.told) == 0 {
		t.Error("who has got what it asked for is not told that nobody waits")
	}
}

// TestIdlePeer: what another has not sent yet is asked of a peer that says that nobody waits for it,
// as long as most is to come even if it has sent nothing before.
func TestIdlePeer(t *testing.T) {
	const n = 16
	for _, c := range []struct {
		who               peer.ID // b has sent a leaf, and c none
		idle, late, asked bool
	}{
		{"b", false, true, false},
		{"b", true, true, true},
		{"c", false, false, false},
		{"c", true, false, true},
		{"c", true, true, false},
	} {
		m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
		root := cidOf(n)
		blocks, leaves, sizes := make([]block.Block, n), make([]cid.Cid, n), make([]int, n)
		for i := range leaves {
			data := make([]byte, 200<<10)
			data[0] = byte(i)
			b, err := block.New(data, block.Prefix{Codec: cid.Raw})
			if err != nil {
				t.Fatal(err)
			}
			blocks[i], leaves[i], sizes[i] = b, b.Cid(), -1
		}
		channels, asked, cancelled := make(map[peer.ID]uint32), make(map[peer.ID][]int), 0
		step := func(e swarm.Event) {
			for _, s := range sends(m, now, e) {
				for _, f := range s.Frames {
					switch f := f.(type) {
					case frame.Open:
						channels[s.Peer] = f.Channel
					case frame.Cancel:
						if s.Peer == "a" {
							cancelled++
						}
					case frame.Request:
						asked[s.Peer] = append(asked[s.Peer], numbersOf(f.Ranges)...)
					}
				}
			}
		}
		step(swarm.Fetch{ID: 1, Root: root})
		step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: leaves, Sizes: sizes, Nodes: 1}})
		for _, p := range []peer.ID{"a", "b"} {
			step(swarm.PeerUp{Peer: p, RTT: 50 * ms})
			step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Have{Channel: channels[p]}}})
		}
		for _, p := range []peer.ID{"a", "b"} {
			step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Have{Channel: channels[p], Ranges: []frame.Range{{First: 0, Count: n}}}}})
		}
		if len(asked["a"]) == 0 || len(asked["b"]) == 0 {
			t.Fatalf("asked %v", asked)
		}
		if c.late {
			for i := range n {
				if !slices.Contains(asked["a"], i) && !slices.Contains(asked["b"], i) {
					step(swarm.Held{Blocks: []swarm.Sized{{Cid: leaves[i], Size: blocks[i].Size()}}})
				}
			}
		}
		for _, i := range slices.Clone(asked["b"]) {
			now = now.Add(5 * ms)
			step(swarm.Receiving{Peer: "b", Size: 1000})
			now = now.Add(5 * ms)
			step(swarm.Leaf{Peer: "b", Channel: channels["b"], Number: i, Block: blocks[i]})
		}
		now = now.Add(10 * ms)
		if c.who == "c" {
			step(swarm.PeerUp{Peer: "c", RTT: 50 * ms})
			step(swarm.Frames{Peer: "c", Frames: []frame.Frame{frame.Have{Channel: channels["c"]}}})
			has := frame.Range{First: asked["a"][0], Count: 1}
			step(swarm.Frames{Peer: "c", Frames: []frame.Frame{frame.Have{Channel: channels["c"], Ranges: []frame.Range{has}}}})
		}
		if cancelled > 0 {
			t.Fatal("a leaf was taken back before anybody had time to send it")
		}
		if c.idle {
			step(swarm.Frames{Peer: c.who, Frames: []frame.Frame{frame.Idle{}}})
		}
		step(swarm.Wake{})
		if (cancelled > 0) != c.asked {
			t.Errorf("%+v: %d leaves were taken back", c, cancelled)
		}
	}
}

// TestInviteLate: who needs long for a leaf asks for others to ask it near the end of it, and not while
// all of them have time to.
func TestInviteLate(t *testing.T) {
	const takes = 4 * time.Second // a leaf
	s := newSharer(32)
	var began time.Time
	for i := range 4 {
		s.ask(frame.Range{First: i, Count: 1})
		if len(s.replies) != 1 {
			t.Fatalf("%d replies began", len(s.replies))
		}
		if i == 3 { // its rate is known
			began, s.told = s.now, nil
			for _, p := range []peer.ID{"b", "c", "d", "e", "f"} {
				s.comes(p)
			}
		}
		s.wait(takes)
		if i < 3 {
			s.arrive()
		}
	}
	if len(s.told) == 0 || s.told[0].Sub(began) < takes/2 {
		t.Errorf("others were told at %v that nobody waits, of a leaf that took %v from %v", s.told, takes, began)
	}
}

// sends has a machine take an event, and returns what it sends, all of which goes at once.
func sends(m *swarm.Machine, now time.Time, e swarm.Event) (list []swarm.Send) {
	for _, a := range slices.Clone(m.Step(now, e)) {
		if s, ok := a.(swarm.Send); ok {
			list = append(list, s)
			list = append(list, sends(m, now, swarm.Sent{Peer: s.Peer})...)
		}
	}
	return list
}

// numbersOf lists the numbers in ranges.
func numbersOf(list []frame.Range) (numbers []int) {
	for _, r := range list {
		for i := range r.Count {
			numbers = append(numbers, r.First+i)
		}
	}
	return numbers
}
