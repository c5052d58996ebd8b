package crdt_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func at(t *testing.T, r *replica, heads ...commit.ID) *replica {
	t.Helper()
	past, err := r.At(heads...)
	if err != nil {
		t.Fatal(err)
	}
	return &replica{Doc: past, t: t, key: r.key}
}

// A version knows no removals that came later.
func TestAt(t *testing.T) {
	r := group(t, 2)
	one := r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "one") })
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(2), commit.None); tx.Set("k", 1) })
	sync(t, r...)
	want(t, r[0], `{"k":1}`)
	past := at(t, r[0], one.ID)
	want(t, past, `{"t":"one"}`)
	want(t, at(t, r[0], one.ID, r[0].heads()[0].ID, r[0].heads()[1].ID), `{"k":1}`)
	want(t, at(t, r[0]), `{}`)
	if _, err := r[0].At(commit.ID{1}); !errors.Is(err, crdt.ErrMissing) {
		t.Errorf("at an unknown commit: got %v", err)
	}
	if err := past.Update(func(tx *crdt.Tx) error { tx.Set("k", 2); return nil }); !errors.Is(err, crdt.ErrPast) {
		t.Errorf("edit of the past: got %v", err)
	}
	if _, err := past.Apply(r[0].order, r[0].heads()); !errors.Is(err, crdt.ErrPast) {
		t.Errorf("commits into the past: got %v", err)
	}
}

func TestLog(t *testing.T) {
	r := group(t, 2)
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "one") })
	sync(t, r...)
	since := r[0].heads()[0].ID
	b := r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(3, " two") })
	a := r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(2), commit.Read) })
	sync(t, r...)
	if err := r[0].Update(func(tx *crdt.Tx) error { tx.Set("open", 1); return nil }); err != nil {
		t.Fatal(err)
	}
	entries := map[commit.ID]crdt.Entry{}
	for e, err := range r[0].Log(since) {
		if err != nil {
			t.Fatal(err)
		}
		entries[e.ID] = e
	}
	splice := crdt.Splice{Pos: 3, New: " two"}
	of := func(s crdt.Splice) []crdt.Delta {
		return []crdt.Delta{{Path: []string{"t"}, Kind: commit.Text, Change: crdt.Changed, Splices: []crdt.Splice{s}}}
	}
	want := map[commit.ID]crdt.Entry{
		a.ID: {ID: a.ID, Author: author(1), Gen: 3, Parents: []commit.ID{since}},
		b.ID: {ID: b.ID, Author: author(2), Gen: 3, Parents: []commit.ID{since}, Void: true},
	}
	if a.ID.Compare(b.ID) > 0 { // it comes second, and takes away what the first did
		e := want[b.ID]
		e.Deltas = of(splice)
		want[b.ID] = e
		e = want[a.ID]
		e.Deltas = of(crdt.Splice{Pos: 3, Old: " two"})
		want[a.ID] = e
	}
	if !reflect.DeepEqual(entries, want) {
		t.Errorf("got %+v, want %+v", entries, want)
	}
	n := 0
	for _, err := range r[0].Commits() {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != r[0].Len() {
		t.Errorf("%d commits of %d", n, r[0].Len())
	}
	for _, err := range r[0].Log(commit.ID{1}) {
		if !errors.Is(err, crdt.ErrMissing) {
			t.Errorf("since an unknown commit: got %v", err)
		}
	}
}
