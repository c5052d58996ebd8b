package segment_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

func list(t *testing.T, dir string) *segment.Set {
	t.Helper()
	s, err := segment.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func create(t *testing.T, s *segment.Set, n uint32) *segment.Writer {
	t.Helper()
	w, err := s.Create(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// add appends blocks and checks that they can be read where they are said to be.
func add(t *testing.T, s *segment.Set, n uint32, w *segment.Writer, bs ...block.Block) []segment.Section {
	t.Helper()
	from := w.End()
	secs, err := w.Append(bs)
	if err != nil || len(secs) != len(bs) {
		t.Fatalf("%d sections of %d blocks, %v", len(secs), len(bs), err)
	}
	for i, sec := range secs {
		got := make([]byte, len(sec.Data))
		if _, err := s.ReadAt(n, got, sec.Offset+int64(sec.Header)); err != nil || !bytes.Equal(got, bs[i].RawData()) {
			t.Errorf("block %d is not where it should be: %v", i, err)
		}
		if sec.Offset != from || sec.Cid != bs[i].Cid() {
			t.Errorf("section %d of %s is at %d, want %d", i, sec.Cid, sec.Offset, from)
		}
		from = sec.End()
	}
	if size, ok := s.Size(n); w.End() != from || size != from || !ok {
		t.Errorf("end %d, size %d, want %d", w.End(), size, from)
	}
	return secs
}

// scanned returns how many good sections a segment has, and their end.
func scanned(t *testing.T, s *segment.Set, n uint32) (count int, res segment.ScanResult) {
	t.Helper()
	res, err := s.Scan(t.Context(), n, segment.HeaderSize, func(segment.Section) error { count++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return count, res
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"00000007.car", "00000002.car", "00000000.car", "00000003.car.new", "x.car", "99999999999.car"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := list(t, dir)
	if got := s.Numbers(); !slices.Equal(got, []uint32{2, 7}) {
		t.Errorf("segments %v", got)
	}
	if count, size := s.Total(); count != 2 || size != 24 {
		t.Errorf("%d segments of %d bytes", count, size)
	}
	if _, ok := s.Size(3); ok {
		t.Error("there is a segment 3")
	}
	if got := list(t, filepath.Join(dir, "none")).Numbers(); len(got) != 0 {
		t.Errorf("without a folder: %v", got)
	}
}

func TestAppendAndResume(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 30, 700)
	s := list(t, dir)
	w := create(t, s, 1)
	add(t, s, 1, w, bs[0])
	add(t, s, 1, w, append(bs[1:20:20], storetest.NewBlock(t, 1, 0))...)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	s = list(t, dir)
	w, err := s.Resume(1)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, 1, w, bs[20:]...)
	add(t, s, 1, w, storetest.NewBlocks(t, 5, 700_000)...) // around the page cache, where that is possible
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n, res := scanned(t, s, 1); n != 36 || res.End != w.End() || len(res.Bad) != 0 || res.GaveUp {
		t.Errorf("%d sections, %+v, want an end of %d", n, res, w.End())
	}
	if _, err := s.Resume(2); !errors.Is(err, segment.ErrGone) {
		t.Errorf("resume a segment that is not there: %v", err)
	}
}

// TestTrim: what is behind the last good section goes, and writing goes on there.
func TestTrim(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 4, 500)
	s := list(t, dir)
	w := create(t, s, 1)
	secs := add(t, s, 1, w, bs[:3]...)
	w.Close()
	if err := os.Truncate(s.Path(1), secs[2].End()-1); err != nil {
		t.Fatal(err)
	}

	s = list(t, dir)
	n, res := scanned(t, s, 1)
	if n != 2 || res.End != secs[1].End() {
		t.Fatalf("%d sections, %+v", n, res)
	}
	if err := s.Trim(1, res.End); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(s.Path(1)); err != nil || info.Size() != res.End {
		t.Fatalf("%v, %v, want %d bytes", info, err, res.End)
	}
	w, err := s.Resume(1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	add(t, s, 1, w, bs[3])
	if err := s.Trim(1, w.End()); err != nil { // nothing to cut
		t.Error(err)
	}
	if n, res := scanned(t, s, 1); n != 3 || res.End != w.End() {
		t.Errorf("%d sections, %+v", n, res)
	}
}

// TestRemove: a reader at work keeps the file, and nobody else gets at it.
func TestRemove(t *testing.T) {
	s := list(t, t.TempDir())
	w := create(t, s, 3)
	add(t, s, 3, w, storetest.NewBlocks(t, 5, 500)...)
	w.Close()
	seen := 0
	_, err := s.Scan(t.Context(), 3, segment.HeaderSize, func(segment.Section) error {
		if seen++; seen == 1 {
			s.Remove(3)
			s.Remove(3)
		}
		_, err := s.ReadAt(3, make([]byte, 1), 0)
		if !errors.Is(err, segment.ErrGone) {
			t.Errorf("read of a removed segment: %v", err)
		}
		if _, err := os.Stat(s.Path(3)); err != nil {
			t.Errorf("while it is read: %v", err)
		}
		return nil
	})
	if err != nil || seen != 5 {
		t.Errorf("the reader at work saw %d sections, %v", seen, err)
	}
	if _, err := os.Stat(s.Path(3)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the last reader: %v", err)
	}
	if _, ok := s.Size(3); ok || len(s.Numbers()) != 0 {
		t.Error("it is still listed")
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
}

// TestManyReaders: there may be more segments than open files.
func TestManyReaders(t *testing.T) {
	s := list(t, t.TempDir())
	const count = 2 * segment.OpenMax
	for n := range uint32(count) {
		create(t, s, n+1).Close()
	}
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for n := range uint32(count) {
				if _, err := s.ReadAt(n+1, make([]byte, segment.HeaderSize), 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := s.ReadAt(1, make([]byte, 2), segment.HeaderSize-1); !errors.Is(err, io.EOF) {
		t.Errorf("read past the end: %v", err)
	}
}

// TestBroken: what failed for another cause than a full disk is not taken back.
func TestBroken(t *testing.T) {
	s := list(t, t.TempDir())
	w := create(t, s, 1)
	bs := storetest.NewBlocks(t, 2, 100)
	add(t, s, 1, w, bs[0])
	w.Close()
	if _, err := w.Append(bs[1:]); err == nil || errors.Is(err, volume.ErrFull) {
		t.Errorf("Append to a closed file: %v", err)
	}
	if n, _ := scanned(t, s, 1); n != 1 {
		t.Errorf("%d sections", n)
	}
	if _, err := list(t, filepath.Join(t.TempDir(), "none")).Create(1); err == nil || errors.Is(err, volume.ErrFull) {
		t.Errorf("Create in no folder: %v", err)
	}
}

// TestFull: on a full disk a write is taken back.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	if !mount(t, dir, "1m") {
		return
	}
	s := list(t, dir)
	w := create(t, s, 1)
	bs := storetest.NewBlocks(t, 20, 1000)
	add(t, s, 1, w, bs[:10]...)
	for range 2 {
		big := []block.Block{bs[10], storetest.NewBlock(t, 1, 2<<20)}
		if _, err := w.Append(big); !errors.Is(err, volume.ErrFull) {
			t.Fatalf("Append: %v", err)
		}
		if info, err := os.Stat(s.Path(1)); err != nil || info.Size() != w.End() {
			t.Fatalf("%v, %v, want %d bytes", info, err, w.End())
		}
	}
	add(t, s, 1, w, bs[10:]...)
	if n, res := scanned(t, s, 1); n != 20 || len(res.Bad) != 0 {
		t.Errorf("%d sections, %+v", n, res)
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if _, err := s.Create(2); !errors.Is(err, volume.ErrFull) {
		t.Errorf("Create: %v", err)
	}
	if _, err := os.Stat(s.Path(2)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a segment that could not be made: %v", err)
	}
}

// mount mounts a file system of the given size in bytes; false without the right to.
func mount(t *testing.T, dir, size string) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("not root: nothing can be mounted, so this is not tested here")
		if os.Getenv("CI") != "" {
			t.Error("the CI must run this as root")
		}
		return false
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return true
}
