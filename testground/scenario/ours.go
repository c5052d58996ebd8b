package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// ours is a node as scripts see it that run with other software too. It is the whole
// node, through the door that any program has.
type ours struct{ node *node.Node }

func (o ours) Add(ctx context.Context, r io.Reader, chunk int) (cid.Cid, error) {
	profile := build.V1_2025
	if chunk > 0 {
		profile.ChunkSize = chunk
	}
	root, err := o.node.Add(ctx, r, node.AddOptions{Profile: profile})
	return root.Cid, err
}

func (o ours) Open(ctx context.Context, root cid.Cid) (io.ReadCloser, error) {
	return o.node.OpenFile(ctx, unixfs.Path{Root: root})
}

func (o ours) Received() (all, again int64) {
	s := o.node.Stats().Exchange
	again = s.DupBytes + s.JunkBytes
	return s.BytesIn + again, again
}

func (o ours) Provide(ctx context.Context, data []byte) (cid.Cid, error) {
	c, err := o.Add(ctx, bytes.NewReader(data), 0)
	if err != nil {
		return cid.Undef, err
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for o.node.Stats().DHT.Pending > 0 {
		select {
		case <-ctx.Done():
			return c, fmt.Errorf("provide %s: %w", c, ctx.Err())
		case <-tick.C:
		}
	}
	return c, nil
}

func (o ours) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return o.node.FindProviders(ctx, c)
}

func (o ours) Table() int { return o.node.Stats().DHT.TableSize }

func (o ours) Listen(topic string, hear func(data []byte, via peer.ID)) (publish func(context.Context, []byte) error, err error) {
	t, err := o.node.Gossip().Join(topic, nil)
	if err != nil {
		return nil, err
	}
	s, err := t.Subscribe()
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			// It ends when the node does.
			m, err := s.Next(context.Background())
			if err != nil {
				return
			}
			hear(m.Data, m.Via)
		}
	}()
	return t.Publish, nil
}

func (o ours) Repeated() uint64 { return o.node.Stats().Gossip.Duplicate }
