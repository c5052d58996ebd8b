package build_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

func TestTreeRefusesBadPaths(t *testing.T) {
	ctx := context.Background()
	for _, path := range []string{"/a", "a//b", "a/", ".", "../a", "a/./b", "a\x00"} {
		tree := build.NewTree(discard{}, build.Options{})
		var bad *unixfs.PathError
		if _, err := tree.File(ctx, path, bytes.NewReader(nil), 0, time.Time{}); !errors.As(err, &bad) {
			t.Errorf("%q: %v", path, err)
		}
	}
	tree := build.NewTree(discard{}, build.Options{})
	must[unixfs.Link](t)(tree.File(ctx, "a/b", bytes.NewReader(nil), 0, time.Time{}))
	for _, path := range []string{"a/b", "a", "a/b/c", ""} {
		if _, err := tree.File(ctx, path, bytes.NewReader(nil), 0, time.Time{}); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
}

// failing is a reader or a Putter that fails.
type failing struct{ after int }

var errFailing = errors.New("out of order")

func (f *failing) Read(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, errFailing
	}
	return len(p), nil
}

func (f *failing) Put(context.Context, ...block.Block) error { return errFailing }

func TestBuildFails(t *testing.T) {
	ctx := context.Background()
	for _, after := range []int{0, 10_000, 5 << 20} {
		if _, err := build.File(ctx, discard{}, &failing{after}, build.Options{}); !errors.Is(err, errFailing) {
			t.Errorf("reader: %v", err)
		}
	}
	for _, size := range []int{1, 100 << 20} {
		if _, err := build.File(ctx, &failing{}, content(size), build.Options{}); !errors.Is(err, errFailing) {
			t.Errorf("putter: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	for _, size := range []int{1, 100 << 20} {
		if _, err := build.File(ctx, discard{}, content(size), build.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("context: %v", err)
		}
	}
}

func TestProfileByName(t *testing.T) {
	for name, want := range map[string]build.Profile{
		"unixfs-v1-2025": build.V1_2025, "v1-2025": build.V1_2025, "unixfs-v0-2015": build.V0_2015, "v0-2015": build.V0_2015,
	} {
		if p, err := build.ProfileByName(name); err != nil || p != want {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for _, name := range []string{"", "v2", "unixfs-"} {
		if _, err := build.ProfileByName(name); err == nil {
			t.Errorf("%q is a profile", name)
		}
	}
}

// counting counts calls of Put and what came.
type counting struct {
	*blockstore.Mem
	calls, blocksMost, bytesMost int
}

func (c *counting) Put(ctx context.Context, blocks ...block.Block) error {
	size := 0
	for _, b := range blocks {
		size += b.Size()
	}
	c.calls++
	c.blocksMost, c.bytesMost = max(c.blocksMost, len(blocks)), max(c.bytesMost, size)
	return c.Mem.Put(ctx, blocks...)
}

func TestPutsInBatches(t *testing.T) {
	ctx := context.Background()
	c := &counting{Mem: blockstore.NewMem()}
	tree := build.NewTree(c, build.Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 2500 {
				path := fmt.Sprintf("%d/%d", i, j)
				if _, err := tree.File(ctx, path, strings.NewReader(path), 0, time.Time{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	root := must[unixfs.Link](t)(tree.Finish(ctx, nil))
	if c.calls > 15 || c.blocksMost > 1024 {
		t.Errorf("%d calls, of up to %d blocks", c.calls, c.blocksMost)
	}
	if n, err := drain(c, root.Cid); n != 10_005 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	c.calls = 0
	progress := 0
	o := build.Options{Progress: func(n int) { progress += n }}
	must[unixfs.Link](t)(build.File(ctx, c, content(50<<20+7), o))
	if c.calls > 8 || c.bytesMost > 9<<20 || progress != 50<<20+7 {
		t.Errorf("%d calls, of up to %d bytes; progress %d", c.calls, c.bytesMost, progress)
	}
}

// drain reads all there is and returns the error.
func drain(g block.Getter, c cid.Cid) (entries int, err error) {
	w := unixfs.NewWalker(context.Background(), g, c, unixfs.WalkOptions{})
	defer w.Close()
	for {
		if _, err = w.Next(); err == nil {
			_, err = w.WriteTo(io.Discard)
		}
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		entries++
	}
}

// discard keeps nothing.
type discard struct{}

func (discard) Put(context.Context, ...block.Block) error { return nil }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
