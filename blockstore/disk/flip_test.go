package disk_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// TestBitFlips flips single bits anywhere in a store. Whatever happens, no
// wrong byte is returned, no listing is short without saying so, and after a
// rebuild of the index at most the one block that was hit is lost.
func TestBitFlips(t *testing.T) {
	flips := 50 * *times
	dir := t.TempDir()
	o := disk.Options{SegmentSizeMax: 30_000}
	s := open(t, dir, o)
	bs := storetest.NewBlocks(t, 60, 1000)
	put(t, s, bs[:40]...)
	mustClose(t, s) // so that there are tables
	s = open(t, dir, o)
	put(t, s, bs[40:]...)
	killed := image(t, dir)
	mustClose(t, s)

	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range flips {
		from := []string{dir, killed}[i%2]
		img := image(t, from)
		file, bit := randomBit(t, r, img)
		flip(t, file, bit)
		checkFlipped(t, img, o, bs)
		if t.Failed() {
			rel, _ := filepath.Rel(img, file)
			t.Fatalf("seed %d, flip %d: bit %d of %s", seed, i, bit, rel)
		}
		if err := os.RemoveAll(img); err != nil { // each has 16 MiB of ballast
			t.Fatal(err)
		}
	}
}

// randomBit picks a file, and a bit of it: near its ends as often as anywhere,
// where headers and footers are.
func randomBit(t *testing.T, r *rand.Rand, dir string) (string, int64) {
	t.Helper()
	var files []string
	var sizes []int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			files, sizes = append(files, path), append(sizes, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	i := r.IntN(len(files))
	bits := 8 * sizes[i]
	switch r.IntN(3) {
	case 0:
		return files[i], r.Int64N(min(bits, 8*2000))
	case 1:
		return files[i], bits - 1 - r.Int64N(min(bits, 8*200))
	default:
		return files[i], r.Int64N(bits)
	}
}

func checkFlipped(t *testing.T, dir string, o disk.Options, bs []block.Block) {
	t.Helper()
	s, err := disk.Open(dir, o)
	if errors.Is(err, disk.ErrVersion) {
		return // the user looks into it; nothing is touched
	}
	if errors.Is(err, disk.ErrIndex) {
		if _, err := disk.RebuildIndex(t.Context(), dir, o); err != nil {
			t.Errorf("RebuildIndex: %v", err)
			return
		}
		s, err = disk.Open(dir, o)
	}
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	defer s.Close()
	lost := 0
	for _, b := range bs {
		if !has(t, s, b) {
			lost++
		}
	}
	if all, err := list(t, s); err == nil && len(all) != len(bs)-lost {
		t.Errorf("%d blocks are listed, %d are there", len(all), len(bs)-lost)
	}
	if lost > 1 {
		t.Errorf("%d blocks are lost", lost)
	}
	put(t, s, bs...)
	mustHave(t, s, bs...)
}
