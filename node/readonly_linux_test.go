package node_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/p2pnode/p2pnode/node"
)

// A repo on a file system that takes no writes can be read, and refuses the
// rest. It needs root to mount one; CI has it.
func TestReadOnlyRepo(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Logf("not run: mount: %v", err)
		return
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ctx := t.Context()
	n, err := node.Open(ctx, node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	content := randomBytes(9, 100<<10)
	link, err := n.Add(ctx, bytes.NewReader(content), node.AddOptions{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	n, err = node.Open(ctx, node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, ctx, n, link.Cid); !bytes.Equal(got, content) {
		t.Error("got other bytes")
	}
	pins := 0
	for _, err := range n.Pins(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		pins++
	}
	if pins != 1 {
		t.Errorf("%d pins, want 1", pins)
	}
	for name, data := range map[string][]byte{"new": []byte("new"), "held": content} {
		if _, err := n.Add(ctx, bytes.NewReader(data), node.AddOptions{}); !errors.Is(err, node.ErrReadOnly) {
			t.Errorf("add what is %s: got %v, want ErrReadOnly", name, err)
		}
	}
	if err := n.Unpin(ctx, link.Cid); !errors.Is(err, node.ErrReadOnly) {
		t.Errorf("unpin: got %v, want ErrReadOnly", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
