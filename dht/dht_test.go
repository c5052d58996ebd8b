package dht_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/dht"
)

// deadline bounds every wait of these tests.
const deadline = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	cidCid   = cid.Cid
	peerInfo = peer.AddrInfo
)

func dsKey(s string) ds.Key { return ds.NewKey(s) }

// node is a DHT on a host of its own.
type node struct {
	*dht.DHT
	host  host.Host
	store ds.Batching
	stop  func() // ends Run, waits for it, closes the host
}

func newStore() ds.Batching { return dssync.MutexWrap(ds.NewMapDatastore()) }

func newHost(t testing.TB, more ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append(more,
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.DisableRelay(),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// start runs a DHT until the test ends or stop is called.
func start(t testing.TB, o dht.Options) *node {
	t.Helper()
	return startWith(t, o)
}

func startWith(t testing.TB, o dht.Options, more ...libp2p.Option) *node {
	t.Helper()
	if o.Store == nil {
		o.Store = newStore()
	}
	h := newHost(t, more...)
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

// late is a connection gater that lets nothing out or in until it is opened.
type late struct{ open atomic.Bool }

func (l *late) InterceptPeerDial(peer.ID) bool                                  { return l.open.Load() }
func (l *late) InterceptAddrDial(peer.ID, ma.Multiaddr) bool                    { return true }
func (l *late) InterceptAccept(network.ConnMultiaddrs) bool                     { return l.open.Load() }
func (l *late) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
func (l *late) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// TestFindWhileJoining: who asks in the first moment is not told that nobody is there.
func TestFindWhileJoining(t *testing.T) {
	nodes := swarm(t, 4, dht.Options{})
	owner, c := nodes[1], cidOf(t, "there")
	if err := owner.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return owner.Stats().Provided == 1 })
	way := new(late)
	n := startWith(t, dht.Options{Bootstrap: []peerInfo{nodes[0].info()}}, libp2p.ConnectionGater(way))
	until(t, "start", func() bool { return n.Stats().Mode == "server" })
	time.AfterFunc(200*time.Millisecond, func() { way.open.Store(true) })
	if found := n.find(t, c); len(found) != 1 || found[0].ID != owner.host.ID() {
		t.Errorf("found %v", found)
	}
}

// TestJoinAgain: who loses everybody, and can reach nobody for a moment, joins again.
func TestJoinAgain(t *testing.T) {
	nodes := swarm(t, 4, dht.Options{})
	owner, c := nodes[1], cidOf(t, "there")
	if err := owner.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return owner.Stats().Provided == 1 })
	way := new(late)
	way.open.Store(true)
	n := startWith(t, dht.Options{Bootstrap: []peerInfo{nodes[0].info()}}, libp2p.ConnectionGater(way))
	lose := func() {
		until(t, "join", func() bool { return len(n.host.Network().Peers()) > 0 })
		way.open.Store(false)
		for _, o := range nodes {
			if err := n.host.Network().ClosePeer(o.host.ID()); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "loss", func() bool { return len(n.host.Network().Peers()) == 0 })
		time.AfterFunc(time.Second, func() { way.open.Store(true) })
	}
	lose()
	if found := n.find(t, c); len(found) != 1 || found[0].ID != owner.host.ID() {
		t.Errorf("found %v", found)
	}
	lose() // and nobody asks
	until(t, "join", func() bool { return len(n.host.Network().Peers()) > 0 })
}

