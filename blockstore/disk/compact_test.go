package disk_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

func deleteAll(t testing.TB, s *disk.Store, bs ...block.Block) {
	t.Helper()
	var cids []cid.Cid
	for _, b := range bs {
		cids = append(cids, b.Cid())
	}
	if err := s.Delete(t.Context(), cids...); err != nil {
		t.Fatal(err)
	}
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	o := disk.Options{SegmentSizeMax: 20_000}
	s := open(t, dir, o)
	bs := storetest.NewBlocks(t, 200, 1000)
	put(t, s, bs...)
	if res, err := s.Compact(t.Context()); err != nil || res != (disk.CompactResult{}) {
		t.Fatalf("without anything dead: %+v, %v", res, err)
	}
	deleteAll(t, s, bs[:50]...)
	for i := 50; i < 200; i++ {
		if i%4 != 0 {
			deleteAll(t, s, bs[i])
		}
	}
	before := s.Stats()
	res, err := s.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := s.Stats()
	if res.Segments < 9 || res.Freed < before.SegmentBytes/2 || after.DeadBytes > after.SegmentBytes/2 {
		t.Errorf("%+v\nbefore: %+v\nafter:  %+v", res, before, after)
	}
	check := func() {
		t.Helper()
		for i, b := range bs {
			if has(t, s, b) != (i >= 50 && i%4 == 0) {
				t.Fatalf("block %d: there is %v", i, has(t, s, b))
			}
		}
		if all, err := list(t, s); err != nil || len(all) != 37 {
			t.Fatalf("%d listed, %v", len(all), err)
		}
	}
	check()
	img := image(t, dir)
	mustClose(t, s)
	for _, d := range []string{dir, img} {
		s = open(t, d, o)
		check()
		if got := s.Stats().DeadBytes; got != after.DeadBytes {
			t.Errorf("%d dead bytes after a restart, %d before", got, after.DeadBytes)
		}
		mustClose(t, s)
	}
	if _, err := disk.RebuildIndex(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	check()
	put(t, s, bs...)
	mustHave(t, s, bs...)
}

// TestCompactMeanwhile compacts while blocks are read, put and deleted.
func TestCompactMeanwhile(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{SegmentSizeMax: 50_000, CacheSizeMax: -1})
	bs := storetest.NewBlocks(t, 600, 500)
	stay, churn := bs[:200], bs[200:]
	for i, b := range stay { // every segment has some of both
		put(t, s, b, churn[2*i], churn[2*i+1])
	}
	var stop atomic.Bool
	var g errgroup.Group
	for w := range 2 {
		g.Go(func() error {
			for i := w; !stop.Load(); i++ {
				b := churn[i%len(churn)]
				if err := s.Delete(t.Context(), b.Cid()); err != nil {
					return err
				}
				if i%5 == 0 {
					if err := s.Put(t.Context(), b); err != nil {
						return err
					}
				}
			}
			return nil
		})
		g.Go(func() error {
			for !stop.Load() {
				b := stay[rand.IntN(len(stay))]
				if _, err := s.Get(t.Context(), b.Cid()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	removed := 0
	for i := 0; i < 500 && removed < 10; i++ {
		deleteAll(t, s, churn[20*i%len(churn):][:20]...)
		res, err := s.Compact(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		removed += res.Segments
	}
	stop.Store(true)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if removed == 0 {
		t.Error("nothing was compacted")
	}
	mustHave(t, s, stay...)
	if _, err := list(t, s); err != nil {
		t.Error(err)
	}
}

// TestCompactCrash: the copies are there, the index does not know it, and the
// old segments may be gone or not.
func TestCompactCrash(t *testing.T) {
	dir := t.TempDir()
	o := disk.Options{SegmentSizeMax: 20_000}
	s := open(t, dir, o)
	bs := storetest.NewBlocks(t, 100, 1000)
	put(t, s, bs...)
	deleteAll(t, s, bs[:70]...)
	img := image(t, dir)
	if _, err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	// All segments that ever were, with the index of before.
	copyTree(t, filepath.Join(img, "segments"), filepath.Join(dir, "segments"))
	both := open(t, img, o)
	mustHave(t, both, bs[70:]...)
	mustClose(t, both)
	// The segments of now, with the index of before.
	old := segmentFiles(t, img)
	for _, f := range old {
		if _, err := os.Stat(filepath.Join(dir, "segments", filepath.Base(f))); errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := disk.Open(img, o)
	if errors.Is(err, disk.ErrIndex) {
		if _, err := disk.RebuildIndex(t.Context(), img, o); err != nil {
			t.Fatal(err)
		}
		after, err = disk.Open(img, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	mustHave(t, after, bs[70:]...)
}

// flip changes one bit of a file.
func flip(t testing.TB, path string, bit int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptBlock(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	reported := make(map[cid.Cid]error)
	s := open(t, dir, disk.Options{CacheSizeMax: -1, OnCorrupt: func(c cid.Cid, err error) {
		mu.Lock()
		defer mu.Unlock()
		reported[c] = err
	}})
	bs := storetest.NewBlocks(t, 10, 1000)
	put(t, s, bs...)
	info, err := os.Stat(segmentFiles(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	flip(t, segmentFiles(t, dir)[0], 8*(info.Size()-1)) // the last block's
	bad := bs[9]
	_, err = s.Get(t.Context(), bad.Cid())
	var corrupt *disk.CorruptError
	if !errors.As(err, &corrupt) || !errors.Is(err, block.ErrNotFound) || corrupt.Cid != bad.Cid() {
		t.Fatalf("Get: %v", err)
	}
	mu.Lock()
	if len(reported) != 1 || !errors.As(reported[bad.Cid()], &corrupt) {
		t.Errorf("reported: %v", reported)
	}
	mu.Unlock()
	if files, err := os.ReadDir(filepath.Join(dir, "quarantine")); err != nil || len(files) != 1 {
		t.Errorf("quarantine: %v, %v", files, err)
	}
	if has(t, s, bad) {
		t.Error("the corrupt block is there")
	}
	if st := s.Stats(); st.CorruptBlocks != 1 || st.Blocks != 9 {
		t.Errorf("stats: %+v", st)
	}
	put(t, s, bad)
	mustHave(t, s, bs...)
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{SegmentSizeMax: 100_000})
	bs := storetest.NewBlocks(t, 500, 1000)
	put(t, s, bs...)
	mustHave(t, s, bs...) // into the cache
	if res, err := s.Verify(t.Context(), nil); err != nil || res.Blocks != 500 || res.Corrupt != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, f := range segmentFiles(t, dir) { // one block in each
		flip(t, f, 8*1500)
	}
	var bad []cid.Cid
	res, err := s.Verify(t.Context(), func(c cid.Cid, err error) {
		if !errors.As(err, new(*disk.CorruptError)) {
			t.Errorf("%s: %v", c, err)
		}
		bad = append(bad, c)
	})
	n := len(segmentFiles(t, dir))
	if err != nil || res.Blocks != 500 || int(res.Corrupt) != n || len(bad) != n {
		t.Fatalf("%d segments: %+v, %v; reported %d", n, res, err, len(bad))
	}
	if res, err := s.Verify(t.Context(), nil); err != nil || res.Corrupt != 0 || int(res.Blocks) != 500-n {
		t.Fatalf("again: %+v, %v", res, err)
	}
	put(t, s, bs...)
	mustHave(t, s, bs...)
}

// TestCompactFullDisk: what is dead altogether goes even where there is no room
// to copy what is alive in the others.
func TestCompactFullDisk(t *testing.T) {
	var d fakeDisk
	d.total.Store(1 << 40)
	d.free.Store(1 << 40)
	dir := t.TempDir()
	s := open(t, dir, disk.Options{SegmentSizeMax: 20_000}.WithSpace(d.space))
	bs := storetest.NewBlocks(t, 100, 1000)
	for i := range 10 {
		put(t, s, bs[10*i:10*i+10]...)
		if err := s.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	deleteAll(t, s, bs[:59]...) // five segments, and most of the sixth
	d.free.Store(disk.DeleteSpaceMin)
	res, err := s.Compact(t.Context())
	if !errors.Is(err, disk.ErrFull) || res.Segments != 5 || res.Freed <= 0 || res.Copied != 0 {
		t.Errorf("with no room for copies: %+v, %v", res, err)
	}
	mustHave(t, s, bs[59:]...)
	d.free.Store(disk.DeleteSpaceMin + 1<<20)
	if res, err := s.Compact(t.Context()); err != nil || res.Segments != 1 {
		t.Errorf("with a little room: %+v, %v", res, err)
	}
	mustHave(t, s, bs[59:]...)
}
