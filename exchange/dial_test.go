package exchange_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
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

// TestUnidentified: a provider that could not be identified is asked which protocol it
// speaks.
func TestUnidentified(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	store := blockstore.NewMem()
	cids := fill(t, store, 1, 1000)
	seed := loopback(t)
	run(t, seed, exchange.Options{Store: store})
	seed.RemoveStreamHandler(identify.ID)
	seed.RemoveStreamHandler(identify.IDPush)
	h := loopback(t)
	x := run(t, h, exchange.Options{Store: blockstore.NewMem(), Finder: finder{{ID: seed.ID(), Addrs: seed.Addrs()}}})
	getAll(ctx, t, x.Session(ctx), cids)
}
