package exchange

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// oneDAG is a DAG of which all leaves are needed, or are here.
type oneDAG struct {
	root   cid.Cid
	blocks []block.Block
	leaves []cid.Cid
	needed bool
}

func newDAG(t *testing.T, n int, needed bool) *oneDAG {
	x := &oneDAG{needed: needed}
	for i := range n + 1 {
		b, err := block.New(fmt.Append(nil, i), block.Prefix{Codec: cid.Raw})
		if err != nil {
			t.Fatal(err)
		}
		x.blocks, x.leaves = append(x.blocks, b), append(x.leaves, b.Cid())
	}
	x.root, x.leaves = x.leaves[n], x.leaves[:n]
	return x
}

func (x *oneDAG) Leaves(cid.Cid) []cid.Cid { return x.leaves }
func (x *oneDAG) Needs(cid.Cid, int) bool  { return x.needed }
func (x *oneDAG) Number(_, leaf cid.Cid) (int, bool) {
	i := slices.Index(x.leaves, leaf)
	return i, i >= 0
}
func (x *oneDAG) Shared(leaf cid.Cid) (cid.Cid, int, bool) {
	i, ok := x.Number(x.root, leaf)
	return x.root, i, ok
}

// TestGuestIsAsked: what is said to a guest in frames is said in bitswap, and its answers are
// frames.
func TestGuestIsAsked(t *testing.T) {
	x := newDAG(t, 100, true)
	g := newGuest("g", 1)
	entries, _, answers := g.say([]frame.Frame{frame.Open{Channel: 7, Root: x.root, Leaves: 100}}, x)
	if len(entries) != questionsStart || !entries[0].Have || len(answers) != 1 {
		t.Fatalf("an Open is %d entries, answered by %v", len(entries), answers)
	}
	frames, entries := g.hear(x.leaves[:2], x.leaves[2:4], x)
	if len(frames) != 2 || len(entries) != 2*questionsGain+2 {
		t.Errorf("two HAVEs are %v, and then %d questions are asked", frames, len(entries))
	}
	entries, _, _ = g.say([]frame.Frame{frame.Request{Channel: 7, Ranges: []frame.Range{{First: 0, Count: 2}}}}, x)
	blocks := slices.DeleteFunc(slices.Clone(entries), func(e swap.Entry) bool { return e.Have })
	if len(blocks) != 2 || blocks[0].Cid != x.leaves[0] || blocks[1].Cid != x.leaves[1] {
		t.Fatalf("a Request for two leaves is %v", blocks)
	}
	if frames, _ = g.hear(nil, x.leaves[1:2], x); len(frames) != 1 || frames[0].(frame.Miss).Reason != frame.MissGone {
		t.Errorf("DONT_HAVE of what was requested is %v", frames)
	}
	if frames, _ = g.hear(x.leaves[1:3], nil, x); len(frames) != 2 {
		t.Errorf("two HAVEs after DONT_HAVE are %v", frames)
	}
	_, haves, _ := g.say([]frame.Frame{frame.Got{Channel: 7, Ranges: []frame.Range{{First: 3, Count: 2}}}}, x)
	if len(haves) != 1 || haves[0] != x.leaves[3] {
		t.Errorf("told %v, want the leaf that it has said to lack", haves)
	}
	entries, _, answers = g.say([]frame.Frame{frame.Cancel{Channel: 7, Ranges: []frame.Range{{First: 0, Count: 1}}}}, x)
	if len(entries) != 1 || !entries[0].Cancel || len(answers) != 1 || answers[0].(frame.Miss).Reason != frame.MissCancelled {
		t.Errorf("a Cancel is %v, answered by %v", entries, answers)
	}
	if channel, i, ok := g.leaf(x.blocks[0], x); !ok || channel != 7 || i != 0 {
		t.Errorf("what comes though it was cancelled is leaf %d of channel %d, %v", i, channel, ok)
	}
	if _, _, ok := g.leaf(x.blocks[0], x); ok {
		t.Error("the same leaf is taken twice")
	}
	if _, _, ok := g.leaf(x.blocks[99], x); ok {
		t.Error("a leaf is taken that was not asked for")
	}
	if g.say([]frame.Frame{frame.Close{Channel: 7}}, x); len(g.outstanding()) > 0 {
		t.Errorf("after Close it is still asked %d questions", len(g.outstanding()))
	}
}

