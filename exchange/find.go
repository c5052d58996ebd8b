package exchange

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
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
	began := time.Now()
	err := x.meet(ctx, p)
	if err != nil && time.Since(began) <= dialAgainDelay && len(x.host.Peerstore().Addrs(p)) > 0 {
		// The peer may have dialled too, and closed one connection, or given its dial up;
		// or somebody has tried a moment ago and libp2p will not for a while.
		pause := time.NewTimer(dialAgainDelay)
		defer pause.Stop()
		select {
		case <-pause.C:
			err = x.meet(network.WithForceDirectDial(ctx, "exchange"), p)
		case <-ctx.Done():
		}
	}
	if err != nil {
		x.log.Debug("dial provider", "peer", p, "err", err)
	}
	x.post(ctx, refresh{p})
	x.post(ctx, swap.DialFailed{Peer: p, Err: err}) // of no effect if refresh found it up
}

// meet connects to a peer and sees to it that both know what to speak.
func (x *Exchange) meet(ctx context.Context, p peer.ID) error {
	if err := x.connect(ctx, p); err != nil {
		return err
	}
	if _, up := x.reach(p); up {
		return nil
	}
	return x.agree(ctx, p)
}

func (x *Exchange) connect(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return x.host.Connect(ctx, peer.AddrInfo{ID: p})
}

// agree finds a protocol to speak with a connected peer that libp2p has not identified:
// it gives that up after a few seconds, once and for all, and the answer of a peer that
// serves a crowd takes longer.
func (x *Exchange) agree(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	s, err := x.host.NewStream(ctx, p, protocols...)
	if err != nil {
		return fmt.Errorf("agree on a protocol: %w", err)
	}
	return s.Close() // the host has noted what was agreed
}
