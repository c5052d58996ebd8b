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

// TestInvite: who lacks something is told that nobody waits, less and less often if it asks for
// nothing, and never while somebody waits.
func TestInvite(t *testing.T) {
	const n = 8
	m, began := swarm.New(swarm.Options{}), time.Unix(0, 0)
	now, root := began, cidOf(n)
	leaves, sizes := make([]cid.Cid, n), make([]int, n)
	for i := range leaves {
		leaves[i], sizes[i] = cidOf(i), 256<<10
	}
	var told []time.Duration
	var replies []swarm.Serve
	step := func(e swarm.Event) {
		for _, a := range slices.Clone(m.Step(now, e)) {
			switch a := a.(type) {
			case swarm.Serve:
				replies = append(replies, a)
			case swarm.Send:
				if slices.Contains(a.Frames, frame.Frame(frame.Idle{})) {
					told = append(told, now.Sub(began))
				}
				m.Step(now, swarm.Sent{Peer: a.Peer})
			}
		}
	}
	says := func(f ...frame.Frame) { step(swarm.Frames{Peer: "a", Frames: f}) }
	wait := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(10 * ms) {
			step(swarm.Wake{})
		}
	}
	step(swarm.PeerUp{Peer: "a", RTT: 50 * ms})
	says(frame.Open{Channel: 1, Root: root, Leaves: n})
	step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: leaves, Sizes: sizes, Nodes: 1}})
	wait(time.Minute)
	if len(told) < 2 || len(told) > 8 || told[0] > 100*ms || told[len(told)-1] > 10*time.Second {
		t.Errorf("who asks for nothing was told after %v", told)
	}
	for i := 2; i < len(told); i++ {
		if told[i]-told[i-1] < 3*(told[i-1]-told[i-2])/2 {
			t.Errorf("who asks for nothing was told after %v, no less often in the end", told)
		}
	}
	told = nil
	says(frame.Request{Channel: 1, Ranges: []frame.Range{{First: 0, Count: 4}}})
	for len(told) == 0 && len(replies) > 0 { // it takes one after the other
		p := replies[0]
		replies = replies[1:]
		if last := p.Numbers[len(p.Numbers)-1]; last < 3 {
			wait(200 * ms)
			if len(told) > 0 {
				t.Errorf("told after leaf %d that nobody waits", last)
			}
		}
		step(swarm.Served{Peer: "a", Seq: p.Seq, Size: 256 << 10})
		var got []frame.Range
		for _, i := range p.Numbers {
			got = append(got, frame.Range{First: i, Count: 1})
		}
		says(frame.Got{Channel: 1, Ranges: got})
	}
	wait(time.Second)
	if len(told) == 0 {
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
		var step func(e swarm.Event)
		step = func(e swarm.Event) {
			for _, a := range slices.Clone(m.Step(now, e)) {
				s, ok := a.(swarm.Send)
				if !ok {
					continue
				}
				for _, f := range s.Frames {
					switch f := f.(type) {
					case frame.Open:
						channels[s.Peer] = f.Channel
					case frame.Cancel:
						if s.Peer == "a" {
							cancelled++
						}
					case frame.Request:
						for _, r := range f.Ranges {
							for i := range r.Count {
								asked[s.Peer] = append(asked[s.Peer], r.First+i)
							}
						}
					}
				}
				step(swarm.Sent{Peer: s.Peer})
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
	const n, size = 32, 256 << 10
	m, now := swarm.New(swarm.Options{}), time.Unix(0, 0)
	root := cidOf(n)
	leaves, sizes := make([]cid.Cid, n), make([]int, n)
	for i := range leaves {
		leaves[i], sizes[i] = cidOf(i), size
	}
	var begun time.Time // when the reply began that is on its way, zero if there is none
	var told []time.Duration
	var replies []swarm.Serve
	step := func(e swarm.Event) {
		for _, a := range slices.Clone(m.Step(now, e)) {
			switch a := a.(type) {
			case swarm.Serve:
				replies, begun = append(replies, a), now
			case swarm.Send:
				if slices.Contains(a.Frames, frame.Frame(frame.Idle{})) && !begun.IsZero() {
					told = append(told, now.Sub(begun))
				}
				m.Step(now, swarm.Sent{Peer: a.Peer})
			}
		}
	}
	comes := func(p peer.ID) {
		step(swarm.PeerUp{Peer: p, RTT: 50 * ms})
		step(swarm.Frames{Peer: p, Frames: []frame.Frame{frame.Open{Channel: 1, Root: root, Leaves: n}}})
	}
	comes("a")
	step(swarm.Loaded{Root: root, Index: swarm.Index{Leaves: leaves, Sizes: sizes, Nodes: 1}})
	const takes = 4 * time.Second // a leaf
	for i := range 4 {
		step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Request{Channel: 1, Ranges: []frame.Range{{First: i, Count: 1}}}}})
		if len(replies) != 1 {
			t.Fatalf("%d replies began", len(replies))
		}
		if i == 3 { // its rate is known
			told = nil
			for _, p := range []peer.ID{"b", "c", "d", "e", "f"} {
				comes(p)
			}
		}
		for end := now.Add(takes); now.Before(end); now = now.Add(10 * ms) {
			step(swarm.Wake{})
		}
		step(swarm.Served{Peer: "a", Seq: replies[0].Seq, Size: size})
		step(swarm.Frames{Peer: "a", Frames: []frame.Frame{frame.Got{Channel: 1, Ranges: []frame.Range{{First: i, Count: 1}}}}})
		replies, begun = nil, time.Time{}
	}
	if len(told) == 0 || slices.Min(told) < takes/2 {
		t.Errorf("others were told after %v that nobody waits, of the %v that a leaf takes", told, takes)
	}
}
