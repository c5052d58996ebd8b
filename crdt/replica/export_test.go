package replica

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
)

// Pull pulls from a peer.
func (d *Doc) Pull(ctx context.Context, from peer.ID) error {
	_, err := d.pull(ctx, from)
	return err
}

// Receive takes what a peer has sent.
func (d *Doc) Receive(ctx context.Context, blocks []block.Block, heads ...crdt.Head) error {
	_, _, err := d.receive(ctx, "", blocks, heads)
	return err
}

// ServesPeerMax is servesPeerMax.
const ServesPeerMax = servesPeerMax
