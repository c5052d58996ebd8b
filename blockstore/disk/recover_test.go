package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// image copies a store as it is: while it is open and at rest, that is what a
// kill would leave.
func image(t testing.TB, dir string) string {
	t.Helper()
	for {
		dst := filepath.Join(t.TempDir(), "image")
		before := names(dir)
		err := tryCopyTree(dst, dir)
		if after := names(dir); after != before {
			continue // badger wrote a table meanwhile: this is no one moment
		}
		if err != nil {
			t.Fatal(err)
		}
		return dst
	}
}

// names lists the files of a store's index.
func names(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "index", "*"))
	return strings.Join(files, " ")
}

// copyTree copies files without their holes, and leaves the ballast out: most
// of a young store is one or the other.
func copyTree(t testing.TB, dst, src string) {
	t.Helper()
	if err := tryCopyTree(dst, src); err != nil {
		t.Fatal(err)
	}
}

func tryCopyTree(dst, src string) error {
	buf := make([]byte, 64<<10)
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(src, path)
		if err != nil || relErr != nil || d.Name() == "ballast" {
			return errors.Join(err, relErr)
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dst, rel), 0o700)
		}
		return copySparse(filepath.Join(dst, rel), path, buf)
	})
}

func copySparse(dst, src string, buf []byte) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer out.Close()
	zero := make([]byte, len(buf))
	for off := int64(0); ; off += int64(len(buf)) {
		n, err := in.ReadAt(buf, off)
		if !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return out.Truncate(off + int64(n))
		}
		if err != nil {
			return err
		}
	}
}

// segmentFiles returns the paths of a store's segments in order.
func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "segments", "*.car"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments of %s: %v, %v", dir, files, err)
	}
	slices.Sort(files)
	return files
}

func put(t testing.TB, s *disk.Store, bs ...block.Block) {
	t.Helper()
	if err := s.Put(t.Context(), bs...); err != nil {
		t.Fatal(err)
	}
}

func has(t testing.TB, s *disk.Store, b block.Block) bool {
	t.Helper()
	got, err := s.Get(t.Context(), b.Cid())
	if err == nil && !bytes.Equal(got.RawData(), b.RawData()) {
		t.Fatalf("Get(%s) returns other bytes", b.Cid())
	}
	if err != nil && !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("Get(%s): %v", b.Cid(), err)
	}
	return err == nil
}

func mustHave(t testing.TB, s *disk.Store, bs ...block.Block) {
	t.Helper()
	for i, b := range bs {
		if !has(t, s, b) {
			t.Fatalf("block %d of %d, %s, is lost", i, len(bs), b.Cid())
		}
	}
}

func mustClose(t testing.TB, s *disk.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// list returns all CIDs, or the error that All yields.
func list(t testing.TB, s *disk.Store) (map[cid.Cid]bool, error) {
	t.Helper()
	all := make(map[cid.Cid]bool)
	for c, err := range s.All(t.Context()) {
		if err != nil {
			return all, err
		}
		all[c] = true
	}
	return all, nil
}

// aheadOfIndex makes a store whose last segment has late, which its index does
// not know: the crash between the segment's sync and the index's commit.
func aheadOfIndex(t *testing.T, early, late []block.Block) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	put(t, s, early...)
	img := image(t, dir)
	put(t, s, late...)
	if err := os.RemoveAll(filepath.Join(img, "segments")); err != nil {
		t.Fatal(err)
	}
	copyTree(t, filepath.Join(img, "segments"), filepath.Join(dir, "segments"))
	return img
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 100, 300)
	s := open(t, dir, disk.Options{SegmentSizeMax: 5000})
	put(t, s, bs...)
	if err := s.Delete(t.Context(), bs[0].Cid()); err != nil {
		t.Fatal(err)
	}
	before := s.Stats()
	mustClose(t, s)
	s = open(t, dir, disk.Options{SegmentSizeMax: 5000})
	mustHave(t, s, bs[1:]...)
	if has(t, s, bs[0]) {
		t.Error("a deleted block is there again")
	}
	after := s.Stats()
	if after.Blocks != 99 || after.DeadBytes != before.DeadBytes || after.Recovered != 0 || after.DeadBytes == 0 {
		t.Errorf("before: %+v\nafter:  %+v", before, after)
	}
}

