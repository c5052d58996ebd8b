package unixfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

func TestFile(t *testing.T) {
	ctx := context.Background()
	for _, p := range []build.Profile{tiny(), build.V0_2015} {
		for _, size := range []int{0, 1, 100, 101, 5000, 600_000} {
			m := newMemory()
			l := must[unixfs.Link](t)(build.File(ctx, m, content(size), build.Options{Profile: p}))
			want := must[[]byte](t)(io.ReadAll(content(size)))
			f := must[*unixfs.File](t)(unixfs.Open(ctx, m, l.Cid))
			if size <= 5000 {
				if err := iotest.TestReader(f, want); err != nil {
					t.Errorf("size %d: %v", size, err)
				}
			}
			if f.Size() != int64(size) {
				t.Errorf("Size %d, want %d", f.Size(), size)
			}
			for range 50 {
				from := rand.IntN(size + 1)
				to := from + rand.IntN(size-from+1)
				if at, err := f.Seek(int64(from), io.SeekStart); err != nil || at != int64(from) {
					t.Fatal(at, err)
				}
				got := make([]byte, to-from)
				if n, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, want[from:to]) {
					t.Fatalf("size %d: %d bytes from %d: %d, %v", size, len(got), from, n, err)
				}
			}
			f.Seek(0, io.SeekStart)
			var b bytes.Buffer
			if n, err := f.WriteTo(&b); n != int64(size) || err != nil || !bytes.Equal(b.Bytes(), want) {
				t.Errorf("size %d: WriteTo %d, %v", size, n, err)
			}
			f.Close()
			if _, err := f.Read(make([]byte, 1)); err == nil {
				t.Error("read after Close")
			}
		}
	}
}

func TestFileReadAt(t *testing.T) {
	ctx := context.Background()
	m := newMemory()
	const size = 50_000
	l := must[unixfs.Link](t)(build.File(ctx, m, content(size), build.Options{Profile: tiny()}))
	want := must[[]byte](t)(io.ReadAll(content(size)))
	f := must[*unixfs.File](t)(unixfs.Open(ctx, m, l.Cid))
	defer f.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				off, buf := rand.IntN(size+10), make([]byte, rand.IntN(3000))
				n, err := f.ReadAt(buf, int64(off))
				if end := min(off+len(buf), size); off >= size && (n != 0 || err != io.EOF) ||
					off < size && (!bytes.Equal(buf[:n], want[off:end]) || (err == io.EOF) != (off+len(buf) > size)) {
					t.Errorf("%d bytes at %d: %d, %v", len(buf), off, n, err)
				}
			}
		})
	}
	wg.Wait()
}

// A range costs its own blocks and the nodes above, nothing else.
func TestFileSeekFetchesLittle(t *testing.T) {
	ctx := context.Background()
	m := newMemory()
	p := build.V1_2025
	p.ChunkSize, p.LinksMax = 10_000, 10
	l := must[unixfs.Link](t)(build.File(ctx, m, content(10_000_000), build.Options{Profile: p}))
	s := &slow{g: m, latency: fixed(0)}
	f := must[*unixfs.File](t)(unixfs.Open(ctx, s, l.Cid))
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 15_000), 5_555_555); err != nil {
		t.Fatal(err)
	}
	if asked, _ := s.counts(); asked > 1+2*3 {
		t.Errorf("%d blocks", asked)
	}
}

// The window of a reader that goes on grows.
func TestFileReadsAhead(t *testing.T) {
	m := newMemory()
	l := must[unixfs.Link](t)(build.File(t.Context(), m, content(100<<20), build.Options{}))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &slow{g: m, latency: fixed(time.Second)}
		f := must[*unixfs.File](t)(unixfs.Open(t.Context(), s, l.Cid))
		defer f.Close()
		io.ReadFull(f, make([]byte, 10))
		if _, most := s.counts(); most > 3 {
			t.Errorf("%d Gets at once for a first look", most)
		}
		if n, err := io.Copy(io.Discard, f); n != 100<<20-10 || err != nil {
			t.Fatal(n, err)
		}
		_, most := s.counts()
		if took := time.Since(start); most < 30 || took > 12*time.Second {
			t.Errorf("%v for 100 MiB; at most %d Gets at once", took, most)
		}
	})
}

func TestFileMissingBlock(t *testing.T) {
	m := newMemory()
	var err error
	l := must[unixfs.Link](t)(build.File(t.Context(), m, content(3<<20), build.Options{}))
	links := must[[]codec.Link](t)(codec.Links(m.m[l.Cid]))
	m.drop(links[1].Cid)
	f := must[*unixfs.File](t)(unixfs.Open(t.Context(), m, l.Cid))
	defer f.Close()
	n, err := io.Copy(io.Discard, f)
	var missing *block.NotFoundError
	if n != 1<<20 || !errors.As(err, &missing) || !missing.Cid.Equals(links[1].Cid) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := unixfs.Open(t.Context(), m, links[1].Cid); !errors.Is(err, block.ErrNotFound) {
		t.Errorf("Open: %v", err)
	}
	dir := must[unixfs.Link](t)(build.NewTree(m, build.Options{}).Finish(t.Context(), nil))
	var notFile *unixfs.NotFileError
	if _, err := unixfs.Open(t.Context(), m, dir.Cid); !errors.As(err, &notFile) {
		t.Errorf("Open of a directory: %v", err)
	}
}
