package volume_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

func TestSpace(t *testing.T) {
	free, total, err := volume.Space(t.TempDir())
	if err != nil || free <= 0 || total < free {
		t.Errorf("%d of %d bytes are free, %v", free, total, err)
	}
	if _, _, err := volume.Space(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a folder that is not there: %v", err)
	}
}

// TestWriteFile: the file is replaced as a whole, and a failure leaves the old one.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"a longer text", "text"} {
		if err := volume.WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := volume.WriteFile(path, []byte("other")); err == nil {
		t.Error("a file was written through a folder")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "text" {
		t.Errorf("after a failure: %q, %v", got, err)
	}
}

func TestReserve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ballast")
	const size = 3<<20 + 1
	if err := volume.Reserve(path, size); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != size {
		t.Errorf("%v, %v", info, err)
	}
	// More than any disk has: nothing is left behind.
	if err := volume.Reserve(path, 1<<62); err == nil {
		t.Error("4 EiB were reserved")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a failure: %v", err)
	}
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(volume.SyncData(f), volume.SyncDir(dir), f.Close()); err != nil {
		t.Error(err)
	}
	if err := volume.SyncData(f); err == nil {
		t.Error("a closed file was synced")
	}
}

func TestCauses(t *testing.T) {
	full, readOnly := 0, 0
	for _, cause := range volume.OuterCauses() {
		err := fmt.Errorf("write: %w", &fs.PathError{Op: "write", Path: "file", Err: cause})
		if volume.IsFull(err) {
			full++
		}
		if volume.IsReadOnly(err) {
			readOnly++
		}
	}
	if full == 0 || readOnly != 1 || volume.IsFull(fs.ErrNotExist) || volume.IsReadOnly(fs.ErrNotExist) {
		t.Errorf("of %v, %d mean full and %d read-only", volume.OuterCauses(), full, readOnly)
	}
}
