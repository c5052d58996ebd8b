package crdt_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// A Tx reads what its own edits have made of the document.
func TestRead(t *testing.T) {
	r := group(t, 1)[0]
	type state struct {
		text, set, list, multi, value any
		counter                       int64
	}
	read := func(k crdt.Keys) state {
		s := state{text: k.Text("t").String(), set: k.Members("s").Values(), list: k.List("l").Values(), counter: k.Counter("c").Value()}
		s.multi, _ = k.MultiRegister("m").Value()
		s.value, _ = k.Register("r").Value()
		return s
	}
	check := func(when string, k crdt.Keys, want state) {
		t.Helper()
		if got := read(k); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, want %+v", when, got, want)
		}
	}
	empty := state{text: "", set: []any{}, list: []any{}}
	r.edit(func(tx *crdt.Tx) {
		m := tx.Map("in")
		check("at first", m, empty)
		m.Text("t").Insert(0, "häuser")
		m.Members("s").Add("a")
		m.Members("s").Add("b")
		m.List("l").Insert(0, 1, 2, 3)
		m.Counter("c").Add(5)
		m.MultiRegister("m").Set("x")
		m.Set("r", true)
	})
	full := state{text: "häuser", set: []any{"a", "b"}, list: []any{int64(1), int64(2), int64(3)}, counter: 5, multi: []any{"x"}, value: true}
	changed := state{text: "Bäume", set: []any{"b", "c"}, list: []any{int64(1), "new", "er", int64(3)}, counter: 3, multi: []any{"y"}, value: nil}
	r.edit(func(tx *crdt.Tx) {
		m := tx.Map("in")
		check("committed", m, full)
		m.Text("t").Delete(0, 6)
		m.Text("t").Insert(0, "äume")
		m.Text("t").Insert(0, "B")
		m.Members("s").Remove("a")
		m.Members("s").Add("c")
		m.List("l").Delete(1, 1)
		m.List("l").Insert(1, "new", "er")
		m.Counter("c").Add(-2)
		m.MultiRegister("m").Set("y")
		m.Register("r").Clear()
		check("edited", m, changed)
		if s := m.Members("s"); s.Has("a") || !s.Has("b") || !s.Has("c") || s.Has("d") {
			t.Errorf("has not what Values has: %v", s.Values())
		}
	})
	r.edit(func(tx *crdt.Tx) {
		check("sealed", tx.Map("in"), changed)
		tx.Remove("in")
		check("removed", tx.Map("in"), empty)
		tx.Map("in").Counter("c").Add(1)
		again := empty
		again.counter = 1
		check("edited after that", tx.Map("in"), again)
	})
	if v, _ := r.Get("in"); !reflect.DeepEqual(v, map[string]any{"c": int64(1)}) {
		t.Errorf("left are %v", v)
	}
}

// What a Tx has removed is not there for its edits either, whether it had looked at it before or not.
func TestEditRemoved(t *testing.T) {
	r := group(t, 1)[0]
	r.edit(func(tx *crdt.Tx) { tx.Map("m").Text("t").Insert(0, "text") })
	err := r.Update(func(tx *crdt.Tx) error {
		tx.Remove("m")
		if n := tx.Map("m").Text("t").Len(); n != 0 {
			t.Errorf("the removed text has %d code points", n)
		}
		tx.Map("m").Text("t").Insert(4, "!")
		return nil
	})
	if !errors.Is(err, crdt.ErrPosition) {
		t.Errorf("insert at the end of a removed text: %v", err)
	}
}

// Reading makes no commit, and may be of more objects than a commit can be about.
func TestReadMuch(t *testing.T) {
	r := group(t, 1)[0]
	before := r.heads()
	r.edit(func(tx *crdt.Tx) {
		for i := range commit.ObjectsMax + 1 {
			tx.Register(string(rune('a' + i))).Value()
		}
		tx.Remove("a")
		if tx.Full() {
			t.Error("reading has filled the Tx")
		}
	})
	if !reflect.DeepEqual(r.heads(), before) {
		t.Error("a Tx that only reads has made a commit")
	}
}

// A value of ValueSizeMax fits into an Update, and a larger one does not.
func TestValueSizeMax(t *testing.T) {
	r := group(t, 1)[0]
	most := crdt.ValueSizeMax("a", "long key")
	for _, size := range []int{most, most + 1} {
		err := r.Update(func(tx *crdt.Tx) error {
			tx.Map("a").Set("long key", make([]byte, size))
			if tx.Full() != (size > most) {
				t.Errorf("%d bytes: full %t", size, tx.Full())
			}
			return nil
		})
		if errors.Is(err, crdt.ErrFull) != (size > most) {
			t.Errorf("value of %d bytes: %v", size, err)
		}
	}
	if _, _, err := r.Seal(r.key, 0); err != nil {
		t.Error(err)
	}
}
