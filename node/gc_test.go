package node_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

var (
	modelSteps = flag.Int("node.steps", 2000, "steps of the garbage collection model test")
	modelSeed  = flag.Uint64("node.seed", 0, "seed of the garbage collection model test; 0 picks one")
)

// document i is a directory of three files, two of which it shares with its
// neighbours, so that collecting one document's garbage goes for blocks that
// another is just adding.
const documents = 40

func documentFile(i int) []byte {
	return bytes.Repeat([]byte{byte(i), byte(i >> 8), 'x'}, 2000+i)
}

func addDocument(ctx context.Context, n *node.Node, i int) (cid.Cid, error) {
	a := n.NewAdd(node.AddOptions{Name: fmt.Sprint("document ", i)})
	defer a.Abort()
	for k := range 3 {
		if _, err := a.File(ctx, fmt.Sprintf("dir/%d", k), bytes.NewReader(documentFile(i+k)), 0, time.Time{}); err != nil {
			return cid.Undef, err
		}
	}
	link, err := a.Commit(ctx, nil)
	return link.Cid, err
}

func checkDocument(ctx context.Context, n *node.Node, root cid.Cid, i int) error {
	for k := range 3 {
		f, err := n.OpenFile(ctx, unixfs.Path{Root: root, Segments: []string{"dir", fmt.Sprint(k)}})
		if err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		got, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		if !bytes.Equal(got, documentFile(i+k)) {
			return fmt.Errorf("document %d: file %d has other bytes", i, k)
		}
	}
	return nil
}

// model is what one document must be like now. Its lock is held across each
// operation on the document, so that the model and the node agree.
type model struct {
	mu     sync.Mutex
	root   cid.Cid
	pinned bool
}

// Whatever is pinned can be read, at every moment, while four workers add, pin,
// unpin and read documents that share blocks, and collections run one after
// another.
func TestGCModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with: go test ./node -run TestGCModel -node.seed %d", seed)
	ctx := t.Context()
	n, err := node.Open(ctx, node.Options{Repo: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()

	var (
		docs        [documents]model
		steps       atomic.Int64
		workers     errgroup.Group
		collections int
		removed     int
	)
	for w := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		workers.Go(func() error {
			for steps.Add(1) <= int64(*modelSteps) {
				i := rng.IntN(documents)
				if err := step(ctx, n, &docs[i], i, rng.IntN(5)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- workers.Wait() }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
			res, err := n.GC(ctx, node.GCOptions{})
			if err != nil {
				t.Fatal(err)
			}
			collections++
			removed += res.Removed
		}
	}
	if removed == 0 {
		t.Error("no block was ever garbage: the test has lost its subject")
	}
	t.Logf("%d collections removed %d blocks", collections, removed)
	for i := range docs {
		if docs[i].pinned {
			if err := checkDocument(ctx, n, docs[i].root, i); err != nil {
				t.Error(err)
			}
		}
	}
}

func step(ctx context.Context, n *node.Node, d *model, i, what int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case what == 0 || !d.root.Defined():
		root, err := addDocument(ctx, n, i)
		if err != nil {
			return err
		}
		d.root, d.pinned = root, true
	case what == 1 && d.pinned:
		d.pinned = false
		return n.Unpin(ctx, d.root)
	case what == 2 && !d.pinned:
		// What is still there can be pinned; what was collected is an honest error.
		_, err := n.Pin(ctx, unixfs.Path{Root: d.root}, "again", nil)
		if errors.Is(err, block.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		d.pinned = true
	case d.pinned:
		return checkDocument(ctx, n, d.root, i)
	}
	return nil
}

// An add that is running when a collection begins and ends loses nothing.
func TestGCSparesRunningAdd(t *testing.T) {
	ctx := t.Context()
	n := offline(t)
	a := n.NewAdd(node.AddOptions{})
	defer a.Abort()
	content := make([]byte, 20<<20) // more than is collected before it is stored
	rand.NewChaCha8([32]byte{1}).Read(content)
	if _, err := a.File(ctx, "a", bytes.NewReader(content), 0, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.GC(ctx, node.GCOptions{}); err != nil {
		t.Fatal(err)
	}
	link, err := a.Commit(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := n.OpenFile(ctx, unixfs.Path{Root: link.Cid, Segments: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read %d bytes of %d: %v", len(got), len(content), err)
	}
}

// A file that is open stays readable to its end although its pin is gone.
func TestGCSparesOpenFile(t *testing.T) {
	ctx := t.Context()
	n := offline(t)
	content := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{2}).Read(content)
	link, err := n.Add(ctx, bytes.NewReader(content), node.AddOptions{NoPin: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := n.OpenFile(ctx, unixfs.Path{Root: link.Cid})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.GC(ctx, node.GCOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read %d bytes of %d: %v", len(got), len(content), err)
	}
	f.Close()
	res, err := n.GC(ctx, node.GCOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Removed == 0 || res.Freed < int64(len(content)) {
		t.Errorf("after closing it: %+v, want the file gone", res)
	}
}

func TestGCDryRunKeepsAll(t *testing.T) {
	ctx := t.Context()
	n := offline(t)
	link, err := n.Add(ctx, bytes.NewReader([]byte("garbage")), node.AddOptions{NoPin: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := n.GC(ctx, node.GCOptions{DryRun: true})
	if err != nil || res.Removed != 1 {
		t.Fatalf("got %+v, %v; want one block", res, err)
	}
	if _, err := n.Local().Get(ctx, link.Cid); err != nil {
		t.Errorf("dry run: %v", err)
	}
}

func offline(t *testing.T) *node.Node {
	t.Helper()
	n, err := node.Open(t.Context(), node.Options{Repo: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}
