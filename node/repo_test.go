package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/p2pnode/p2pnode/node"
)

func TestRepoHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	n, err := node.Open(t.Context(), node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	var locked *node.LockedError
	if _, err := node.Open(t.Context(), node.Options{Repo: dir, Offline: true}); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second owner: got %v, want a LockedError of pid %d", err, os.Getpid())
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, err = node.Open(t.Context(), node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatalf("after the first has closed: %v", err)
	}
	n.Close()
}

func TestRepoRefuses(t *testing.T) {
	if err := node.CheckRepo(t.TempDir()); !errors.Is(err, node.ErrNoRepo) {
		t.Errorf("empty folder: got %v, want ErrNoRepo", err)
	}
	for name, c := range map[string]struct {
		file, text string
		mode       os.FileMode
		want       error
	}{
		"newer version": {"version", "999\n", 0o600, node.ErrRepoVersion},
		"open key":      {"key", "", 0o644, node.ErrKeyMode},
	} {
		dir := t.TempDir()
		if made, err := node.Init(dir); err != nil || !made {
			t.Fatalf("init: %v, %v", made, err)
		}
		path := filepath.Join(dir, c.file)
		if c.text != "" {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if n, err := node.Open(t.Context(), node.Options{Repo: dir, Offline: true}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
			if n != nil {
				n.Close()
			}
		}
	}
}

// The same repo has the same peer ID, and its key is the owner's alone.
func TestRepoKeepsKey(t *testing.T) {
	dir := t.TempDir()
	var ids []string
	for range 2 {
		n, err := node.Open(t.Context(), node.Options{Repo: dir, Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, n.ID().String())
		n.Close()
	}
	if ids[0] != ids[1] {
		t.Errorf("peer ID changed: %v", ids)
	}
	info, err := os.Stat(filepath.Join(dir, "key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: mode %v, %v", info.Mode(), err)
	}
}