func TestEarlyBreakLeaksNothing(t *testing.T) {
	nodes := swarm(t, 6, dht.Options{})
	c := cidOf(t, "popular")
	for _, n := range nodes[1:] {
		if err := n.Provide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes[1:] {
		until(t, "provide", func() bool { return n.Stats().Provided == 1 })
	}
	for range 20 {
		for _, err := range nodes[0].FindProviders(t.Context(), c) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if s := nodes[0].Stats(); s.LookupsRunning != 0 {
			t.Fatalf("%d lookups run after break", s.LookupsRunning)
		}
	}
	// A reader that has stopped reading must not keep the DHT from stopping.
	for _, err := range nodes[0].FindProviders(t.Context(), c) {
		nodes[0].stop()
		if err != nil && !errors.Is(err, dht.ErrNoPeers) {
			t.Error(err)
		}
	}
}

func TestEveryProviderIsYieldedOnce(t *testing.T) {
	nodes := swarm(t, 8, dht.Options{})
	c := cidOf(t, "in demand")
	for _, n := range nodes[:5] {
		if err := n.Provide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes[:5] {
		until(t, "provide", func() bool { return n.Stats().Provided == 1 })
	}
	want := map[peer.ID]bool{}
	for _, n := range nodes[1:5] {
		want[n.host.ID()] = true
	}
	for _, p := range nodes[0].find(t, c) { // itself a provider, which it does not tell itself
		if !want[p.ID] {
			t.Errorf("%v was not asked for, or came twice", p.ID)
		}
		delete(want, p.ID)
	}
	if len(want) > 0 {
		t.Errorf("%d providers were not found", len(want))
	}
}

// TestProviderWithoutAddresses lets everyone forget where the provider is.
func TestProviderWithoutAddresses(t *testing.T) {
	nodes := swarm(t, 5, dht.Options{})
	for _, n := range nodes { // so that all of them keep the record
		until(t, "full table", func() bool { return n.Stats().TableSize == len(nodes)-1 })
	}
	owner, seeker := nodes[1], nodes[4]
	c := cidOf(t, "hidden")
	if err := owner.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return owner.Stats().Provided == 1 })
	id := owner.host.ID()
	owner.stop()
	others := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == owner })
	// They remind each other for a while.
	until(t, "forgetting", func() bool {
		for _, n := range others {
			if len(n.host.Network().ConnsToPeer(id)) > 0 {
				return false
			}
			n.host.Peerstore().ClearAddrs(id)
		}
		found := seeker.find(t, c)
		if len(found) != 1 || found[0].ID != id {
			t.Fatalf("found %v", found)
		}
		return len(found[0].Addrs) == 0
	})
	// One peer that still knows is enough.
	nodes[2].host.Peerstore().AddAddrs(id, owner.info().Addrs, time.Hour)
	nodes[3].host.Peerstore().AddAddrs(id, []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/9")}, time.Hour)
	if found := seeker.find(t, c); len(found) != 1 || len(found[0].Addrs) == 0 {
		t.Errorf("found %v", found)
	}
}

// TestAnyConnectionEntersTheTable connects without the DHT's doing.
func TestAnyConnectionEntersTheTable(t *testing.T) {
	a, b := start(t, dht.Options{}), start(t, dht.Options{})
	if err := a.host.Connect(t.Context(), b.info()); err != nil {
		t.Fatal(err)
	}
	until(t, "table", func() bool { return a.Stats().TableSize == 1 && b.Stats().TableSize == 1 })
}

// TestTableIsNotCappedOnOneSubnet guards against the IP diversity filter, which
// takes a loopback for three peers in one place.
func TestTableIsNotCappedOnOneSubnet(t *testing.T) {
	nodes := swarm(t, 10, dht.Options{})
	until(t, "full table", func() bool { return nodes[0].Stats().TableSize == 9 })
}

func TestNetworksDoNotMix(t *testing.T) {
	red, blue := start(t, dht.Options{Network: "red"}), start(t, dht.Options{Network: "blue"})
	third := start(t, dht.Options{Network: "red"})
	for _, n := range []*node{red, blue} {
		if err := third.host.Connect(t.Context(), n.info()); err != nil {
			t.Fatal(err)
		}
	}
	if err := red.host.Connect(t.Context(), blue.info()); err != nil {
		t.Fatal(err)
	}
	until(t, "red table", func() bool { return red.Stats().TableSize == 1 && third.Stats().TableSize == 1 })
	c := cidOf(t, "red block")
	if err := red.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return red.Stats().Provided == 1 })
	if n := blue.Stats().TableSize; n != 0 {
		t.Errorf("blue knows %d red peers", n)
	}
	for p, err := range blue.FindProviders(t.Context(), c) {
		if !errors.Is(err, dht.ErrNoPeers) {
			t.Errorf("blue finds %v, %v", p, err)
		}
	}
}

