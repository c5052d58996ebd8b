package node_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

// smallDisk mounts a file system in memory. That needs root, which CI has.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Logf("not run: mount: %v", err)
		return "", false
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// fillUp takes every free byte of the disk.
func fillUp(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// On a disk without a free byte a repo can be opened, read and collected, what
// would need space is refused with ErrFull, and it all ends well: at first by the
// ballast, and without it by a copy elsewhere.
func TestFullDisk(t *testing.T) {
	dir, ok := smallDisk(t)
	if !ok {
		return
	}
	repo, filler := filepath.Join(dir, "repo"), filepath.Join(dir, "filler")
	kept, garbage := randomBytes(3, 300<<10), randomBytes(4, 2<<20)
	n := mustOpen(t, repo)
	link, err := n.Add(t.Context(), bytes.NewReader(kept), node.AddOptions{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	loose, err := n.Add(t.Context(), bytes.NewReader(garbage), node.AddOptions{})
	if err := errors.Join(err, n.Unpin(t.Context(), loose.Cid), n.Close()); err != nil {
		t.Fatal(err)
	}
	works := func(when string) *node.Node {
		t.Helper()
		n := mustOpen(t, repo)
		if got := read(t, t.Context(), n, link.Cid); !bytes.Equal(got, kept) {
			t.Errorf("%s: got other bytes", when)
		}
		if got := countPins(t, n); got != 1 {
			t.Errorf("%s: %d pins, want 1", when, got)
		}
		if _, err := n.Add(t.Context(), bytes.NewReader([]byte(when)), node.AddOptions{}); !errors.Is(err, disk.ErrFull) {
			t.Errorf("add %s: got %v, want ErrFull", when, err)
		}
		return n
	}
	for range 2 {
		fillUp(t, filler)
		n = works("with ballast")
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		// The ballast is thrown off now. Others fill that up too.
		fillUp(t, filler)
		n = works("without ballast")
		if err := n.Unpin(t.Context(), link.Cid); !errors.Is(err, disk.ErrFull) {
			t.Errorf("unpin: got %v, want ErrFull", err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		n = mustOpen(t, repo) // takes ballast in again
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	fillUp(t, filler)
	n = works("before collection")
	res, err := n.GC(t.Context(), node.GCOptions{})
	if err != nil || res.Removed == 0 {
		t.Errorf("collect garbage: %+v, %v", res, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// On a disk that others fill while the node runs, a write of state is refused,
// where badger's would be the end of the process.
func TestDiskFillsMeanwhile(t *testing.T) {
	dir, ok := smallDisk(t)
	if !ok {
		return
	}
	repo, filler := filepath.Join(dir, "repo"), filepath.Join(dir, "filler")
	n := mustOpen(t, repo)
	kept := randomBytes(3, 300<<10)
	link, err := n.Add(t.Context(), bytes.NewReader(kept), node.AddOptions{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	fillUp(t, filler)
	// By the ballast.
	if _, err := n.Pin(t.Context(), unixfs.Path{Root: link.Cid}, "renamed", nil); err != nil {
		t.Errorf("pin: %v", err)
	}
	fillUp(t, filler)
	if err := n.Unpin(t.Context(), link.Cid); !errors.Is(err, disk.ErrFull) {
		t.Errorf("unpin: got %v, want ErrFull", err)
	}
	if got := read(t, t.Context(), n, link.Cid); !bytes.Equal(got, kept) {
		t.Error("got other bytes")
	}
	if err := errors.Join(os.Remove(filler), n.Unpin(t.Context(), link.Cid), n.Close()); err != nil {
		t.Errorf("go on with room again: %v", err)
	}
}
