package disk_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/go-cid"
	car "github.com/ipld/go-car/v2"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// mustBeCAR reads a segment with go-car.
func mustBeCAR(t testing.TB, path string, blocks int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := car.NewBlockReader(f)
	if err != nil {
		t.Fatalf("go-car reads %s: %v", path, err)
	}
	if r.Version != 1 || len(r.Roots) != 1 {
		t.Errorf("go-car reads version %d, roots %v", r.Version, r.Roots)
	}
	n := 0
	for ; ; n++ {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("go-car reads block %d of %s: %v", n, path, err)
		}
		if _, err := block.Verify(b.Cid(), b.RawData()); err != nil {
			t.Error(err)
		}
	}
	if n != blocks {
		t.Errorf("go-car reads %d blocks of %s, want %d", n, path, blocks)
	}
}

func TestSegmentsAreCAR(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	v0, err := block.New([]byte{10, 0}, block.Prefix{Codec: cid.DagProtobuf, V0: true})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, append(storetest.NewBlocks(t, 50, 3000), v0, storetest.NewBlock(t, 1, 0))...)
	mustBeCAR(t, segmentFiles(t, dir)[0], 52)
}

func TestMissingIndexIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 50, 300)
	s := open(t, dir, disk.Options{SegmentSizeMax: 4000})
	put(t, s, bs...)
	mustClose(t, s)
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, dir, disk.Options{SegmentSizeMax: 4000})
		mustHave(t, s, bs...)
		if all, err := list(t, s); err != nil || len(all) != 50 {
			t.Fatalf("%d blocks are listed, %v", len(all), err)
		}
		mustClose(t, s)
	}
}

// TestDamagedIndex: all that an index holds is in the segments, so Open rebuilds
// it, and RebuildIndex does so when asked.
func TestDamagedIndex(t *testing.T) {
	bs := storetest.NewBlocks(t, 50, 300)
	closed := t.TempDir()
	s := open(t, closed, disk.Options{SegmentSizeMax: 4000})
	put(t, s, bs...)
	mustClose(t, s)
	for name, damage := range map[string]func(dir string) error{
		"table overwritten":    func(dir string) error { return overwrite(dir, "index/*.sst") },
		"table missing":        func(dir string) error { return remove(dir, "index/*.sst") },
		"manifest missing":     func(dir string) error { return remove(dir, "index/MANIFEST") },
		"manifest overwritten": func(dir string) error { return overwrite(dir, "index/MANIFEST") },
	} {
		for _, how := range []string{"by Open", "by Open, read-only", "by RebuildIndex"} {
			t.Run(name+" "+how, func(t *testing.T) {
				dir := image(t, closed)
				if err := damage(dir); err != nil {
					t.Fatal(err)
				}
				before := names(filepath.Join(dir, "index"))
				if how == "by RebuildIndex" {
					res, err := disk.RebuildIndex(t.Context(), dir, disk.Options{})
					if err != nil || res.Blocks != 50 || res.BadBytes != 0 {
						t.Fatalf("rebuilt: %+v, %v", res, err)
					}
				}
				readOnly := how == "by Open, read-only"
				for range 2 {
					s := open(t, dir, disk.Options{ReadOnly: readOnly})
					mustHave(t, s, bs...)
					if all, err := list(t, s); err != nil || len(all) != 50 {
						t.Fatalf("%d blocks are listed, %v", len(all), err)
					}
					mustClose(t, s)
				}
				if after := names(filepath.Join(dir, "index")); readOnly && after != before {
					t.Errorf("a read-only store has changed %s to %s", before, after)
				}
			})
		}
	}
}

// TestMissingSegment: a rebuild would make forgotten what is lost, so it is left
// to the user to ask for one.
func TestMissingSegment(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{SegmentSizeMax: 4000})
	put(t, s, storetest.NewBlocks(t, 50, 300)...)
	mustClose(t, s)
	if err := remove(dir, "segments/00000002.car"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s, err := disk.Open(dir, disk.Options{}); !errors.Is(err, disk.ErrIndex) {
			if err == nil {
				s.Close()
			}
			t.Fatalf("Open: %v, want ErrIndex", err)
		}
	}
	res, err := disk.RebuildIndex(t.Context(), dir, disk.Options{})
	if err != nil || res.Blocks == 0 || res.Blocks == 50 {
		t.Errorf("rebuilt: %+v, %v", res, err)
	}
	open(t, dir, disk.Options{})
}