func TestNetworkNames(t *testing.T) {
	for name, want := range map[string]protocol.ID{
		"": "/p2pnode", "p2pnode": "/p2pnode", "ipfs": "/ipfs", "my-lab-2": "/p2pnode/my-lab-2",
	} {
		if got, err := dht.Prefix(name); got != want || err != nil {
			t.Errorf("network %q has prefix %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"My", "a/b", "a b", "ü", "-a", "a-", strings.Repeat("a", 33), "a\x00"} {
		_, err := dht.New(nil, dht.Options{Network: name})
		if nameErr := (*dht.NameError)(nil); !errors.As(err, &nameErr) || nameErr.Name != name {
			t.Errorf("network %q: %v", name, err)
		}
		if err := dht.RunMDNS(t.Context(), nil, name, nil); err == nil {
			t.Errorf("multicast DNS in network %q", name)
		}
	}
}

// TestPublicNetworkStarts only starts: the rules that kad-dht enforces on the
// public prefix hold, and nobody is dialled when the list of peers is empty.
func TestPublicNetworkStarts(t *testing.T) {
	n := start(t, dht.Options{Network: "ipfs", Bootstrap: []peer.AddrInfo{}})
	until(t, "start", func() bool { return n.Stats().Mode == "auto" })
}

func TestValuesTravel(t *testing.T) {
	nodes := swarm(t, 5, dht.Options{})
	key := nodes[1].host.Peerstore().PrivKey(nodes[1].host.ID())
	target, err := path.NewPath("/ipfs/" + cidOf(t, "page").String())
	if err != nil {
		t.Fatal(err)
	}
	record, err := ipns.NewRecord(key, target, 1, time.Now().Add(time.Hour), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ipns.MarshalRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	name := string(ipns.NameFromPeer(nodes[1].host.ID()).RoutingKey())
	if err := nodes[1].PutValue(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	got, err := nodes[4].GetValue(t.Context(), name)
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	other := string(ipns.NameFromPeer(nodes[2].host.ID()).RoutingKey())
	if err := nodes[1].PutValue(t.Context(), other, b); err == nil {
		t.Error("a record was stored under a foreign name")
	}
	if _, err := nodes[4].GetValue(t.Context(), other); !errors.Is(err, dht.ErrNotFound) {
		t.Errorf("missing value: %v", err)
	}
}

func TestFindPeer(t *testing.T) {
	nodes := swarm(t, 6, dht.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	found, err := nodes[5].FindPeer(ctx, nodes[3].host.ID())
	if err != nil || len(found.Addrs) == 0 {
		t.Errorf("found %v, %v", found, err)
	}
	stranger := newHost(t)
	defer stranger.Close()
	if _, err := nodes[5].FindPeer(ctx, stranger.ID()); !errors.Is(err, dht.ErrNotFound) {
		t.Errorf("find a stranger: %v", err)
	}
}

func TestRunTwiceAndAgain(t *testing.T) {
	n := start(t, dht.Options{})
	until(t, "start", func() bool { return n.Stats().Mode == "server" })
	if err := n.Run(t.Context()); err == nil {
		t.Error("ran twice at once")
	}
	h := newHost(t)
	defer h.Close()
	d, err := dht.New(h, dht.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // one after the other is fine
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		until(t, "start", func() bool { return d.Stats().Mode == "server" })
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.FindPeer(t.Context(), n.host.ID()); !errors.Is(err, dht.ErrNoPeers) {
		t.Errorf("lookup when stopped: %v", err)
	}
	if err := d.WaitPeers(t.Context()); !errors.Is(err, dht.ErrNoPeers) {
		t.Errorf("wait when stopped: %v", err)
	}
}

func TestMDNSEndsWithItsContext(t *testing.T) {
	h := newHost(t)
	defer h.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- dht.RunMDNS(ctx, h, "", func(peer.AddrInfo) {}) }()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOutageOver(t *testing.T) {
	for _, c := range []struct {
		peers []int
		over  int
	}{
		{[]int{20, 20, 21, 22, 20}, -1}, // comings and goings
		{[]int{20, 8, 9, 10, 15}, 4},
		{[]int{0, 1, 2}, 2},
		{[]int{3, 0, 1, 1}, -1},
		{[]int{30, 31, 29, 44, 45}, 3},
	} {
		if got := dht.OutageOver(c.peers...); got != c.over {
			t.Errorf("with %v peers the outage is over after %d, want %d", c.peers, got, c.over)
		}
	}
}