// TestGuestQuestions: whatever is said, what the guest believes to be asked is what is
// outstanding, and no more than its limits.
func TestGuestQuestions(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		x := newDAG(t, 100, true)
		g := newGuest("g", seed)
		asked := make(map[cid.Cid]bool) // that the guest knows of: whether for the block
		apply := func(entries []swap.Entry) {
			for _, e := range entries {
				if e.Cancel {
					delete(asked, e.Cid)
				} else {
					asked[e.Cid] = !e.Have
				}
			}
		}
		entries, _, _ := g.say([]frame.Frame{frame.Open{Channel: 1, Root: x.root}}, x)
		apply(entries)
		for range 300 {
			one, entries := one(rng.IntN(100)), []swap.Entry(nil)
			c := x.leaves[one[0].First]
			switch rng.IntN(6) {
			case 0:
				entries, _, _ = g.say([]frame.Frame{frame.Request{Channel: 1, Ranges: one}}, x)
			case 1:
				entries, _, _ = g.say([]frame.Frame{frame.Cancel{Channel: 1, Ranges: one}}, x)
			case 2:
				entries, _, _ = g.say([]frame.Frame{frame.Got{Channel: 1, Ranges: one}}, x)
			case 3:
				if block, known := asked[c]; known && !block {
					delete(asked, c)
				}
				_, entries = g.hear([]cid.Cid{c}, nil, x)
			case 5:
				if _, known := asked[c]; known {
					asked[c] = false // it keeps it in mind, to say so when it has it
					_, entries = g.hear(nil, []cid.Cid{c}, x)
				}
			case 4:
				delete(asked, c)
				g.leaf(x.blocks[one[0].First], x)
				entries = nil
			}
			apply(entries)
			out := g.outstanding()
			if len(out) != len(asked) {
				t.Fatalf("seed %d: %d are outstanding, the guest knows of %d", seed, len(out), len(asked))
			}
			for _, e := range out {
				if block, known := asked[e.Cid]; !known || block == e.Have {
					t.Fatalf("seed %d: %v is outstanding, the guest knows of it: %v", seed, e, known)
				}
			}
		}
	}
}

// TestGuestAsks: what a guest wants of a DAG that is shared is requested of the swarm, once,
// and that it takes a want back says that it has the leaf.
func TestGuestAsks(t *testing.T) {
	x := newDAG(t, 10, false)
	other := newDAG(t, 11, false).root
	g := newGuest("g", 1)
	wants := []swap.Entry{{Cid: x.leaves[3]}, {Cid: x.leaves[4], Have: true}, {Cid: other}, {Cid: x.leaves[5]}}
	rest, frames := g.ask(wants, false, x)
	if len(rest) != 2 || len(frames) != 3 {
		t.Fatalf("wants are frames %v, and %v is left", frames, rest)
	}
	open, _ := frames[0].(frame.Open)
	if r, ok := frames[2].(frame.Request); !ok || open.Root != x.root || r.Channel != open.Channel || r.Ranges[0].First != 5 {
		t.Errorf("wants are frames %v", frames)
	}
	_, frames = g.ask([]swap.Entry{{Cid: x.leaves[3], Cancel: true}}, false, x)
	if len(frames) != 2 || frames[0].(frame.Got).Ranges[0].First != 3 || frames[1].(frame.Cancel).Ranges[0].First != 3 {
		t.Errorf("a cancel is %v", frames)
	}
	if entries := g.refused(frame.Miss{Channel: open.Channel, Reason: frame.MissGone, Ranges: []frame.Range{{First: 3, Count: 3}}}); len(entries) != 1 || entries[0].Cid != x.leaves[5] {
		t.Errorf("a Miss leaves %v to swap", entries)
	}
	g.ask(wants[:1], false, x)
	if _, frames = g.ask(wants[3:], true, x); len(frames) != 2 || frames[0].(frame.Cancel).Ranges[0].First != 3 {
		t.Errorf("a full wantlist without leaf 3 is %v", frames)
	}
	if entries := g.refused(frame.End{Channel: open.Channel}); len(entries) != 1 || g.wants != 0 || len(g.orders) != 0 {
		t.Errorf("an End leaves %v to swap, and %d wants", entries, g.wants)
	}
	for i := range ordersMax + 10 {
		g.wants = max(g.wants, i)
	}
	if rest, _ = g.ask(wants[:1], false, x); len(rest) != 1 {
		t.Error("more wants are kept than may be")
	}
}

