package crdt_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func TestDeltas(t *testing.T) {
	r := group(t, 2)
	if d := r[0].Deltas(); d != nil {
		t.Errorf("at first: %v", d)
	}
	r[0].edit(func(tx *crdt.Tx) {
		m := tx.Map("m")
		m.Text("t").Insert(0, "hello world")
		m.List("l").Insert(0, 1, "two")
		tx.Set("k", 1)
		tx.Members("s").Add("x")
		tx.Counter("n").Add(2)
		tx.Counter("n").Add(3)
		tx.Set("gone", 1)
		tx.Remove("gone")
	})
	expect(t, r[0], []crdt.Delta{
		{Path: []string{"k"}, Kind: commit.Register, Change: crdt.Made, New: int64(1)},
		{Path: []string{"m"}, Kind: commit.Map, Change: crdt.Made},
		{Path: []string{"m", "l"}, Kind: commit.List, Change: crdt.Made, Splices: []crdt.Splice{{NewValues: []any{int64(1), "two"}, OldValues: []any{}}}},
		{Path: []string{"m", "t"}, Kind: commit.Text, Change: crdt.Made, Splices: []crdt.Splice{{New: "hello world"}}},
		{Path: []string{"n"}, Kind: commit.Counter, Change: crdt.Made, New: int64(5)},
		{Path: []string{"s"}, Kind: commit.Set, Change: crdt.Made, Added: []any{"x"}},
	})
	expect(t, r[0], nil)
	r[1].pull(r[0])
	r[1].edit(func(tx *crdt.Tx) {
		tx.Map("m").Text("t").Delete(4, 7)
		tx.Map("m").Text("t").Insert(0, "» ")
		tx.Remove("s")
	})
	r[0].edit(func(tx *crdt.Tx) { tx.Set("k", 1); tx.Map("m").List("l").Delete(0, 2) })
	expect(t, r[0], []crdt.Delta{
		{Path: []string{"m", "l"}, Kind: commit.List, Change: crdt.Removed, Splices: []crdt.Splice{{OldValues: []any{int64(1), "two"}, NewValues: []any{}}}},
	})
	r[0].pull(r[1])
	expect(t, r[0], []crdt.Delta{
		{Path: []string{"m", "t"}, Kind: commit.Text, Change: crdt.Changed, Splices: []crdt.Splice{{New: "» "}, {Pos: 6, Old: "o world"}}},
		{Path: []string{"s"}, Kind: commit.Set, Change: crdt.Removed, Gone: []any{"x"}},
	})
}

func expect(t *testing.T, r *replica, want []crdt.Delta) {
	t.Helper()
	if got := r.Deltas(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// However many places change, there are not too many splices, and they lead from the old text
// to the new one.
func TestManySplices(t *testing.T) {
	r := group(t, 1)[0]
	old := strings.Repeat("é-", 3000)
	r.edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, old) })
	r.Deltas()
	r.edit(func(tx *crdt.Tx) {
		for i := range 3000 {
			k := i * 1777 % 3000
			tx.Text("t").Delete(k*2, 1)
			tx.Text("t").Insert(k*2, fmt.Sprint(i%10))
		}
	})
	text, deltas := []rune(old), r.Deltas()
	if len(deltas) != 1 || len(deltas[0].Splices) > 1025 {
		t.Fatalf("%d deltas", len(deltas))
	}
	for _, s := range deltas[0].Splices {
		end := s.Pos + len([]rune(s.Old))
		if string(text[s.Pos:end]) != s.Old {
			t.Fatalf("splice of %q at %d of another text", s.Old, s.Pos)
		}
		text = append(text[:s.Pos:s.Pos], append([]rune(s.New), text[end:]...)...)
	}
	if now, _ := r.Get("t"); string(text) != now {
		t.Error("the splices lead to another text")
	}
}
