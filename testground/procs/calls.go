package procs

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

// Add adds a file. When it returns, the file is durable.
func (p *Peer) Add(ctx context.Context, r io.Reader) (cid.Cid, error) {
	c := p.Control()
	if c == nil {
		return cid.Undef, ErrDown
	}
	item, err := c.AddFile(ctx, r, control.AddOptions{})
	if err != nil {
		return cid.Undef, err
	}
	return cid.Decode(item.Cid)
}

// Open reads a file, from wherever it is.
func (p *Peer) Open(ctx context.Context, root cid.Cid) (io.ReadCloser, error) {
	c := p.Control()
	if c == nil {
		return nil, ErrDown
	}
	return c.Cat(ctx, control.Ref{Ref: root.String()}, 0, -1, "")
}

// FindProviders yields peers that say they have c, as they are found.
func (p *Peer) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.ID, error] {
	return func(yield func(peer.ID, error) bool) {
		api := p.Control()
		if api == nil {
			yield("", ErrDown)
			return
		}
		for found, err := range api.Find(ctx, control.Ref{Ref: c.String()}) {
			var id peer.ID
			if err == nil {
				id, err = peer.Decode(found.ID)
			}
			if !yield(id, err) {
				return
			}
		}
	}
}

// Stats are the daemon's counters; the zero value if it does not run.
func (p *Peer) Stats(ctx context.Context) (node.Stats, error) {
	c := p.Control()
	if c == nil {
		return node.Stats{}, ErrDown
	}
	return c.Stat(ctx)
}

// Connect connects to another peer.
func (p *Peer) Connect(ctx context.Context, to *Peer) error {
	c := p.Control()
	if c == nil {
		return ErrDown
	}
	return c.Connect(ctx, to.Addr())
}

// Connected are the IDs of the peers that p is connected to.
func (p *Peer) Connected(ctx context.Context) ([]string, error) {
	c := p.Control()
	if c == nil {
		return nil, ErrDown
	}
	peers, err := c.Peers(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s lists its peers: %w", p, err)
	}
	var ids []string
	for _, o := range peers.Peers {
		ids = append(ids, o.ID)
	}
	return ids, nil
}
