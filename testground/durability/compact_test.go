package durability_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/process"
)

// TestKillCompact kills a node with SIGKILL that edits a document, and forgets its history all the
// time: no edit that was acknowledged is lost, whether the commit is there still or not.
func TestKillCompact(t *testing.T) {
	count, rnd := replayable(t, 4, 100)
	repo := filepath.Join(t.TempDir(), "killed")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := process.Command{Path: self, Env: []string{docRepo + "=" + repo}}
	var edits, forgotten int64
	for cycle := range count {
		acked, err := editAndKill(t.Context(), command, strikeAfter(rnd))
		if err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
		n, length, horizon := compacted(t, repo)
		if n < edits+int64(len(acked)) {
			t.Fatalf("cycle %d: %d edits are there, of %d before and %d acknowledged", cycle, n, edits, len(acked))
		}
		edits = n
		if horizon != (commit.ID{}) {
			forgotten = n - int64(length)
		}
	}
	t.Logf("%d kills, %d edits, of which about %d are forgotten", count, edits, forgotten)
	if forgotten < edits/2 {
		t.Errorf("of %d edits %d are forgotten", edits, forgotten)
	}
}

// compacted opens the repo of a killed node. It returns how many edits the document has, how many
// commits are kept of them after it was compacted, and before which horizon none are.
func compacted(t *testing.T, repo string) (edits int64, length int, horizon commit.ID) {
	t.Helper()
	n, err := node.Open(t.Context(), node.Options{Repo: repo, Network: docNetwork, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r, err := n.Docs()
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Open(t.Context(), docName)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := d.Get(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	edits, _ = v.(int64)
	c, err := d.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if length, err = d.Len(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, _, err := d.Get(t.Context(), "n"); err != nil || again != v {
		t.Fatalf("%v edits, and after it was compacted %v, %v", v, again, err)
	}
	return edits, length, c.Horizon
}

// compactDoc is the program that is killed.
func compactDoc(repo string) error {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Options{Repo: repo, Network: docNetwork, Offline: true})
	if err != nil {
		return err
	}
	r, err := n.Docs()
	if err != nil {
		return err
	}
	if len(r.Docs()) == 0 {
		if _, err := r.Create(ctx, docName); err != nil {
			return err
		}
	}
	d, err := r.Open(ctx, docName)
	if err != nil {
		return err
	}
	fmt.Println("begun")
	failed := make(chan error)
	go func() {
		for {
			if _, err := d.Compact(ctx); err != nil {
				failed <- err
				return
			}
			time.Sleep(5 * time.Millisecond) // for edits to come between
		}
	}()
	for range writers {
		go func() { failed <- increments(ctx, d) }()
	}
	return <-failed
}
