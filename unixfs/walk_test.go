package unixfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// slow answers after a latency, and counts.
type slow struct {
	g       block.Getter
	latency func() time.Duration

	mu    sync.Mutex // guards the following fields
	now   int        // Gets in flight
	most  int
	asked int
}

func (s *slow) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.asked++
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	select {
	case <-time.After(s.latency()):
		return s.g.Get(ctx, c)
	case <-ctx.Done():
		return block.Block{}, ctx.Err()
	}
}

// counts returns how many Gets there were, and how many at once at most.
func (s *slow) counts() (asked, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.most
}

func fixed(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func random(seed uint64, most time.Duration) func() time.Duration {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 0))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(r.Int64N(int64(most)))
	}
}

// tiny makes deep trees of little data.
func tiny() build.Profile {
	p := build.V1_2025
	p.ChunkSize, p.LinksMax, p.ShardSize, p.ShardFanout = 100, 3, 2000, 16
	return p
}

// forest is a tree of every shape there is; want has it in order of a walk of
// plain directories.
func forest(t testing.TB, m *memory, p build.Profile) (root unixfs.Link, want map[string]string) {
	t.Helper()
	ctx := context.Background()
	tree := build.NewTree(m, build.Options{Profile: p})
	want = map[string]string{"": ""}
	for d := range 5 {
		dir := fmt.Sprintf("d%d", d)
		want[dir] = ""
		for f := range 1 + d*40 {
			path := fmt.Sprintf("%s/a file of number %d", dir, f)
			body := strings.Repeat(path, f%60)
			must[unixfs.Link](t)(tree.File(ctx, path, strings.NewReader(body), 0, time.Time{}))
			want[path] = body
		}
		must[unixfs.Link](t)(tree.Symlink(ctx, dir+"/link", "to/"+dir, time.Time{}))
		want[dir+"/link"] = "to/" + dir
	}
	if err := tree.Dir("empty", 0, time.Time{}); err != nil {
		t.Fatal(err)
	}
	want["empty"] = ""
	return must[unixfs.Link](t)(tree.Finish(ctx, nil)), want
}

// readAll walks everything; check, unless nil, is called at every entry.
func readAll(t testing.TB, w *unixfs.Walker, check func()) (paths []string, bodies map[string]string) {
	t.Helper()
	bodies = map[string]string{}
	for {
		e, err := w.Next()
		if err == io.EOF {
			return paths, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := w.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if e.Type != unixfs.TypeDir && uint64(b.Len()) != e.Size {
			t.Errorf("%s: %d bytes of %d", e.Path, b.Len(), e.Size)
		}
		if _, twice := bodies[e.Path]; twice {
			t.Errorf("%s: twice", e.Path)
		}
		paths, bodies[e.Path] = append(paths, e.Path), b.String()
		if check != nil {
			check()
		}
	}
}

func TestWalkerReadsWhatTreeBuilt(t *testing.T) {
	for _, p := range []build.Profile{build.V1_2025, build.V0_2015, tiny()} {
		m := newMemory()
		root, want := forest(t, m, p)
		w := unixfs.NewWalker(context.Background(), m, root.Cid, unixfs.WalkOptions{})
		defer w.Close()
		_, got := readAll(t, w, nil)
		if len(got) != len(want) {
			t.Errorf("%d entries, want %d", len(got), len(want))
		}
		for path, body := range want {
			if got[path] != body {
				t.Errorf("%s: %q, want %q", path, got[path], body)
			}
		}
	}
}

// The order of entries is that of the DAG, whatever the latencies and however
// small the window.
func TestWalkerOrder(t *testing.T) {
	m := newMemory()
	root, _ := forest(t, m, tiny())
	one := unixfs.NewWalker(context.Background(), m, root.Cid, unixfs.WalkOptions{WindowBlocks: 1})
	defer one.Close()
	want, _ := readAll(t, one, nil)
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{g: m, latency: random(seed, 100*time.Millisecond)}
			o := unixfs.WalkOptions{WindowBlocks: 1 + int(seed)*7, WindowBytes: int64(500 + 1000*seed)}
			w := unixfs.NewWalker(t.Context(), s, root.Cid, o)
			defer w.Close()
			got, _ := readAll(t, w, func() {
				blocks, size, held := w.Usage()
				if blocks > o.WindowBlocks {
					t.Errorf("%d blocks in a window of %d", blocks, o.WindowBlocks)
				}
				// The path to the reader may exceed the window, and one block with it.
				if size-held > o.WindowBytes+100 && blocks > 1 {
					t.Errorf("%d bytes in a window of %d", size-held, o.WindowBytes)
				}
			})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("seed %d: order differs", seed)
			}
			if _, most := s.counts(); most > o.WindowBlocks {
				t.Errorf("%d Gets at once, window %d", most, o.WindowBlocks)
			}
		})
	}
}

