package disk_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// TestGroupCommit: many who put at once share their syncs.
func TestGroupCommit(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	const writers, each = 32, 20
	bs := storetest.NewBlocks(t, writers*each, 100)
	var g errgroup.Group
	for w := range writers {
		g.Go(func() error {
			for _, b := range bs[w*each:][:each] {
				if err := s.Put(t.Context(), b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	mustHave(t, s, bs...)
	if n := s.Stats().Groups; n > writers*each/2 {
		t.Errorf("%d puts by %d writers took %d commits", writers*each, writers, n)
	}
}

func TestHeldBlocksCostNothing(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	bs := storetest.NewBlocks(t, 20, 1000)
	put(t, s, bs...)
	before := s.Stats()
	var g errgroup.Group
	for range 8 {
		g.Go(func() error { return s.Put(t.Context(), bs...) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	put(t, s, append(bs, bs...)...)
	if after := s.Stats(); after.SegmentBytes != before.SegmentBytes || after.DeadBytes != 0 {
		t.Errorf("before: %+v\nafter:  %+v", before, after)
	}
	fresh := storetest.NewBlocks(t, 40, 1000)[20:]
	start := make(chan struct{})
	for range 8 {
		g.Go(func() error { <-start; return s.Put(t.Context(), fresh...) })
	}
	close(start)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if dead := s.Stats().DeadBytes; dead != 0 {
		t.Errorf("the same blocks put by many at once leave %d dead bytes", dead)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{SegmentSizeMax: 10_000})
	bs := storetest.NewBlocks(t, 100, 1000)
	put(t, s, bs...)
	mustHave(t, s, bs...)
	files := segmentFiles(t, dir)
	if len(files) < 10 {
		t.Errorf("%d segments", len(files))
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 10_000 {
			t.Errorf("%s: %d bytes, %v", f, info.Size(), err)
		}
	}
}

// TestManySegments: there may be more of them than open files.
func TestManySegments(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{SegmentSizeMax: 1000, CacheSizeMax: -1})
	bs := storetest.NewBlocks(t, 2*disk.SegmentsOpenMax, 900)
	put(t, s, bs...)
	if n := s.Stats().Segments; n <= disk.SegmentsOpenMax {
		t.Errorf("only %d segments", n)
	}
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for _, b := range bs {
				if _, err := s.Get(t.Context(), b.Cid()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// TestBrokenDisk: after a failed write nothing is acknowledged any more, and
// all that was before is still there.
func TestBrokenDisk(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir, disk.Options{CacheSizeMax: -1})
	if err != nil {
		t.Fatal(err)
	}
	bs := storetest.NewBlocks(t, 20, 100)
	put(t, s, bs[:10]...)
	s.BreakDisk()
	for range 2 {
		if err := s.Put(t.Context(), bs[10:]...); !errors.Is(err, disk.ErrBroken) {
			t.Errorf("Put: %v", err)
		}
		if err := s.Delete(t.Context(), bs[0].Cid()); !errors.Is(err, disk.ErrBroken) {
			t.Errorf("Delete: %v", err)
		}
	}
	put(t, s, bs[:10]...) // held: nothing to write
	mustHave(t, s, bs[:10]...)
	if err := s.Close(); !errors.Is(err, disk.ErrBroken) {
		t.Errorf("Close: %v", err)
	}
	s = open(t, dir, disk.Options{})
	mustHave(t, s, bs[:10]...)
	put(t, s, bs[10:]...)
}

// fakeDisk is a file system whose free space a test sets.
type fakeDisk struct{ free, total atomic.Int64 }

func (d *fakeDisk) space() (free, total int64) { return d.free.Load(), d.total.Load() }

func TestFull(t *testing.T) {
	var d fakeDisk
	d.total.Store(1 << 40)
	d.free.Store(1 << 30)
	dir := t.TempDir()
	o := disk.Options{}.WithSpace(d.space)
	s := open(t, dir, o)
	bs := storetest.NewBlocks(t, 20, 100)
	put(t, s, bs[:10]...)
	d.free.Store(512<<20 - disk.BallastSize)
	if err := s.Put(t.Context(), bs...); !errors.Is(err, disk.ErrFull) {
		t.Errorf("Put below the floor: %v", err)
	}
	put(t, s, bs[:10]...) // held
	mustHave(t, s, bs[:10]...)
	if err := s.Delete(t.Context(), bs[0].Cid()); err != nil {
		t.Errorf("Delete below the floor: %v", err)
	}
	d.free.Store(0)
	if err := s.Delete(t.Context(), bs[1].Cid()); !errors.Is(err, disk.ErrFull) {
		t.Errorf("Delete on a disk without a byte: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ballast")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ballast is still there: %v", err)
	}
	d.free.Store(disk.BallastSize)
	if err := s.Delete(t.Context(), bs[1].Cid()); err != nil {
		t.Errorf("Delete without ballast: %v", err)
	}
	d.free.Store(1 << 30)
	put(t, s, bs[10:]...)
	mustHave(t, s, bs[2:]...)
	mustClose(t, s)

	d.free.Store(0)
	s = open(t, dir, o)
	mustHave(t, s, bs[2:]...)
	if err := s.Put(t.Context(), bs[0]); !errors.Is(err, disk.ErrFull) {
		t.Errorf("Put into a store opened on a full disk: %v", err)
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

// TestSmallDisk fills a file system of 64 MiB, empties it, and fills it again.
func TestSmallDisk(t *testing.T) {
	dir := t.TempDir()
	if !mount(t, dir, "64m") {
		return
	}
	s := open(t, dir, disk.Options{})
	var kept []block.Block
	fill := func(seed int) {
		t.Helper()
		for i := 0; ; i++ {
			b := storetest.NewBlock(t, seed+i, 256<<10)
			if err := s.Put(t.Context(), b); errors.Is(err, disk.ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, b)
		}
	}
	fill(0)
	if len(kept) < 40 { // 10 MiB
		t.Errorf("only %d blocks of 256 KiB fit on 64 MiB", len(kept))
	}
	mustHave(t, s, kept...)

	// Somebody else takes the rest.
	hog, err := os.Create(filepath.Join(dir, "hog"))
	if err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 4096); err == nil; {
		_, err = hog.Write(buf)
	}
	hog.Close()
	mustHave(t, s, kept...)
	if err := s.Put(t.Context(), storetest.NewBlock(t, 1, 5)); !errors.Is(err, disk.ErrFull) {
		t.Errorf("Put: %v", err)
	}
	if err := s.Delete(t.Context(), kept[0].Cid()); err != nil { // by the ballast
		t.Errorf("Delete: %v", err)
	}
	mustClose(t, s)
	s = open(t, dir, disk.Options{})
	mustHave(t, s, kept[1:]...)
	for _, b := range kept {
		if err := s.Delete(t.Context(), b.Cid()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(hog.Name()); err != nil {
		t.Fatal(err)
	}
	kept = nil
	fill(1000)
	if len(kept) < 40 {
		t.Errorf("only %d blocks of 256 KiB fit after everything was deleted", len(kept))
	}
	mustHave(t, s, kept...)
}

// TestNoSpaceLeft: the file system is full although it said otherwise.
func TestNoSpaceLeft(t *testing.T) {
	dir := t.TempDir()
	segments := filepath.Join(dir, "segments")
	if err := os.Mkdir(segments, 0o700); err != nil {
		t.Fatal(err)
	}
	if !mount(t, segments, "1m") {
		return
	}
	s := open(t, dir, disk.Options{})
	small := storetest.NewBlocks(t, 30, 1000)
	put(t, s, small[:10]...)
	big := storetest.NewBlock(t, 1, 2<<20)
	for range 2 {
		if err := s.Put(t.Context(), slices.Concat(small[10:20], []block.Block{big})...); !errors.Is(err, disk.ErrFull) {
			t.Fatalf("Put: %v", err)
		}
	}
	put(t, s, small[10:]...)
	mustHave(t, s, small...)
	if has(t, s, big) {
		t.Error("the block that did not fit is there")
	}
	mustBeCAR(t, segmentFiles(t, dir)[0], 30)
}

func TestCancelledPut(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	bs := storetest.NewBlocks(t, 200, 1000)
	var wg sync.WaitGroup
	for _, b := range bs {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(cancel)
		wg.Go(func() {
			if err := s.Put(ctx, b); err == nil {
				mustHave(t, s, b)
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := list(t, s); err != nil {
		t.Error(err)
	}
}
