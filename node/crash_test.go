package node_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gofrs/flock"
	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
	"github.com/p2pnode/p2pnode/node"
)

// repoWithPin returns a closed repo with one pinned file.
func repoWithPin(t *testing.T) (dir string, root cid.Cid, content []byte) {
	t.Helper()
	dir, content = t.TempDir(), randomBytes(7, 100<<10)
	n := mustOpen(t, dir)
	link, err := n.Add(t.Context(), bytes.NewReader(content), node.AddOptions{Name: "kept"})
	if err := errors.Join(err, n.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, link.Cid, content
}

func mustOpen(t *testing.T, dir string) *node.Node {
	t.Helper()
	n, err := node.Open(t.Context(), node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func countPins(t *testing.T, n *node.Node) (pins int) {
	t.Helper()
	for _, err := range n.Pins(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		pins++
	}
	return pins
}

// A kill can leave files of badger's that were made and not yet written, in both
// databases.
func TestOpenAfterKill(t *testing.T) {
	dir, root, content := repoWithPin(t)
	for _, name := range []string{"00099.mem", "000099.vlog", "000099.sst"} {
		for _, db := range []string{"state", filepath.Join("blocks", "index")} {
			if err := os.WriteFile(filepath.Join(dir, db, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n := mustOpen(t, dir)
		if got := read(t, t.Context(), n, root); !bytes.Equal(got, content) {
			t.Errorf("%s: got other bytes", name)
		}
		if got := countPins(t, n); got != 1 {
			t.Errorf("%s: %d pins, want 1", name, got)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Without its manifest badger would remove every table, and the pins with them.
func TestOpenRefusesDamagedState(t *testing.T) {
	dir, _, _ := repoWithPin(t)
	if err := os.Remove(filepath.Join(dir, "state", "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n, err := node.Open(t.Context(), node.Options{Repo: dir, Offline: true})
		if !errors.Is(err, badgerdb.ErrDamaged) {
			t.Errorf("got %v, want ErrDamaged", err)
		}
		if err == nil {
			n.Close()
		}
	}
}

// Whoever loses the race for a repo names the winner, not one that was killed,
// even if the winner has the lock but has not yet written its pid.
func TestLoserNamesWinner(t *testing.T) {
	for name, left := range map[string]string{"nothing": "", "half a pid": "1", "a dead process": "1073741823\n"} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := repoWithPin(t)
			path := filepath.Join(dir, "lock")
			if err := os.WriteFile(path, []byte(left), 0o600); err != nil {
				t.Fatal(err)
			}
			winner := flock.New(path)
			if ok, err := winner.TryLock(); !ok {
				t.Fatal(err)
			}
			defer winner.Unlock()
			var locked *node.LockedError
			open := func(ctx context.Context) {
				_, err := node.Open(ctx, node.Options{Repo: dir, Offline: true})
				if !errors.As(err, &locked) {
					t.Errorf("got %v, want a LockedError", err)
				}
			}
			ctx := t.Context()
			synctest.Test(t, func(t *testing.T) {
				var loser sync.WaitGroup
				loser.Go(func() { open(ctx) })
				synctest.Wait() // it has looked once, and waits
				if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				loser.Wait()
			})
			if locked != nil && locked.PID != 1 {
				t.Errorf("loser names pid %d, want 1", locked.PID)
			}
		})
	}
}

// An owner that leaves no pid is waited for, but not for ever.
func TestLockWithoutPID(t *testing.T) {
	dir, _, _ := repoWithPin(t)
	winner := flock.New(filepath.Join(dir, "lock"))
	if ok, err := winner.TryLock(); !ok {
		t.Fatal(err)
	}
	defer winner.Unlock()
	ctx := t.Context()
	synctest.Test(t, func(t *testing.T) {
		var locked *node.LockedError
		if _, err := node.Open(ctx, node.Options{Repo: dir, Offline: true}); !errors.As(err, &locked) || locked.PID != 0 {
			t.Errorf("got %v, want a LockedError without a pid", err)
		}
	})
}
