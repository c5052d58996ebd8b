package dht_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/dht"
)

// deadline bounds every wait of these tests.
const deadline = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a DHT on a host of its own.
type node struct {
	*dht.DHT
	host  host.Host
	store ds.Batching
	stop  func() // ends Run, waits for it, closes the host
}

func newStore() ds.Batching { return dssync.MutexWrap(ds.NewMapDatastore()) }

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.DisableRelay(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// start runs a DHT until the test ends or stop is called.
func start(t testing.TB, o dht.Options) *node {
	t.Helper()
	if o.Store == nil {
		o.Store = newStore()
	}
	h := newHost(t)
	d, err := dht.New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	n := &node{DHT: d, host: h, store: o.Store}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("close host: %v", err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}
}

// swarm starts count nodes that all join through the first.
func swarm(t testing.TB, count int, o dht.Options) []*node {
	t.Helper()
	nodes := []*node{start(t, o)}
	for range count - 1 {
		o.Bootstrap = []peer.AddrInfo{nodes[0].info()}
		nodes = append(nodes, start(t, o))
	}
	for _, n := range nodes {
		until(t, "a peer in the table", func() bool { return n.Stats().TableSize > 0 })
	}
	return nodes
}

// until waits for a condition that nothing announces.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, deadline)
		}
	}
}

func cidOf(t testing.TB, s string) cid.Cid {
	t.Helper()
	h, err := multihash.Sum([]byte(s), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

// find collects the providers of c.
func (n *node) find(t testing.TB, c cid.Cid) []peer.AddrInfo {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var found []peer.AddrInfo
	for p, err := range n.FindProviders(ctx, c) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	return found
}

func TestProviderIsFoundThroughThirdParties(t *testing.T) {
	nodes := swarm(t, 12, dht.Options{})
	owner, seeker := nodes[3], nodes[9]
	c := cidOf(t, "a block")
	begin := time.Now()
	if err := owner.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return owner.Stats().Provided == 1 })
	t.Logf("provided after %v", time.Since(begin))
	found := seeker.find(t, c)
	if len(found) != 1 || found[0].ID != owner.host.ID() || len(found[0].Addrs) == 0 {
		t.Fatalf("found %v, want %v with addresses", found, owner.host.ID())
	}
	if s := owner.Stats(); s.Pending != 0 || s.ProvidesFailed != 0 {
		t.Errorf("stats after provide: %+v", s)
	}
}

func TestNoPeersIsSaidAtOnce(t *testing.T) {
	n := start(t, dht.Options{})
	until(t, "start", func() bool { return n.Stats().Mode == "server" })
	begin := time.Now()
	for _, err := range n.FindProviders(t.Context(), cidOf(t, "nowhere")) {
		if !errors.Is(err, dht.ErrNoPeers) {
			t.Fatalf("got %v, want ErrNoPeers", err)
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}
