package exchange

import (
	"context"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/swap"
)

// find begins a search for providers.
func (d *driver) find(ctx context.Context, c cid.Cid) {
	search, cancel := context.WithTimeout(ctx, findTime)
	d.finds[c] = cancel
	d.x.spawn(func() {
		defer cancel()
		// The search may be stopped, but the machine still waits for its end.
		d.x.post(ctx, d.x.find(search, c))
	})
}

func (x *Exchange) find(ctx context.Context, c cid.Cid) swap.Found {
	e := swap.Found{Cid: c}
	for info, err := range x.o.Finder.FindProviders(ctx, c) {
		if err != nil {
			e.Err = err
			x.log.Debug("find providers", "cid", c, "err", err)
			break
		}
		if info.ID == x.host.ID() || info.ID == "" || x.isBanned(info.ID) {
			continue
		}
		if len(info.Addrs) > 0 {
			x.host.Peerstore().AddAddrs(info.ID, info.Addrs, addrTime)
		}
		if x.post(ctx, swap.Provider{Cid: c, Peer: info.ID}) != nil {
			break
		}
	}
	return e
}

// dial connects to a provider.
func (x *Exchange) dial(ctx context.Context, p peer.ID) {
	select {
	case x.dials <- struct{}{}:
		defer func() { <-x.dials }()
	case <-ctx.Done():
		return
	}
	connect, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if err := x.host.Connect(connect, peer.AddrInfo{ID: p}); err != nil {
		x.log.Debug("dial provider", "peer", p, "err", err)
	}
	x.post(ctx, refresh{p})
	x.post(ctx, swap.DialFailed{Peer: p}) // of no effect if refresh found it up
}
