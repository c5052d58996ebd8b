package replica

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Pull pulls from a peer.
func (d *Doc) Pull(ctx context.Context, from peer.ID) error {
	_, err := d.pull(ctx, from)
	return err
}
