package crdt_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// fill puts something of each kind into a document, more than fits into one commit.
func fill(t *testing.T, r *replica) {
	t.Helper()
	r.edit(func(tx *crdt.Tx) {
		tx.Map("empty").Make()
		m := tx.Map("m").Map("deep")
		m.Set("k", "value")
		m.Counter("n").Add(-7)
		m.GrowCounter("g").Add(7)
		m.MultiRegister("r").Set(1.5)
		m.Members("s").Add([]byte("x"))
		m.Members("s").Add(nil)
		tx.Set("gone", 1)
		tx.Remove("gone")
		tx.Text("gone too").Insert(0, "x")
		tx.Text("gone too").Delete(0, 1)
		tx.Text("both").Insert(0, "a text")
		tx.Set("both", "a register")
	})
	for i := range 3 {
		r.edit(func(tx *crdt.Tx) { tx.Text("t").Insert(i, strings.Repeat("é🙂", 30_000)) })
		r.edit(func(tx *crdt.Tx) {
			tx.List("l").Insert(i, strings.Repeat("x", 150_000), i)
			for k := range 1500 {
				tx.Map("many").Set(fmt.Sprint(i, k), k)
			}
		})
	}
}

func TestForkOfDocument(t *testing.T) {
	r := group(t, 2)
	fill(t, r[0])
	before := r[0].heads()[0].ID
	r[1].pull(r[0])
	r[0].edit(func(tx *crdt.Tx) { tx.Set("later", 1) })
	past := at(t, r[0], before)
	blocks, head, err := past.Fork(key(5), crdt.Genesis{Members: map[commit.Author]commit.Role{author(6): commit.Write}})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := commit.IDOf(blocks[0].Cid())
	fork := join(t, key(6), id)
	if report := fork.receive(blocks, head); len(report.Applied) != len(blocks) || len(blocks) < 3 {
		t.Fatalf("%d of %d commits applied: %v", len(report.Applied), len(blocks), report.Rejected)
	}
	if !reflect.DeepEqual(fork.View(), r[1].View()) {
		t.Error("the fork is another document")
	}
	if v, _ := fork.Get("both"); v != "a text" {
		t.Errorf("both is %v", v)
	}
	if from, heads, ok, err := fork.From(); err != nil || !ok || from != r[0].ID() || !reflect.DeepEqual(heads, []commit.ID{before}) {
		t.Errorf("from %s at %v: %v, %v", from, heads, ok, err)
	}
	if _, _, ok, err := r[0].From(); ok || err != nil {
		t.Errorf("the original is from somewhere (%v)", err)
	}
	fork.edit(func(tx *crdt.Tx) { tx.Text("t").Delete(0, 100_000) })
	if err := fork.Update(func(tx *crdt.Tx) error { tx.Grant(author(7), commit.Write); return nil }); !errors.Is(err, crdt.ErrRole) {
		t.Errorf("a writer of the fork grants: %v", err)
	}
}

// More objects than a commit may have do not fit into it.
func TestTooManyObjects(t *testing.T) {
	r := group(t, 2)
	err := r[0].Update(func(tx *crdt.Tx) error {
		for i := range commit.ObjectsMax + 1 {
			tx.Set(fmt.Sprint(i), i)
		}
		return nil
	})
	if !errors.Is(err, crdt.ErrFull) {
		t.Errorf("got %v", err)
	}
	for _, first := range []int{0, 3000} {
		err = r[0].Update(func(tx *crdt.Tx) error {
			for i := range 3000 {
				tx.Set(fmt.Sprint(first+i), i)
			}
			return nil
		})
	}
	if !errors.Is(err, crdt.ErrFull) {
		t.Errorf("got %v", err)
	}
	r[0].edit(func(*crdt.Tx) {})
	sync(t, r...)
}
