package directio_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/p2pnode/p2pnode/directio"
)

// TestWriteAt writes stretches of all sizes behind each other and on top of each
// other, as a plain file would take them.
func TestWriteAt(t *testing.T) {
	const sizeMax = 6 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := directio.NewWriter(f)
	var want []byte
	for range 60 {
		off := rng.IntN(len(want) + 1)
		if rng.IntN(2) == 0 {
			off = len(want)
		}
		var bufs [][]byte
		at := off
		for size := 1 + rng.IntN(sizeMax)>>rng.IntN(20); size > 0; {
			b := make([]byte, min(size, 1+rng.IntN(2<<20)))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			want = append(want[:min(at, len(want))], append(b[:len(b):len(b)], want[min(at+len(b), len(want)):]...)...)
			bufs, at, size = append(bufs, b), at+len(b), size-len(b)
		}
		if err := w.WriteAt(bufs, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("file of %d bytes, want another of %d", len(got), len(want))
	}
}

// TestRenamed: the file that was opened is written, not what has its name by now.
func TestRenamed(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(f.Name(), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("data"), 1<<20)
	w := directio.NewWriter(f)
	defer w.Close()
	if err := w.WriteAt([][]byte{data}, 0); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "other"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}
