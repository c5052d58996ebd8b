package node_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

func online(t testing.TB, o node.Options) *node.Node {
	t.Helper()
	if o.Listen == nil {
		o.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	o.NoMDNS = true
	if o.Network == "" {
		o.Network = "test"
	}
	n, err := node.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func randomBytes(seed byte, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func read(t *testing.T, ctx context.Context, n *node.Node, root cid.Cid) []byte {
	t.Helper()
	f, err := n.OpenFile(ctx, unixfs.Path{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// That a dial has just failed does not keep anybody from dialling again.
func TestConnectAgain(t *testing.T) {
	o := node.Options{Repo: t.TempDir()}
	first := online(t, o)
	addr := first.Addrs()[0]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	n := online(t, node.Options{})
	if err := n.Connect(t.Context(), addr); err == nil {
		t.Fatal("connects to nobody")
	}
	o.Listen = []string{strings.TrimSuffix(addr, "/p2p/"+first.ID().String())}
	online(t, o)
	if err := n.Connect(t.Context(), addr); err != nil {
		t.Error(err)
	}
}

// shutOnce lets no dial through but from the second on.
type shutOnce struct{ dials atomic.Int64 }

func (s *shutOnce) InterceptPeerDial(peer.ID) bool                                  { return s.dials.Add(1) > 1 }
func (s *shutOnce) InterceptAddrDial(peer.ID, ma.Multiaddr) bool                    { return true }
func (s *shutOnce) InterceptAccept(network.ConnMultiaddrs) bool                     { return true }
func (s *shutOnce) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
func (s *shutOnce) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// A dial that fails at once, as one that meets another from there, is tried once more.
func TestConnectTwice(t *testing.T) {
	other, gate := online(t, node.Options{}), new(shutOnce)
	n := online(t, node.Options{Libp2p: []libp2p.Option{libp2p.ConnectionGater(gate)}})
	if err := n.Connect(t.Context(), other.Addrs()[0]); err != nil || gate.dials.Load() < 2 {
		t.Errorf("%d dials: %v", gate.dials.Load(), err)
	}
}

// One that does not know the owner finds it through the DHT.
func TestFetchThroughDHT(t *testing.T) {
	ctx := t.Context()
	hub := online(t, node.Options{})
	owner := online(t, node.Options{Bootstrap: hub.Addrs()})
	stranger := online(t, node.Options{Bootstrap: hub.Addrs()})
	for _, n := range []*node.Node{owner, stranger} {
		if err := n.Connect(ctx, hub.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
	}
	content := randomBytes(1, 3<<20+17)
	link, err := owner.Add(ctx, bytes.NewReader(content), node.AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, ctx, stranger, link.Cid); !bytes.Equal(got, content) {
		t.Errorf("got %d other bytes", len(got))
	}
}

// A pin tells what it waits for, and nothing any more once it has returned.
func TestPinTells(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	other, n := online(t, node.Options{}), online(t, node.Options{})
	if err := n.Connect(ctx, other.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	missing, err := block.New([]byte("nobody has this"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	var returned atomic.Bool
	_, err = n.Pin(ctx, unixfs.Path{Root: missing.Cid()}, "", func(p node.PinProgress) {
		if returned.Load() {
			t.Error("told after the return")
		}
		if p.Network.Wants == 1 && p.Network.Phase != "idle" && p.Network.Phase != "" {
			cancel()
		}
	})
	returned.Store(true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it was not told what is waited for: %v", err)
	}
}

// A pin that was fetched is complete without its source.
func TestPinFetches(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	source := online(t, node.Options{})
	n := online(t, node.Options{Repo: dir})
	if err := n.Connect(ctx, source.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	root, err := addDocument(ctx, source, 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Pin(ctx, unixfs.Path{Root: root}, "copy", nil); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := node.Open(ctx, node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.GC(ctx, node.GCOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := checkDocument(ctx, again, root, 7); err != nil {
		t.Error(err)
	}
}

// Bytes that have decayed on disk are fetched again, never returned.
func TestDamagedBlockIsRefetched(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	content := randomBytes(3, 300<<10)
	n, err := node.Open(ctx, node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	link, err := n.Add(ctx, bytes.NewReader(content), node.AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, content[1000:1032])

	source := online(t, node.Options{})
	if _, err := source.Add(ctx, bytes.NewReader(content), node.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	n = online(t, node.Options{Repo: dir})
	if err := n.Connect(ctx, source.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	if got := read(t, ctx, n, link.Cid); !bytes.Equal(got, content) {
		t.Error("got other bytes")
	}
	res, err := n.Verify(ctx, node.VerifyOptions{})
	if err != nil || res.Corrupt != 0 || res.Blocks == 0 {
		t.Errorf("afterwards: %+v, %v", res, err)
	}
}

// flip changes one byte of the only place in the segments that holds needle.
func flip(t *testing.T, repo string, needle []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repo, "blocks", "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(text, needle); i >= 0 {
			text[i] ^= 1
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the content is in no segment")
}

// Content that nobody has is an error in seconds, and says why.
func TestMissingContentFails(t *testing.T) {
	hub := online(t, node.Options{})
	n := online(t, node.Options{Bootstrap: hub.Addrs()})
	if err := n.Connect(t.Context(), hub.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	missing, err := block.New([]byte("nobody has this"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = n.OpenFile(ctx, unixfs.Path{Root: missing.Cid()})
	if !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	var phased interface{ Phase() string }
	if !errors.As(err, &phased) || phased.Phase() == "" {
		t.Errorf("%v does not say in which phase it ended", err)
	}
}

func TestExportImportCAR(t *testing.T) {
	ctx := t.Context()
	a, b := offline(t), offline(t)
	root, err := addDocument(ctx, a, 3)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := a.ExportCAR(ctx, unixfs.Path{Root: root}, &archive); err != nil {
		t.Fatal(err)
	}
	whole := archive.Bytes()
	for _, cut := range []int{0, 10, len(whole) / 2, len(whole) - 1} {
		if _, err := b.ImportCAR(ctx, bytes.NewReader(whole[:cut])); !errors.Is(err, node.ErrCAR) {
			t.Errorf("cut at %d of %d: got %v, want ErrCAR", cut, len(whole), err)
		}
	}
	roots, err := b.ImportCAR(ctx, bytes.NewReader(whole))
	if err != nil || len(roots) != 1 || roots[0] != root {
		t.Fatalf("got %v, %v", roots, err)
	}
	if _, err := b.GC(ctx, node.GCOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := checkDocument(ctx, b, root, 3); err != nil {
		t.Error(err)
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"),
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// A deadline names what the fetch was doing when it was over.
func TestTimeoutNamesPhase(t *testing.T) {
	n := online(t, node.Options{})
	missing, err := block.New([]byte("too late"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = n.OpenFile(ctx, unixfs.Path{Root: missing.Cid()})
	var timeout *exchange.TimeoutError
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || timeout.Phase() == "idle" {
		t.Errorf("got %v, want a TimeoutError that names a phase", err)
	}
}

// resources is a resource manager that knows whether it was closed.
type resources struct {
	network.NullResourceManager
	closed bool
}

func (r *resources) Close() error {
	r.closed = true
	return nil
}

// TestHostOptions: what the embedder sets for the host replaces what we set.
func TestHostOptions(t *testing.T) {
	r := new(resources)
	key, _, err := crypto.GenerateEd25519Key(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), node.Options{
		Network: "test", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true,
		Libp2p: []libp2p.Option{libp2p.ResourceManager(r), libp2p.Identity(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !n.ID().MatchesPrivateKey(key) {
		t.Errorf("identity is %s", n.ID())
	}
	if err := n.Close(); err != nil || !r.closed {
		t.Errorf("closed: %v; %v", r.closed, err)
	}
}