// TestGuestOwesNothing: what was sent to a guest is not given to swap when its channel ends:
// not all say that they have got it.
func TestGuestOwesNothing(t *testing.T) {
	x := newDAG(t, 10, false)
	g := newGuest("g", 1)
	_, frames := g.ask([]swap.Entry{{Cid: x.leaves[3]}, {Cid: x.leaves[4]}, {Cid: x.leaves[5]}}, false, x)
	open, _ := frames[0].(frame.Open)
	g.given(open.Channel, []int{3})
	g.given(open.Channel+1, []int{4})
	if list := g.ordered(); len(list) != 2 || list[0].Cid != x.leaves[4] || list[1].Cid != x.leaves[5] {
		t.Errorf("after leaf 3 was sent %v is still to be", list)
	}
	_, frames = g.ask([]swap.Entry{{Cid: x.leaves[3], Cancel: true}}, false, x)
	if len(frames) != 1 || frames[0].(frame.Got).Ranges[0].First != 3 {
		t.Errorf("a cancel of what was sent is %v, want that it has arrived", frames)
	}
	gone := &oneDAG{} // the DAG is forgotten, and the guest not told yet
	g.ask([]swap.Entry{{Cid: x.leaves[4], Cancel: true}}, false, gone)
	if entries := g.refused(frame.End{Channel: open.Channel}); len(entries) != 1 || entries[0].Cid != x.leaves[5] {
		t.Errorf("an End leaves %v to swap, want what was not cancelled", entries)
	}
}

// TestGuestKeeps: a guest has one list of wants: what others take back, or replace, does not
// take back what the swarm asks.
func TestGuestKeeps(t *testing.T) {
	x := newDAG(t, 10, true)
	g := newGuest("g", 1)
	g.say([]frame.Frame{
		frame.Open{Channel: 7, Root: x.root, Leaves: 10}, frame.Open{Channel: 8, Root: x.root, Leaves: 10},
		frame.Request{Channel: 7, Ranges: one(2)},
	}, x)
	cancels := func(list ...int) (entries []swap.Entry) {
		for _, i := range list {
			entries = append(entries, swap.Entry{Cid: x.leaves[i], Cancel: true})
		}
		return entries
	}
	if list := g.keep(cancels(1, 2), false, x); !list[0].Have || list[0].Cancel || list[1].Have || list[1].Cancel {
		t.Errorf("cancels of what is asked are sent as %v", list)
	}
	if list := g.keep(nil, true, x); len(list) != 20 {
		t.Errorf("a full wantlist has %d entries", len(list))
	}
	if entries, _, _ := g.say([]frame.Frame{frame.Close{Channel: 7}}, &oneDAG{}); len(entries) != 10 {
		t.Errorf("Close of a channel of a DAG that is forgotten takes back %d entries", len(entries))
	}
	if list := g.keep(cancels(3), false, x); !list[0].Have || list[0].Cancel {
		t.Errorf("a cancel of what the other channel asks is sent as %v", list)
	}
	if list := g.withdrawn(); len(list) != 10 || !list[0].Cancel {
		t.Errorf("all is taken back by %v", list)
	}
	g.say([]frame.Frame{frame.Close{Channel: 8}}, x)
	if list := g.keep(cancels(3), false, x); !list[0].Cancel {
		t.Errorf("a cancel of what nobody asks is sent as %v", list)
	}
}
