package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

// A database that has lost or changed one pin without noticing must not cost a
// block: collection refuses.
func TestGCRefusesDamagedPins(t *testing.T) {
	damage := map[string]func(ctx context.Context, state ds.Datastore, key ds.Key, value []byte) error{
		"lost": func(ctx context.Context, state ds.Datastore, key ds.Key, _ []byte) error {
			return state.Delete(ctx, key)
		},
		"changed": func(ctx context.Context, state ds.Datastore, key ds.Key, value []byte) error {
			return state.Put(ctx, key, bytes.Replace(value, []byte("pin 3"), []byte("pin 8"), 1))
		},
		"garbled": func(ctx context.Context, state ds.Datastore, key ds.Key, value []byte) error {
			return state.Put(ctx, key, value[:len(value)/2])
		},
	}
	for name, f := range damage {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			state := dssync.MutexWrap(ds.NewMapDatastore())
			store := blockstore.NewMem()
			open := func() *node.Node {
				n, err := node.Open(ctx, node.Options{Offline: true, State: state, Store: store})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { n.Close() })
				return n
			}
			n := open()
			for i := range 5 {
				if _, err := n.Add(ctx, bytes.NewReader(fmt.Append(nil, i)), node.AddOptions{Name: fmt.Sprint("pin ", i)}); err != nil {
					t.Fatal(err)
				}
			}
			res, err := state.Query(ctx, query.Query{Prefix: "/pins"})
			if err != nil {
				t.Fatal(err)
			}
			entries, err := res.Rest()
			if err != nil || len(entries) != 5 {
				t.Fatalf("%d records, %v; want 5", len(entries), err)
			}
			for _, e := range entries {
				if bytes.Contains(e.Value, []byte("pin 3")) {
					if err := f(ctx, state, ds.RawKey(e.Key), e.Value); err != nil {
						t.Fatal(err)
					}
				}
			}
			n = open()
			if _, err := n.GC(ctx, node.GCOptions{}); !errors.Is(err, node.ErrPinsDamaged) {
				t.Errorf("got %v, want ErrPinsDamaged", err)
			}
			blocks := 0
			for _, err := range store.All(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				blocks++
			}
			if blocks != 5 {
				t.Errorf("%d blocks are left of 5", blocks)
			}
		})
	}
}

func TestPinsSurviveReopening(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	n, err := node.Open(ctx, node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	link, err := n.Add(ctx, bytes.NewReader([]byte("kept")), node.AddOptions{Name: "a name"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, err = node.Open(ctx, node.Options{Repo: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	count := 0
	for p, err := range n.Pins(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		count++
		if p.Cid != link.Cid || p.Name != "a name" {
			t.Errorf("got %+v", p)
		}
	}
	if count != 1 {
		t.Errorf("got %d pins, want 1", count)
	}
	if err := n.Unpin(ctx, link.Cid); err != nil {
		t.Fatal(err)
	}
	if err := n.Unpin(ctx, link.Cid); !errors.Is(err, node.ErrNotPinned) {
		t.Errorf("second unpin: got %v, want ErrNotPinned", err)
	}
}

// A pin that is updated is another one with the same name, and the old one is gone; one that is
// not there is not updated.
func TestUpdatePin(t *testing.T) {
	ctx := t.Context()
	n, err := node.Open(ctx, node.Options{Offline: true, State: dssync.MutexWrap(ds.NewMapDatastore()), Store: blockstore.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	add := func(text, name string) unixfs.Path {
		t.Helper()
		link, err := n.Add(ctx, strings.NewReader(text), node.AddOptions{Name: name, NoPin: name == ""})
		if err != nil {
			t.Fatal(err)
		}
		return unixfs.Path{Root: link.Cid}
	}
	old, fresh := add("old", "a name").Root, add("new", "")
	if root, err := n.UpdatePin(ctx, old, fresh, nil); err != nil || root != fresh.Root {
		t.Fatalf("got %s, %v", root, err)
	}
	if root, err := n.UpdatePin(ctx, fresh.Root, fresh, nil); err != nil || root != fresh.Root {
		t.Fatalf("to the same: got %s, %v", root, err)
	}
	for p, err := range n.Pins(ctx) {
		if err != nil || p.Cid != fresh.Root || p.Name != "a name" {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	if _, err := n.UpdatePin(ctx, old, fresh, nil); !errors.Is(err, node.ErrNotPinned) {
		t.Errorf("what is not pinned: got %v", err)
	}
}
