package exchange_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
)

// shutOnce lets no dial through but from the second on.
type shutOnce struct{ dials atomic.Int64 }

func (s *shutOnce) InterceptPeerDial(peer.ID) bool                                  { return s.dials.Add(1) > 1 }
func (s *shutOnce) InterceptAddrDial(peer.ID, ma.Multiaddr) bool                    { return true }
func (s *shutOnce) InterceptAccept(network.ConnMultiaddrs) bool                     { return true }
func (s *shutOnce) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
func (s *shutOnce) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// TestDialAgain: one failed dial is no reason to give the only provider up.
func TestDialAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	store := blockstore.NewMem()
	cids := fill(t, store, 1, 1000)
	seed := loopback(t)
	run(t, seed, exchange.Options{Store: store})
	gate := new(shutOnce)
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.ConnectionGater(gate), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	x := run(t, h, exchange.Options{Store: blockstore.NewMem(), Finder: finder{{ID: seed.ID(), Addrs: seed.Addrs()}}})
	getAll(ctx, t, x.Session(ctx), cids)
	if n := gate.dials.Load(); n < 2 {
		t.Errorf("%d dials", n)
	}
}

// breaksOnce is a host of which the first stream cannot be opened.
type breaksOnce struct {
	host.Host
	opened atomic.Int64
}

func (b *breaksOnce) NewStream(ctx context.Context, p peer.ID, pids ...protocol.ID) (network.Stream, error) {
	if b.opened.Add(1) == 1 {
		b.Network().ClosePeer(p)
		return nil, errors.New("connection closed by the other end")
	}
	return b.Host.NewStream(ctx, p, pids...)
}

// unidentified is a peer that has a block, and does not say who it is.
func unidentified(t *testing.T) (host.Host, []cid.Cid) {
	t.Helper()
	store := blockstore.NewMem()
	cids := fill(t, store, 1, 1000)
	seed := loopback(t)
	run(t, seed, exchange.Options{Store: store})
	seed.RemoveStreamHandler(identify.ID)
	seed.RemoveStreamHandler(identify.IDPush)
	return seed, cids
}

// TestDialAgainWhenClosed: a connection that ends as it begins, as the peer gives up a dial
// of its own, is no reason to give the only provider up.
func TestDialAgainWhenClosed(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seed, cids := unidentified(t)
	h := &breaksOnce{Host: loopback(t)}
	x := run(t, h, exchange.Options{Store: blockstore.NewMem(), Finder: finder{{ID: seed.ID(), Addrs: seed.Addrs()}}})
	getAll(ctx, t, x.Session(ctx), cids)
	if n := h.opened.Load(); n < 2 {
		t.Errorf("%d streams were opened", n)
	}
}

// TestUnidentified: a provider that could not be identified is asked which protocol it
// speaks.
func TestUnidentified(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seed, cids := unidentified(t)
	h := loopback(t)
	x := run(t, h, exchange.Options{Store: blockstore.NewMem(), Finder: finder{{ID: seed.ID(), Addrs: seed.Addrs()}}})
	getAll(ctx, t, x.Session(ctx), cids)
}