// 100 directories of 100 files are one pipeline: root, directories, files.
func TestWalkerRoundTrips(t *testing.T) {
	const rtt = 50 * time.Millisecond
	m := newMemory()
	root := smallFiles(t, m, 100, 100, 1000)
	for _, c := range []struct {
		window int
		trips  int
	}{{20000, 3}, {1024, 20}} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			w := unixfs.NewWalker(t.Context(), &slow{g: m, latency: fixed(rtt)}, root.Cid, unixfs.WalkOptions{WindowBlocks: c.window})
			defer w.Close()
			readAll(t, w, nil)
			if took := time.Since(start); took > time.Duration(c.trips)*rtt {
				t.Errorf("window %d: %v, want %d round trips", c.window, took, c.trips)
			}
		})
	}
}

func TestFetchRoundTrips(t *testing.T) {
	const rtt = 50 * time.Millisecond
	m := newMemory()
	root := smallFiles(t, m, 100, 100, 1000)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var last unixfs.Totals
		totals, err := unixfs.Fetch(t.Context(), &slow{g: m, latency: fixed(rtt)}, root.Cid, unixfs.FetchOptions{
			WindowBlocks: 20000, Progress: func(p unixfs.Totals) { last = p },
		})
		if err != nil || totals.Blocks != 10_101 || last != totals {
			t.Errorf("%+v, %+v, %v", totals, last, err)
		}
		if took := time.Since(start); took > 3*rtt {
			t.Errorf("%v", took)
		}
	})
}

// A reader that stops reading stops the walk.
func TestWalkerBackpressure(t *testing.T) {
	m := newMemory()
	root := smallFiles(t, m, 10, 100, 1000)
	synctest.Test(t, func(t *testing.T) {
		s := &slow{g: m, latency: random(1, time.Second)}
		w := unixfs.NewWalker(t.Context(), s, root.Cid, unixfs.WalkOptions{WindowBytes: 60_000})
		defer w.Close()
		for range 2 { // the root and the first directory
			if _, err := w.Next(); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Hour)
		if _, size, _ := w.Usage(); size > 60_000 {
			t.Errorf("%d bytes wait for the reader", size)
		}
		if asked, _ := s.counts(); asked > 70 || asked < 20 {
			t.Errorf("%d blocks asked for", asked)
		}
	})
}

// The first error in order comes out, and only after everything before it.
func TestFirstErrorInOrder(t *testing.T) {
	m := newMemory()
	root := smallFiles(t, m, 10, 10, 1000)
	for _, path := range []string{"dir-0007/file-0001", "dir-0003/file-0005"} {
		p := unixfs.Path{Root: root.Cid, Segments: strings.Split(path, "/")}
		m.drop(must[unixfs.Link](t)(unixfs.Resolve(t.Context(), m, p)).Cid)
	}
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{g: m, latency: random(seed, time.Second)}
			w := unixfs.NewWalker(t.Context(), s, root.Cid, unixfs.WalkOptions{})
			n := 0
			var err error
			for ; err == nil; n++ {
				_, err = w.Next()
			}
			if !errors.Is(err, block.ErrNotFound) || !strings.Contains(err.Error(), "dir-0003/file-0005") || n != 1+3*11+1+5+1 {
				t.Errorf("after %d entries: %v", n, err)
			}
			if _, again := w.Next(); again != err {
				t.Errorf("then: %v", again)
			}
			w.Close()
			_, err = unixfs.Fetch(t.Context(), s, root.Cid, unixfs.FetchOptions{})
			var missing *block.NotFoundError
			if !errors.As(err, &missing) || !strings.Contains(err.Error(), missing.Cid.String()) {
				t.Errorf("fetch: %v", err)
			}
		})
	}
}

