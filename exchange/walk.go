package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/skeleton"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// walk visits the blocks of a DAG that the store has and that are not raw, in the order of
// the protocol: a node, or the zero Block for a leaf. If one is not there the walk that is
// returned with the error stands before it. name is as of pruned.
func (x *Exchange) walk(ctx context.Context, name cid.Cid, visit func(block.Block) error) (*skeleton.Walk, error) {
	root, stops := unpruned(name)
	w := skeleton.New(root, stops...)
	for {
		c, more := w.Next()
		if !more {
			return w, nil
		}
		b, err := x.o.Store.Get(ctx, c)
		if err != nil {
			return w, fmt.Errorf("walk %s: %w", root, err)
		}
		links, err := x.o.Links(b)
		if err != nil {
			return nil, fmt.Errorf("walk %s: %w", root, err)
		}
		if len(links) > 0 {
			err = w.Node(b.Size(), links)
		} else {
			b, err = block.Block{}, w.Leaf()
		}
		if err == nil {
			err = visit(b)
		}
		if err != nil {
			return nil, fmt.Errorf("walk %s: %w", root, err)
		}
	}
}

// load finds out what the store has of a DAG.
func (x *Exchange) load(ctx context.Context, a swarm.Load) {
	e := swarm.Loaded{Root: a.Root}
	e.Index.Leaves, e.Index.Nodes = a.Leaves, a.Nodes
	if a.Leaves == nil {
		w, err := x.walk(ctx, a.Root, func(block.Block) error { return nil })
		if err != nil {
			e.Err = err
			if c, more := w.Next(); more && errors.Is(err, block.ErrNotFound) {
				e.Missing = c
			}
			x.post(ctx, e)
			return
		}
		e.Index.Leaves, e.Index.Nodes = w.Leaves(), w.Nodes()
	}
	e.Index.Sizes = make([]int, len(e.Index.Leaves))
	for i, c := range e.Index.Leaves {
		size, err := x.o.Store.Size(ctx, c)
		if err != nil {
			size = -1
		}
		e.Index.Sizes[i] = size
	}
	x.post(ctx, e)
}

// serveNodes writes the nodes of a DAG.
func (x *Exchange) serveNodes(ctx context.Context, m *member, a swarm.ServeNodes) {
	e := swarm.Served{Peer: a.Peer, Seq: a.Seq}
	l, err := m.data.take(ctx)
	if err == nil {
		err = x.writeNodes(ctx, m, l, a)
		m.data.giveBack(l)
	}
	if err != nil {
		x.log.Debug("send nodes", "peer", a.Peer, "root", a.Root, "err", err)
		e.Failed = true
	}
	x.post(ctx, e)
}

func (x *Exchange) writeNodes(ctx context.Context, m *member, l *lane, a swarm.ServeNodes) error {
	write := func(size int, f ...frame.Frame) error {
		_, err := x.write(ctx, m.id, l, size, func(s *stream) error { return s.frames.Write(f...) })
		return err
	}
	f, size, nodes := frame.Nodes{Channel: a.Channel}, 0, 0
	w, err := x.walk(ctx, a.Root, func(b block.Block) error {
		node := b.Cid().Defined()
		if node {
			nodes++
		}
		last := len(f.Items) - 1
		switch {
		case nodes <= a.From:
			return nil
		case !node && last >= 0 && f.Items[last].Leaves > 0:
			f.Items[last].Leaves++
		case !node:
			f.Items = append(f.Items, frame.Item{Leaves: 1})
		default:
			if size+b.Size() > nodesSize && size > 0 {
				if err := write(size, f); err != nil {
					return err
				}
				f.Items, size = nil, 0
			}
			f.Items = append(f.Items, frame.Item{Data: b.RawData()})
			size += b.Size()
		}
		if len(f.Items) < frame.ItemsMax {
			return nil
		}
		err := write(size, f)
		f.Items, size = nil, 0
		return err
	})
	if err != nil {
		return err
	}
	frames := []frame.Frame{frame.Index{Channel: a.Channel, Nodes: w.Nodes(), Leaves: len(w.Leaves()), Pushed: a.Pushed}}
	if len(f.Items) > 0 {
		frames = []frame.Frame{f, frames[0]}
	}
	return write(size, frames...)
}

// serveLeaves reads leaves and writes them to a peer.
func (x *Exchange) serveLeaves(ctx context.Context, m *member, a swarm.Serve) {
	e := swarm.Served{Peer: a.Peer, Seq: a.Seq}
	var frames []frame.Frame
	for i, c := range a.Cids {
		b, err := x.o.Store.Get(ctx, c)
		if err != nil {
			x.log.Debug("read leaf to serve", "cid", c, "err", err)
			e.Missing = append(e.Missing, a.Numbers[i])
			continue
		}
		e.Size += b.Size()
		frames = append(frames, frame.Block{Channel: a.Channel, Number: a.Numbers[i], Data: b.RawData()})
	}
	if len(frames) > 0 {
		l, err := m.data.take(ctx)
		if err == nil {
			_, err = x.write(ctx, m.id, l, e.Size, func(s *stream) error { return s.frames.Write(frames...) })
			m.data.giveBack(l)
		}
		if err != nil {
			x.log.Debug("send leaves", "peer", a.Peer, "err", err)
			e.Failed = true
		}
	}
	x.post(ctx, e)
}