// TestOpenRebuildsNothingInVain: what a kill leaves is not damage.
func TestOpenRebuildsNothingInVain(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 50, 300)
	s := open(t, dir, disk.Options{})
	put(t, s, bs...)
	img := image(t, dir)
	for _, name := range []string{"00099.mem", "000099.vlog", "000099.sst"} {
		if err := os.WriteFile(filepath.Join(img, "index", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	s = open(t, img, disk.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	mustHave(t, s, bs...)
	mustClose(t, s)
	if strings.Contains(said.String(), "rebuilt") {
		t.Error(said.String())
	}
}

func overwrite(dir, pattern string) error {
	return each(dir, pattern, func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := range data {
			data[i] ^= 0x55
		}
		return os.WriteFile(path, data, 0o600)
	})
}

func remove(dir, pattern string) error { return each(dir, pattern, os.Remove) }

func each(dir, pattern string, do func(path string) error) error {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err == nil && len(files) == 0 {
		err = errors.New("no file " + pattern)
	}
	for _, f := range files {
		err = errors.Join(err, do(f))
	}
	return err
}

// loseIndexEntry takes an entry away behind the index's back, as a damaged
// database would.
func loseIndexEntry(t *testing.T, dir string, c cid.Cid) {
	t.Helper()
	db, err := badgerdb.Open(badger.DefaultOptions(filepath.Join(dir, "index")).
		WithSyncWrites(true).WithLogger(nil).WithMemTableSize(8 << 20).WithCompression(options.None))
	if err != nil {
		t.Fatal(err)
	}
	key := append([]byte{'b'}, c.Hash()...)
	err = db.Update(func(txn *badger.Txn) error {
		if _, err := txn.Get(key); err != nil {
			return err
		}
		return txn.Delete(key)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestIncompleteListing: a listing that leaves something out must say so, for
// the garbage collector would believe it.
func TestIncompleteListing(t *testing.T) {
	dir := t.TempDir()
	bs := storetest.NewBlocks(t, 50, 300)
	s := open(t, dir, disk.Options{})
	put(t, s, bs...)
	mustClose(t, s) // and so the next Open has no reason to list the index
	loseIndexEntry(t, dir, bs[3].Cid())
	s = open(t, dir, disk.Options{})
	if all, err := list(t, s); !errors.Is(err, disk.ErrIndex) {
		t.Errorf("All yields %d of 50 blocks and %v", len(all), err)
	}
	if _, err := s.Verify(t.Context(), nil); !errors.Is(err, disk.ErrIndex) {
		t.Errorf("Verify: %v", err)
	}
	killed := image(t, dir)
	mustClose(t, s)
	for _, dir := range []string{killed, dir} { // to be closed properly does not hide it
		s := open(t, dir, disk.Options{})
		if all, err := list(t, s); err != nil || len(all) != 50 {
			t.Errorf("opened again, All yields %d of 50 blocks and %v", len(all), err)
		}
		mustClose(t, s)
	}
}

func TestVersion(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, open(t, dir, disk.Options{}))
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("p2pnode blocks 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(dir, disk.Options{}); !errors.Is(err, disk.ErrVersion) {
		t.Errorf("Open: %v", err)
	}
	if _, err := disk.RebuildIndex(t.Context(), dir, disk.Options{}); !errors.Is(err, disk.ErrVersion) {
		t.Errorf("RebuildIndex: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	bs := storetest.NewBlocks(t, 20, 300)
	dir := aheadOfIndex(t, bs[:10], bs[10:])
	before := image(t, dir)
	s := open(t, dir, disk.Options{ReadOnly: true})
	mustHave(t, s, bs...)
	if err := s.Put(t.Context(), bs[0]); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("Put: %v", err)
	}
	if err := s.Delete(t.Context(), bs[0].Cid()); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("Delete: %v", err)
	}
	if _, err := s.Compact(t.Context()); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("Compact: %v", err)
	}
	mustClose(t, s)
	for _, file := range append(segmentFiles(t, before), filepath.Join(before, "index", "MANIFEST")) {
		rel, _ := filepath.Rel(before, file)
		a, errA := os.ReadFile(file)
		b, errB := os.ReadFile(filepath.Join(dir, rel))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s was changed: %v %v", rel, errA, errB)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, disk.Options{})
	if _, err := disk.Open(dir, disk.Options{}); err == nil || errors.Is(err, disk.ErrIndex) {
		t.Errorf("second Open: %v", err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	b := storetest.NewBlock(t, 1, 10)
	mustClose(t, s)
	mustClose(t, s)
	_, getErr := s.Get(t.Context(), b.Cid())
	_, listErr := list(t, s)
	for _, err := range []error{getErr, listErr, s.Put(t.Context(), b), s.Delete(t.Context(), b.Cid())} {
		if !errors.Is(err, disk.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}
