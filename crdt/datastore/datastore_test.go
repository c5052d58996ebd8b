package datastore_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"
	dstest "github.com/ipfs/go-datastore/test"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/datastore"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// person opens the documents of the n-th person.
func person(t *testing.T, n byte) *replica.Replica {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	r, err := replica.Open(t.Context(), replica.Options{Key: key, Store: dssync.MutexWrap(ds.NewMapDatastore())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// pair are two copies of a document, and two who may write.
func pair(t *testing.T) (mine, theirs *replica.Doc) {
	t.Helper()
	a, b := person(t, 1), person(t, 2)
	mine, err := a.Create(t.Context(), "store", replica.Member{Author: b.Author(), Role: commit.Write})
	if err != nil {
		t.Fatal(err)
	}
	var car bytes.Buffer
	if err := mine.Export(t.Context(), &car); err != nil {
		t.Fatal(err)
	}
	theirs, err = b.Import(t.Context(), &car, "store")
	if err != nil {
		t.Fatal(err)
	}
	return mine, theirs
}

func open(t *testing.T, d *replica.Doc, o datastore.Options) *datastore.Datastore {
	t.Helper()
	s, err := datastore.New(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The suite of go-datastore finds nothing. Two of its tests put values of 256 KiB, which are too
// large here: see TestBatch and TestSizeError.
func TestSuite(t *testing.T) {
	dstest.ElemCount = 20
	for i, f := range dstest.BasicSubtests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			mine, _ := pair(t)
			f(t, open(t, mine, datastore.Options{}))
		})
	}
	mine, _ := pair(t)
	dstest.RunBatchPutAndDeleteTest(t, open(t, mine, datastore.Options{}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all is what a store has under a prefix.
func all(t *testing.T, s *datastore.Datastore, prefix string) map[string]string {
	t.Helper()
	have := make(map[string]string)
	for e, err := range ds.QueryIter(t.Context(), s, query.Query{Prefix: prefix}) {
		must(t, err)
		if e.Size != len(e.Value) {
			t.Errorf("%s has size %d and %d bytes", e.Key, e.Size, len(e.Value))
		}
		have[e.Key] = string(e.Value)
	}
	return have
}

func equal(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) { // maps are printed in order
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// A key may be that of a value and the beginning of others, and deleting it leaves these. What others
// keep in the document is no key.
func TestKeys(t *testing.T) {
	ctx := t.Context()
	mine, _ := pair(t)
	s := open(t, mine, datastore.Options{})
	for _, k := range []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/z"} {
		must(t, s.Put(ctx, ds.NewKey(k), []byte(k)))
	}
	must(t, s.Put(ctx, ds.NewKey("/z"), nil))
	_, err := mine.Update(ctx, func(tx *crdt.Tx) error {
		tx.Set("a/b", []byte("a name with a slash"))
		tx.Map("a").Set("", []byte("a name that is empty"))
		tx.Map("a").Set("..", []byte("a name that leads up"))
		tx.Set("number", 7)
		tx.Text("a").Insert(0, "text")
		return nil
	})
	must(t, err)
	equal(t, "all", all(t, s, "/"), map[string]string{"/": "/", "/a": "/a", "/a/b": "/a/b", "/a/b/c": "/a/b/c", "/ab": "/ab", "/z": ""})
	equal(t, "under /a", all(t, s, "/a"), map[string]string{"/a/b": "/a/b", "/a/b/c": "/a/b/c"})
	must(t, s.Delete(ctx, ds.NewKey("/a")))
	if _, err := s.Get(ctx, ds.NewKey("/a")); err != ds.ErrNotFound {
		t.Errorf("get what was deleted: %v", err)
	}
	if value, err := s.Get(ctx, ds.NewKey("/a/b")); err != nil || string(value) != "/a/b" {
		t.Errorf("below what was deleted: %q, %v", value, err)
	}
	if ok, err := s.Has(ctx, ds.NewKey("/number")); ok || err != nil {
		t.Errorf("a number is a value: %t, %v", ok, err)
	}
	before, err := mine.Heads(ctx)
	must(t, err)
	must(t, s.Delete(ctx, ds.NewKey("/never there")))
	if after, err := mine.Heads(ctx); err != nil || !slices.Equal(before, after) {
		t.Errorf("deleting what is not there made a commit: %v", err)
	}
}

// A value that does not fit into a commit is refused, and the error tells what would fit.
func TestSizeError(t *testing.T) {
	ctx := t.Context()
	mine, _ := pair(t)
	s, k := open(t, mine, datastore.Options{}), ds.NewKey("/a/long/key")
	var e *datastore.SizeError
	err := s.Put(ctx, k, make([]byte, 1<<20))
	if !errors.As(err, &e) || !errors.Is(err, crdt.ErrFull) || e.Key != k || e.Size != 1<<20 || e.Max < 239<<10 {
		t.Fatalf("put a MiB: %v", err)
	}
	most := e.Max
	must(t, s.Put(ctx, k, make([]byte, most)))
	if err := s.Put(ctx, k, make([]byte, most+1)); !errors.As(err, &e) {
		t.Errorf("put %d bytes: %v", most+1, err)
	}
	b, err := s.Batch(ctx)
	must(t, err)
	if err := b.Put(ctx, k, make([]byte, most+1)); !errors.As(err, &e) {
		t.Errorf("put %d bytes in a batch: %v", most+1, err)
	}
	if err := s.Put(ctx, ds.NewKey(strings.Repeat("/a", commit.DepthMax+1)), nil); !errors.Is(err, commit.ErrLimit) {
		t.Errorf("put at a depth of %d: %v", commit.DepthMax+1, err)
	}
	if n, err := s.GetSize(ctx, k); n != most || err != nil {
		t.Errorf("%d bytes are there, %v, want %d", n, err, most)
	}
}

// A batch that fits into a commit is one, and another as many as it needs.
func TestBatch(t *testing.T) {
	for _, c := range []struct{ edits, size, commits int }{
		{1000, 8, 1},
		{commit.ObjectsMax - 1, 8, 1}, // and one namespace
		{commit.ObjectsMax, 8, 2},
		{100, 10 << 10, 5},
		{4, 200 << 10, 4},
	} {
		ctx := t.Context()
		mine, _ := pair(t)
		s := open(t, mine, datastore.Options{})
		must(t, s.Put(ctx, ds.NewKey("/in/0"), []byte("before")))
		before, err := mine.Len(ctx)
		must(t, err)
		b, err := s.Batch(ctx)
		must(t, err)
		for i := range c.edits {
			must(t, b.Delete(ctx, ds.NewKey(fmt.Sprint("/in/", i))))
			must(t, b.Put(ctx, ds.NewKey(fmt.Sprint("/in/", i)), make([]byte, c.size)))
		}
		if n, err := s.GetSize(ctx, ds.NewKey("/in/0")); n != len("before") || err != nil {
			t.Errorf("%+v: it is there before it is committed: %d, %v", c, n, err)
		}
		must(t, b.Commit(ctx))
		after, err := mine.Len(ctx)
		must(t, err)
		if after-before != c.commits {
			t.Errorf("%+v: made %d commits", c, after-before)
		}
		if n := len(all(t, s, "/in")); n != c.edits {
			t.Errorf("%+v: %d keys are there", c, n)
		}
	}
}