func TestKilledAtRest(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 100, 300)
	s := open(t, dir, disk.Options{})
	put(t, s, bs...)
	mustHave(t, open(t, image(t, dir), disk.Options{}), bs...)
}

func TestKilledBeforeIndexCommit(t *testing.T) {
	bs := storetest.NewBlocks(t, 20, 300)
	s := open(t, aheadOfIndex(t, bs[:10], bs[10:]), disk.Options{})
	mustHave(t, s, bs...)
	if st := s.Stats(); st.Recovered != 10 || st.Blocks != 20 {
		t.Errorf("stats: %+v", st)
	}
	more := storetest.NewBlock(t, 77, 100)
	put(t, s, more)
	mustHave(t, s, more)
}

// TestTornTail cuts the last section at every byte.
func TestTornTail(t *testing.T) {
	early, late := storetest.NewBlocks(t, 2, 50), []block.Block{storetest.NewBlock(t, 9, 8)}
	img := aheadOfIndex(t, early, late)
	file := segmentFiles(t, img)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := 1 + late[0].Cid().ByteLen() + late[0].Size()
	for cut := 0; cut <= last; cut++ {
		if err := os.WriteFile(file, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		dir := image(t, img)
		s := open(t, dir, disk.Options{})
		mustHave(t, s, early...)
		if has(t, s, late[0]) != (cut == 0) {
			t.Fatalf("with %d of %d bytes cut off, the block is there: %v", cut, last, cut != 0)
		}
		torn := int64(0)
		if cut > 0 {
			torn = int64(last - cut)
		}
		if st := s.Stats(); st.TruncatedBytes != torn {
			t.Fatalf("with %d of %d bytes cut off, %d are truncated, want %d", cut, last, st.TruncatedBytes, torn)
		}
		put(t, s, late...)
		mustHave(t, s, late...)
		mustClose(t, s)
		mustBeCAR(t, segmentFiles(t, dir)[0], 3)
	}
}

// TestTornPages zeroes pages of the last group: a file system may have written
// any of them before the power failed.
func TestTornPages(t *testing.T) {
	const page = 4096
	early, late := storetest.NewBlocks(t, 3, 1000), storetest.NewBlocks(t, 9, 3000)[3:]
	img := aheadOfIndex(t, early, late)
	file := segmentFiles(t, img)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	group := len(whole)
	for _, b := range late {
		group -= 2 + b.Cid().ByteLen() + b.Size()
	}
	zero := make([]byte, len(whole))
	for from := group / page * page; from < len(whole); from += page {
		for _, to := range []int{from + page, len(whole), len(whole) + page} {
			torn := append(slices.Clone(whole), zero[:max(0, to-len(whole))]...)
			lo, hi := max(from, group), min(to, len(torn))
			copy(torn[lo:hi], zero)
			if err := os.WriteFile(file, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, image(t, img), disk.Options{})
			mustHave(t, s, early...)
			off := group
			for i, b := range late {
				end := off + 2 + b.Cid().ByteLen() + b.Size()
				if untouched := end <= lo || off >= hi; untouched && !has(t, s, b) {
					t.Fatalf("zeroes from %d to %d: block %d from %d to %d is lost", lo, hi, i, off, end)
				}
				off = end
			}
			put(t, s, late...)
			mustHave(t, s, late...)
			mustClose(t, s)
		}
	}
}

func TestSegmentWithoutHeader(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 4, 100)
	s := open(t, dir, disk.Options{})
	put(t, s, bs[:2]...)
	mustClose(t, s)
	for _, n := range []int{0, 5} {
		if err := os.WriteFile(filepath.Join(dir, "segments", "00000002.car"), make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, disk.Options{})
		mustHave(t, s, bs[:2]...)
		put(t, s, bs[2:]...)
		mustHave(t, s, bs...)
		mustClose(t, s)
		for i, f := range segmentFiles(t, dir) {
			mustBeCAR(t, f, []int{2, 2}[i])
		}
		if err := os.Remove(filepath.Join(dir, "segments", "00000003.car")); err != nil {
			t.Fatal(err)
		}
		if _, err := disk.RebuildIndex(t.Context(), dir, disk.Options{}); err != nil {
			t.Fatal(err)
		}
	}
}