func TestWalkerCancel(t *testing.T) {
	m := newMemory()
	root := smallFiles(t, m, 10, 10, 1000)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		w := unixfs.NewWalker(ctx, &slow{g: m, latency: fixed(time.Second)}, root.Cid, unixfs.WalkOptions{})
		time.AfterFunc(2500*time.Millisecond, func() { cancel(cause) })
		var err error
		for err == nil {
			_, err = w.Next()
		}
		if !errors.Is(err, cause) {
			t.Errorf("Next: %v", err)
		}
		w.Close() // synctest fails if a goroutine is left
		if _, err := unixfs.Fetch(ctx, m, root.Cid, unixfs.FetchOptions{}); !errors.Is(err, cause) {
			t.Errorf("Fetch: %v", err)
		}
	})
}

func TestWalkerSkipsWithoutReading(t *testing.T) {
	m := newMemory()
	tree := build.NewTree(m, build.Options{})
	must[unixfs.Link](t)(tree.File(t.Context(), "a", content(64<<20), 0, time.Time{}))
	must[unixfs.Link](t)(tree.File(t.Context(), "b", content(5), 0, time.Time{}))
	root := must[unixfs.Link](t)(tree.Finish(t.Context(), nil))
	s := &slow{g: m, latency: fixed(0)}
	w := unixfs.NewWalker(t.Context(), s, root.Cid, unixfs.WalkOptions{WindowBytes: 4 << 20})
	defer w.Close()
	for _, want := range []string{"", "a", "b"} {
		if e, err := w.Next(); err != nil || e.Path != want {
			t.Fatal(e, err)
		}
	}
	if got := must[[]byte](t)(io.ReadAll(w)); len(got) != 5 {
		t.Errorf("%d bytes", len(got))
	}
	if asked, _ := s.counts(); asked > 12 {
		t.Errorf("%d blocks for a file that was skipped", asked)
	}
}

func TestFetchVisitsOnce(t *testing.T) {
	m := newMemory()
	tree := build.NewTree(m, build.Options{})
	for i := range 50 {
		path := fmt.Sprintf("d%d/f", i)
		must[unixfs.Link](t)(tree.File(t.Context(), path, bytes.NewReader(make([]byte, 5<<20)), 0, time.Time{}))
	}
	root := must[unixfs.Link](t)(tree.Finish(t.Context(), nil))
	s := &slow{g: m, latency: fixed(0)}
	totals, err := unixfs.Fetch(t.Context(), s, root.Cid, unixfs.FetchOptions{})
	if asked, _ := s.counts(); err != nil || totals.Blocks != 4 || asked != 4 { // root, directory, file, chunk
		t.Errorf("%+v, %d Gets, %v", totals, asked, err)
	}
	if totals, err = unixfs.Fetch(t.Context(), s, root.Cid, unixfs.FetchOptions{Depth: 2}); err != nil || totals.Blocks != 2 {
		t.Errorf("to a depth of 2: %+v, %v", totals, err)
	}
}

// explained tells what it was doing when the time was over.
type explained struct {
	g       block.Getter
	missing cid.Cid
}

type phaseError struct{ error }

func (e phaseError) Unwrap() error { return e.error }
func (phaseError) Phase() string   { return "searching" }

func (e explained) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if c != e.missing {
		return e.g.Get(ctx, c)
	}
	<-ctx.Done()
	return block.Block{}, phaseError{ctx.Err()}
}

// TestTimeoutInTheMiddle: whoever reads learns what was waited for, wherever it
// was waited for.
func TestTimeoutInTheMiddle(t *testing.T) {
	m := newMemory()
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	var last cid.Cid
	root := must[unixfs.Link](t)(build.File(t.Context(), m, bytes.NewReader(data), build.Options{Profile: tiny()}))
	for c := range m.m {
		if c.Type() == cid.Raw {
			last = c
		}
	}
	g := explained{m, last}
	check := func(what string, err error) {
		t.Helper()
		var phase interface{ Phase() string }
		if !errors.As(err, &phase) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			f := must[*unixfs.File](t)(unixfs.Open(ctx, g, root.Cid))
			_, err := f.WriteTo(io.Discard)
			check("file", err)
			_ = f.Close()

			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			w := unixfs.NewWalker(ctx, g, root.Cid, unixfs.WalkOptions{})
			if _, err := w.Next(); err != nil {
				t.Fatal(err)
			}
			_, err = w.WriteTo(io.Discard)
			check("walker", err)
			_ = w.Close()

			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = unixfs.Fetch(ctx, g, root.Cid, unixfs.FetchOptions{})
			check("fetch", err)
		})
	}
}
