package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swarm"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// readFrames reads the frames of a member until the stream ends.
func (x *Exchange) readFrames(ctx context.Context, s network.Stream, in *inbound) {
	p := s.Conn().RemotePeer()
	reader := wire.NewReader(s)
	control := false // the stream has carried control frames
	for {
		received := func(size int) { x.post(ctx, swarm.Receiving{Peer: p, Size: size}) }
		err := x.readOne(ctx, s, reader, in, received, func(buf []byte) (blocks bool, err error) {
			f, err := frame.Decode(buf)
			f, ok := fromWire(f)
			if !ok {
				return false, fmt.Errorf("open a DAG that has no name: %w", frame.ErrMalformed)
			}
			switch f := f.(type) {
			case nil: // malformed, or of an unknown type
				return false, err
			case frame.Nodes:
				return true, x.takeNodes(ctx, p, f)
			case frame.Index:
				return false, x.takeIndex(ctx, p, f)
			case frame.Block:
				return true, x.takeLeaf(ctx, p, f)
			}
			control = true
			if err := in.leaves.WaitN(ctx, leavesOf(f)); err != nil {
				return false, err
			}
			if o, ok := f.(frame.Offer); ok {
				if block.Check(o.Root) == nil {
					x.offers.add(Offered{p, o.Root, o.Size})
				}
				return false, nil
			}
			if _, ok := f.(frame.Open); ok {
				if err := x.gate.pass(ctx, &in.account, openMiss); err != nil {
					return false, err
				}
			}
			return false, x.post(ctx, heard{p, s, f})
		})
		if err == nil {
			continue
		}
		if control {
			x.post(ctx, silenced{p, s})
		}
		x.endRead(s, err)
		return
	}
}

// leavesOf is how many leaves a frame makes the machine look at, as the limit of in.leaves
// counts them.
func leavesOf(f frame.Frame) int {
	var list []frame.Range
	switch f := f.(type) {
	case frame.Request:
		list = f.Ranges
	case frame.Cancel:
		list = f.Ranges
	case frame.Got:
		list = f.Ranges
	case frame.Have:
		list = f.Ranges
	case frame.Miss:
		list = f.Ranges
	}
	n := 1
	if _, ok := f.(frame.Open); ok {
		n = openLeaves
	}
	for _, r := range list {
		n += r.Count
	}
	return min(n, leafBurst)
}

// takeNodes verifies nodes against the walk of the channel.
func (x *Exchange) takeNodes(ctx context.Context, p peer.ID, f frame.Nodes) error {
	r := x.receptionOf(p, f.Channel)
	if r == nil {
		return nil
	}
	nodes, err := x.verify(r, f.Items)
	switch {
	case err != nil:
		return x.post(ctx, swarm.Indexed{Peer: p, Channel: f.Channel, Err: err})
	case len(nodes) == 0:
		return x.post(ctx, swarm.Walked{Peer: p, Channel: f.Channel})
	}
	size := int64(0)
	for _, b := range nodes {
		size += int64(b.Size())
	}
	if err := x.unsaved.Acquire(ctx, size); err != nil {
		return err
	}
	return x.post(ctx, walked{event: swarm.Walked{Peer: p, Channel: f.Channel}, nodes: nodes, size: size})
}

// verify takes items for what comes next in the walk, and returns the nodes among them;
// none if no walk goes on. It waits for nobody, as the loop may be waiting for r.
func (x *Exchange) verify(r *reception, items []frame.Item) (nodes []block.Block, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.walk == nil {
		return nil, nil // not asked for, or wrong before
	}
	for _, item := range items {
		b, err := x.takeItem(r, item)
		if err != nil {
			r.walk = nil
			return nil, err
		}
		if b.Cid().Defined() {
			nodes = append(nodes, b)
		}
	}
	return nodes, nil
}

// takeItem takes a node, or leaves, for what comes next in the walk.
func (x *Exchange) takeItem(r *reception, item frame.Item) (block.Block, error) {
	for range item.Leaves {
		if err := r.walk.Leaf(); err != nil {
			return block.Block{}, err
		}
	}
	if item.Leaves > 0 {
		return block.Block{}, nil
	}
	c, ok := r.walk.Next()
	if !ok {
		return block.Block{}, errBeyond
	}
	b, err := block.Verify(c, item.Data)
	if err != nil {
		return block.Block{}, err
	}
	links, err := x.o.Links(b)
	if err != nil {
		return block.Block{}, err
	}
	return b, r.walk.Node(b.Size(), links)
}

var errBeyond = errors.New("nodes beyond the end of the DAG")

// takeIndex ends the nodes of a channel.
func (x *Exchange) takeIndex(ctx context.Context, p peer.ID, f frame.Index) error {
	r := x.receptionOf(p, f.Channel)
	if r == nil {
		return nil
	}
	e, early := r.index(p, f)
	if e == nil {
		return nil
	}
	if err := x.post(ctx, *e); err != nil {
		return err
	}
	for _, b := range early {
		if err := x.takeLeaf(ctx, p, b); err != nil {
			return err
		}
	}
	return nil
}

// index ends the nodes, and returns the leaves that came before; nil if there were none to
// end.
func (r *reception) index(p peer.ID, f frame.Index) (e *swarm.Indexed, early []frame.Block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.walk == nil {
		return nil, nil
	}
	e = &swarm.Indexed{Peer: p, Channel: f.Channel, Nodes: r.walk.Nodes(), Pushed: f.Pushed}
	c, more := r.walk.Next()
	switch leaves := r.walk.Leaves(); {
	case more:
		e.Err = fmt.Errorf("walk ends before %s", c)
	case f.Nodes != e.Nodes || f.Leaves != len(leaves) || f.Pushed > len(leaves):
		e.Err = fmt.Errorf("%d nodes and %d leaves, of which %d follow, where there are %d and %d", f.Nodes, f.Leaves, f.Pushed, e.Nodes, len(leaves))
	default:
		e.Leaves, r.leaves = leaves, leaves
	}
	early = r.early
	r.walk, r.early = nil, nil
	return e, early
}

// takeLeaf has a leaf verified. What has no name is not even looked at.
func (x *Exchange) takeLeaf(ctx context.Context, p peer.ID, f frame.Block) error {
	r := x.receptionOf(p, f.Channel)
	if r == nil {
		return nil
	}
	c := r.name(f)
	if !c.Defined() {
		return nil
	}
	size := int64(len(f.Data))
	if err := x.unsaved.Acquire(ctx, size); err != nil {
		return err
	}
	job := func() {
		in := arrivedLeaf{size: size, event: swarm.Corrupt{Peer: p, Channel: f.Channel, Number: f.Number, Size: len(f.Data)}}
		if b, err := block.Verify(c, f.Data); err == nil {
			in.event = swarm.Leaf{Peer: p, Channel: f.Channel, Number: f.Number, Block: b}
		}
		x.post(ctx, in)
	}
	select {
	case x.hashes <- job:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// name is that of a leaf, undefined if it has none. A leaf that was faster than the nodes is
// kept until they are here, as far as the credit goes.
func (r *reception) name(f frame.Block) cid.Cid {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case f.Number < len(r.leaves):
		return r.leaves[f.Number]
	case r.walk != nil && len(f.Data) <= r.credit:
		r.credit -= len(f.Data)
		r.early = append(r.early, f)
	}
	return cid.Undef
}

func (x *Exchange) receptionOf(p peer.ID, channel uint32) *reception {
	if m := x.member(p); m != nil {
		return m.reception(channel)
	}
	return nil
}
