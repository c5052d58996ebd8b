package procs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/procs"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	latency  = 15 * time.Millisecond // one way
	patience = 60 * time.Second
)

// binary is p2pnode, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "procs-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if binary, err = procs.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// network is ground with so many peers, which do not run yet.
func network(t *testing.T, peers int, loopback bool) (*procs.Ground, *sim.Network) {
	t.Helper()
	g, err := procs.Open(procs.Options{Binary: binary, Dir: t.TempDir(), Peers: peers, Seed: 1, Loopback: loopback})
	if err != nil {
		t.Fatal(err)
	}
	n := sim.New(sim.Config{Seed: 1, Medium: g.Medium, Latency: func(_, _ *sim.Peer) time.Duration { return latency }})
	t.Cleanup(func() {
		if err := errors.Join(n.Close(), g.Died()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for range peers {
		if _, err := n.Add(sim.PeerOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	first := n.Peers()[0]
	for _, p := range n.Peers()[1:] {
		p.SetBootstrap([]*sim.Peer{first})
	}
	return g, n
}

func daemon(t *testing.T, p *sim.Peer) *procs.Daemon {
	t.Helper()
	d, ok := p.Guest().(*procs.Daemon)
	if !ok {
		t.Fatalf("%s is no daemon but %T", p, p.Guest())
	}
	return d
}

// read has p fetch what must be want.
func read(ctx context.Context, t *testing.T, p *sim.Peer, root cid.Cid, want []byte) {
	t.Helper()
	f, err := daemon(t, p).Open(ctx, root)
	if err != nil {
		t.Fatalf("%s opens %s: %v", p, root, err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s reads %d bytes, want %d: %v", p, len(got), len(want), err)
	}
}

// Everything that a script does to peers, on the best ground that this machine has and on
// loopback.
func TestDaemons(t *testing.T) {
	for _, loopback := range []bool{false, true} {
		t.Run(fmt.Sprintf("loopback=%v", loopback), func(t *testing.T) { testDaemons(t, loopback) })
	}
}

func testDaemons(t *testing.T, loopback bool) {
	g, n := network(t, 3, loopback)
	t.Logf("lines: %v", g.Lines())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := func(ctx context.Context, p *sim.Peer) error { return p.StartGuest(ctx, g.Start) }
	if err := sim.Each(ctx, n.Peers()[:1], start); err != nil {
		t.Fatal(err)
	}
	if err := sim.Each(ctx, n.Peers()[1:], start); err != nil {
		t.Fatal(err)
	}
	a, b, c := n.Peers()[0], n.Peers()[1], n.Peers()[2]
	if err := b.Connect(ctx, c); err != nil {
		t.Fatal(err)
	}
	if ids := strings.Join(b.Connected(), " "); !strings.Contains(ids, c.ID().String()) {
		t.Errorf("%s is connected to %q, not to %s", b, ids, c.ID())
	}
	text := bytes.Repeat([]byte("some text"), 10_000)
	root, err := daemon(t, a).Provide(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for info, err := range daemon(t, b).FindProviders(ctx, root) {
		if found = err == nil && info.ID == a.ID(); found || err != nil {
			break
		}
	}
	if !found {
		t.Errorf("%s does not find %s", b, a)
	}
	began := time.Now()
	read(ctx, t, c, root, text)
	if took := time.Since(began); g.Lines() == nil && took < 2*latency {
		t.Errorf("%d bytes come in %v, in less than a round trip", len(text), took)
	}
	if all, _ := daemon(t, c).Received(); all < int64(len(text)) {
		t.Errorf("%s has received %d bytes, want %d at least", c, all, len(text))
	}
	if g.Lines() == nil && c.NIC().Traffic().BytesIn < int64(len(text)) {
		t.Errorf("over the line of %s came %+v", c, c.NIC().Traffic())
	}
	restarts(ctx, t, n, start, root, text)
	for id, mb := range g.PeakMB() {
		if mb < 5 && runtime.GOOS == "linux" {
			t.Errorf("daemon %s had %v MB at most", id, mb)
		}
	}
}

// restarts takes one peer away in all ways, and it comes back as who it was.
func restarts(ctx context.Context, t *testing.T, n *sim.Network, start func(context.Context, *sim.Peer) error, root cid.Cid, text []byte) {
	t.Helper()
	c := n.Peers()[2]
	for _, way := range []struct {
		name  string
		leave func() error
		keeps bool
	}{
		{"stop", c.Stop, true},
		{"kill", func() error { return c.Crash(false) }, true},
		{"kill and lose", func() error { return c.Crash(true) }, false},
	} {
		if err := way.leave(); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		if c.Runs() {
			t.Fatalf("%s: it still runs", way.name)
		}
		if err := start(ctx, c); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		blocks := stored(ctx, t, c)
		if keeps := blocks > 0; keeps != way.keeps {
			t.Errorf("after %s, %s has %d blocks", way.name, c, blocks)
		}
		read(ctx, t, c, root, text) // from those by whom it has joined
	}
}

// stored is how many blocks p has.
func stored(ctx context.Context, t *testing.T, p *sim.Peer) int64 {
	t.Helper()
	s, err := daemon(t, p).Control().Stat(ctx)
	if err != nil || s.Store == nil {
		t.Fatalf("%s tells of no store: %v", p, err)
	}
	return int64(s.Store.Blocks)
}

// A daemon that ends untold is named, with what it said.
func TestDeathIsNoticed(t *testing.T) {
	g, err := procs.Open(procs.Options{Binary: binary, Dir: t.TempDir(), Peers: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := sim.New(sim.Config{Seed: 1, Medium: g.Medium})
	p, err := n.Add(sim.PeerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartGuest(t.Context(), g.Start); err != nil {
		t.Fatal(err)
	}
	victim, err := os.FindProcess(daemon(t, p).Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon(t, p).Add(t.Context(), strings.NewReader("x"), 0); err == nil {
		t.Error("a daemon that was killed has added something")
	}
	// Which of the two it is depends on who has seen it first.
	if err := fmt.Sprint(n.Close(), g.Died()); !strings.Contains(err, "killed") {
		t.Errorf("of the daemon that was killed is known: %s", err)
	}
	if err := p.StartGuest(t.Context(), g.Start); err == nil {
		t.Error("a daemon starts where nothing is any more")
	}
}

// A daemon that cannot start says why.
func TestNoStart(t *testing.T) {
	dir := t.TempDir()
	g, err := procs.Open(procs.Options{Binary: filepath.Join(dir, "none"), Dir: dir, Peers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	n := sim.New(sim.Config{Medium: g.Medium})
	p, err := n.Add(sim.PeerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartGuest(t.Context(), g.Start); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start of a program that is not there: %v", err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("a node in this process has entered a network of processes")
	}
	if _, err := procs.Open(procs.Options{Peers: procs.PeersMax + 1}); err == nil {
		t.Error("there is ground for any number of daemons")
	}
}

// Cuts hold between daemons, too.
func TestCut(t *testing.T) {
	g, n := network(t, 2, false)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, b := n.Peers()[0], n.Peers()[1]
	for _, p := range n.Peers() {
		if err := p.StartGuest(ctx, g.Start); err != nil {
			t.Fatal(err)
		}
	}
	before := []byte("before the cut") // they have met, then
	root, err := daemon(t, a).Add(ctx, bytes.NewReader(before), 0)
	if err != nil {
		t.Fatal(err)
	}
	read(ctx, t, b, root, before)
	b.NIC().SetGroup(1)
	n.Fabric().SetCut(0, 1, fabric.Drop)
	text := []byte("across the cut")
	root, err = daemon(t, a).Add(ctx, bytes.NewReader(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	f, err := daemon(t, b).Open(short, root)
	if err == nil {
		_, err = io.ReadAll(f)
		f.Close()
	}
	if cut := err != nil; cut != (g.Lines() == nil) {
		t.Errorf("across the cut: %v; lines: %v", err, g.Lines())
	}
	n.Fabric().SetCut(0, 1, fabric.Open)
	read(ctx, t, b, root, text)
}
