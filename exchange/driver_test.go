package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// TestActionsAreNotLost: that one action of the machine of the swarms has a want given up, of
// which the machine is told, does not make the actions void that come after it.
func TestActionsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		dag := newDAG(t, 40, true)
		x := New(nil, Options{Links: func(block.Block) ([]cid.Cid, error) { return nil, nil }})
		d := newDriver(x)
		s := &Session{x: x, id: 1}
		for _, c := range []cid.Cid{dag.root, dag.leaves[0]} {
			if _, _, err := x.await(c, &waiter{s: s}); err != nil {
				t.Fatal(err)
			}
		}
		index := swarm.Index{Leaves: dag.leaves, Nodes: 1, Sizes: make([]int, len(dag.leaves))}
		for i := range index.Sizes {
			index.Sizes[i] = -1
		}
		var channel uint32
		for _, e := range []swarm.Event{
			swarm.PeerUp{Peer: "p"}, swarm.Fetch{ID: 1, Root: dag.root}, swarm.Loaded{Root: dag.root}, swarm.Sent{Peer: "p"},
		} {
			if l, ok := e.(swarm.Loaded); ok {
				l.Index = index
				e = l
			}
			for _, a := range d.swarm.Step(time.Now(), e) {
				if a, ok := a.(swarm.Send); ok {
					for _, f := range a.Frames {
						if o, ok := f.(frame.Open); ok {
							channel = o.Channel
						}
					}
				}
			}
		}
		d.swarm.Step(time.Now(), swarm.Frames{Peer: "p", Frames: []frame.Frame{frame.Have{Channel: channel, Ranges: []frame.Range{{First: 0, Count: 40}}}}})
		d.swarm.Step(time.Now(), swarm.Sent{Peer: "p"})
		d.step(ctx, swap.Want{Session: 1, Cids: []cid.Cid{dag.root}}) // which nobody has
		time.Sleep(time.Minute)
		g := newGuest("p", 1)
		g.topics[channel] = &topic{root: dag.root, leaves: dag.leaves, asked: make(map[int]question), most: questionsStart}
		d.guests["p"] = g
		d.stepSwarm(ctx, swarm.Leaf{Peer: "p", Channel: channel, Number: 0, Block: dag.blocks[0]})
		if len(g.outstanding()) == 0 {
			t.Error("the peer was asked for nothing more")
		}
		d.finish()
		if len(x.waiting) > 0 {
			t.Errorf("%d blocks are still waited for", len(x.waiting))
		}
	})
}
