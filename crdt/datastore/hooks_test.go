package datastore_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	ds "github.com/ipfs/go-datastore"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/datastore"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// bring brings all of a document to another replica of it.
func bring(t *testing.T, from *replica.Doc, to *replica.Replica) {
	t.Helper()
	var car bytes.Buffer
	must(t, from.Export(t.Context(), &car))
	_, err := to.Import(t.Context(), &car, "")
	must(t, err)
}

// Hooks tell what others, and this replica, have changed, once.
func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a, b := person(t, 1), person(t, 2)
		mine, err := a.Create(ctx, "store", replica.Member{Author: b.Author(), Role: commit.Write})
		must(t, err)
		before := open(t, mine, datastore.Options{})
		must(t, before.Put(ctx, ds.NewKey("/old/1"), []byte("one")))
		must(t, before.Put(ctx, ds.NewKey("/old/2"), []byte("two")))
		bring(t, mine, b)
		doc, err := b.Open(ctx, mine.ID().String())
		must(t, err)
		theirs := open(t, doc, datastore.Options{})

		var told []string
		var store *datastore.Datastore
		store, err = datastore.New(ctx, mine, datastore.Options{
			PutHook: func(k ds.Key, v []byte) {
				told = append(told, fmt.Sprint(k, "=", string(v)))
				if got, err := store.Get(ctx, k); err != nil || !bytes.Equal(got, v) {
					t.Errorf("hook of %s is told %q, and gets %q, %v", k, v, got, err)
				}
			},
			DeleteHook: func(k ds.Key) { told = append(told, fmt.Sprint("-", k)) },
		})
		must(t, err)
		check := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			slices.Sort(told)
			if slices.Sort(want); !slices.Equal(told, want) {
				t.Errorf("%s: told %q, want %q", what, told, want)
			}
			told = nil
		}
		check("what was there")
		must(t, store.Put(ctx, ds.NewKey("/mine"), []byte("x")))
		must(t, store.Put(ctx, ds.NewKey("/mine"), []byte("x")))
		check("own edits", "/mine=x")
		must(t, theirs.Put(ctx, ds.NewKey("/new"), []byte("n")))
		must(t, theirs.Put(ctx, ds.NewKey("/passing"), []byte("n")))
		must(t, theirs.Delete(ctx, ds.NewKey("/passing")))
		must(t, theirs.Delete(ctx, ds.NewKey("/old/1")))
		must(t, theirs.Put(ctx, ds.NewKey("/mine"), []byte("lost"))) // they have not seen /mine=x, and their gen is higher
		bring(t, doc, a)
		check("what has come", "/new=n", "-/old/1", "/mine=lost")
		_, err = doc.Update(ctx, func(tx *crdt.Tx) error {
			tx.Remove("old")
			tx.Text("new").Insert(0, "a text")
			tx.Set("x/y", []byte("a name with a slash"))
			return nil
		})
		must(t, err)
		bring(t, doc, a)
		check("a map that is removed", "-/old/2")
		batch, err := theirs.Batch(ctx)
		must(t, err)
		var want []string
		for i := range 1000 { // more than wait for a watcher
			k := ds.NewKey(fmt.Sprint("/many/", i))
			must(t, batch.Put(ctx, k, []byte("m")))
			want = append(want, fmt.Sprint(k, "=m"))
		}
		must(t, batch.Commit(ctx))
		bring(t, doc, a)
		check("many", want...)
		must(t, store.Close())
		must(t, before.Put(ctx, ds.NewKey("/late"), nil))
		check("after Close")
	})
}
