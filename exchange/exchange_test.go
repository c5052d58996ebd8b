package exchange_test

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// loopback returns a host on a TCP port of this machine.
func loopback(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Security(noise.ID, noise.New),
		libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// run runs an exchange until the test ends.
func run(t testing.TB, h host.Host, o exchange.Options) *exchange.Exchange {
	t.Helper()
	x := exchange.New(h, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	// boxo takes a peer for dead to which it cannot open a stream as it learns of it.
	waitFor(t, func() bool { return slices.Contains(h.Mux().Protocols(), wire.Protocol100) })
	return x
}

func connect(t testing.TB, a, b host.Host) {
	t.Helper()
	if err := a.Connect(context.Background(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// fill puts n random blocks of size bytes into the store.
func fill(t testing.TB, s blockstore.Store, n, size int) []cid.Cid {
	t.Helper()
	var cids []cid.Cid
	for range n {
		data := make([]byte, size)
		rand.Read(data)
		b, err := block.New(data, block.Prefix{Codec: cid.Raw})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		cids = append(cids, b.Cid())
	}
	return cids
}

func TestFetchFromOneSeed(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seedStore, store := blockstore.NewMem(), blockstore.NewMem()
	cids := fill(t, seedStore, 100, 256<<10)
	seedHost, h := loopback(t), loopback(t)
	run(t, seedHost, exchange.Options{Store: seedStore})
	x := run(t, h, exchange.Options{Store: store})
	connect(t, h, seedHost)
	getAll(ctx, t, x.Session(ctx), cids)
}

func getAll(ctx context.Context, t testing.TB, g block.Getter, cids []cid.Cid) {
	t.Helper()
	errs := make(chan error)
	for _, c := range cids {
		go func() {
			b, err := g.Get(ctx, c)
			if err == nil && b.Cid() != c {
				t.Errorf("got %s, want %s", b.Cid(), c)
			}
			errs <- err
		}()
	}
	for range cids {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
