package crdt_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// undo undoes, or redoes, and seals.
func undo(t testing.TB, r *replica, f func() error) commit.ID {
	t.Helper()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return r.edit(func(*crdt.Tx) {}).ID
}

// What Ann undoes of each type, after Bob has edited too.
func TestUndo(t *testing.T) {
	for _, c := range []struct {
		name             string
		before, ann, bob func(*crdt.Tx)
		undone, redone   string
	}{{
		name:   "text",
		before: func(tx *crdt.Tx) { tx.Text("t").Insert(0, "The cat sat.") },
		ann:    func(tx *crdt.Tx) { tx.Text("t").Insert(4, "black "); tx.Text("t").Delete(14, 3) },
		bob:    func(tx *crdt.Tx) { tx.Text("t").Insert(6, "u"); tx.Text("t").Insert(15, "!") },
		undone: `{"t":"The ucat !sat."}`,
		redone: `{"t":"The bluack cat !."}`,
	}, {
		name:   "text that others have deleted too",
		before: func(tx *crdt.Tx) { tx.Text("t").Insert(0, "ab") },
		ann:    func(tx *crdt.Tx) { tx.Text("t").Insert(2, "xyz") },
		bob:    func(tx *crdt.Tx) { tx.Text("t").Delete(3, 1) },
		undone: `{"t":"ab"}`,
		redone: `{"t":"abxz"}`,
	}, {
		name:   "list",
		before: func(tx *crdt.Tx) { tx.List("l").Insert(0, 1, 2, 3) },
		ann:    func(tx *crdt.Tx) { tx.List("l").Delete(1, 1); tx.List("l").Insert(2, "new") },
		bob:    func(tx *crdt.Tx) { tx.List("l").Insert(0, 0) },
		undone: `{"l":[0,1,2,3]}`,
		redone: `{"l":[0,1,3,"new"]}`,
	}, {
		name:   "a register that is as it was left",
		before: func(tx *crdt.Tx) { tx.Set("r", "old") },
		ann:    func(tx *crdt.Tx) { tx.Set("r", "ann"); tx.Set("new", 1) },
		bob:    func(tx *crdt.Tx) {},
		undone: `{"r":"old"}`,
		redone: `{"new":1,"r":"ann"}`,
	}, {
		name:   "a register that somebody has set since",
		before: func(tx *crdt.Tx) { tx.Set("r", "old") },
		ann:    func(tx *crdt.Tx) { tx.Set("r", "ann") },
		bob:    func(tx *crdt.Tx) { tx.Set("r", "bob") },
		undone: `{"r":"bob"}`,
		redone: `{"r":"bob"}`,
	}, {
		name:   "counters",
		before: func(tx *crdt.Tx) { tx.Counter("n").Add(10); tx.GrowCounter("g").Add(1) },
		ann:    func(tx *crdt.Tx) { tx.Counter("n").Add(5); tx.GrowCounter("g").Add(7) },
		bob:    func(tx *crdt.Tx) { tx.Counter("n").Add(-1); tx.GrowCounter("g").Add(2) },
		undone: `{"g":3,"n":9}`,
		redone: `{"g":10,"n":14}`,
	}, {
		name:   "a set",
		before: func(tx *crdt.Tx) { tx.Members("s").Add("x"); tx.Members("s").Add("y") },
		ann:    func(tx *crdt.Tx) { tx.Members("s").Remove("x"); tx.Members("s").Add("z"); tx.Members("s").Add("w") },
		bob:    func(tx *crdt.Tx) { tx.Members("s").Add("w"); tx.Members("s").Remove("y") },
		undone: `{"s":["w","x"]}`,
		redone: `{"s":["w","z"]}`,
	}, {
		name: "what was removed from a map",
		before: func(tx *crdt.Tx) {
			tx.Map("m").Make()
			tx.Map("m").Map("deep").Set("k", 1)
			tx.Map("m").Text("t").Insert(0, "text")
			tx.Map("m").Counter("n").Add(3)
		},
		ann:    func(tx *crdt.Tx) { tx.Remove("m") },
		bob:    func(tx *crdt.Tx) { tx.Set("k", true) },
		undone: `{"k":true,"m":{"deep":{"k":1},"n":3,"t":"text"}}`,
		redone: `{"k":true}`,
	}, {
		name:   "what was made in a map",
		before: func(tx *crdt.Tx) {},
		ann: func(tx *crdt.Tx) {
			tx.Map("m").Make()
			tx.Map("m").Map("empty").Make()
			tx.Map("m").MultiRegister("r").Set(1)
		},
		bob:    func(tx *crdt.Tx) { tx.Map("m").Set("bob", 1) },
		undone: `{"m":{"bob":1}}`,
		redone: `{"m":{"bob":1,"empty":{},"r":[1]}}`,
	}} {
		t.Run(c.name, func(t *testing.T) {
			r := group(t, 2)
			r[0].edit(c.before)
			r[0].edit(c.ann)
			r[1].pull(r[0])
			r[1].edit(c.bob)
			sync(t, r...)
			both := show(t, r[0])
			for range 2 {
				undo(t, r[0], r[0].Undo)
				want(t, r[0], c.undone)
				sync(t, r...)
				undo(t, r[0], r[0].Redo)
				want(t, r[0], c.redone)
			}
			if both != c.redone {
				t.Errorf("before it was undone %s, redone %s", both, c.redone)
			}
			sync(t, r...)
		})
	}
}

// Undo goes back step by step, and Redo forward again, from any replica with the same commits;
// an edit in between ends what can be redone.
func TestUndoSteps(t *testing.T) {
	r := group(t, 2)
	versions := []commit.ID{r[0].ID()}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		versions = append(versions, r[0].edit(func(tx *crdt.Tx) {
			text := tx.Text("t")
			text.Insert(rng.IntN(text.Len()+1), strings.Repeat(string(rune('a'+seed)), 3))
			if pos := rng.IntN(text.Len()); pos+2 < text.Len() {
				text.Delete(pos, 2)
			}
			tx.Set("k", int(seed))
		}).ID)
	}
	same := func(v int) {
		t.Helper()
		if past := at(t, r[0], versions[v]); !reflect.DeepEqual(past.View(), r[0].View()) {
			t.Fatalf("got %s, want version %d: %s", show(t, r[0]), v, show(t, past))
		}
	}
	v := len(versions) - 1
	for _, steps := range []int{-3, 2, -5, 6, -12, 12, -4, 1} {
		for ; steps < 0; steps++ {
			undo(t, r[0], r[0].Undo)
			v--
			same(v)
		}
		for ; steps > 0; steps-- {
			again := join(t, r[0].key, r[0].ID())
			again.pull(r[0])
			r[0] = again
			undo(t, r[0], r[0].Redo)
			v++
			same(v)
		}
	}
	if err := r[1].Undo(); !errors.Is(err, crdt.ErrMissing) {
		t.Errorf("undo by who has done nothing: got %v", err)
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Set("k", "new") })
	if err := r[0].Redo(); !errors.Is(err, crdt.ErrMissing) {
		t.Errorf("redo after an edit: got %v", err)
	}
	undo(t, r[0], r[0].Undo)
	same(v)
	if err := r[0].Update(func(tx *crdt.Tx) error { tx.Set("k", 1); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r[0].Undo(); !errors.Is(err, crdt.ErrOpen) {
		t.Errorf("undo while a commit is open: got %v", err)
	}
}

// Whatever Ann undoes and redoes, what Bob has written stays.
func TestUndoLeavesOthers(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := group(t, 2)
		for range 30 {
			who := rng.IntN(2)
			before := letters(r[0])
			switch rng.IntN(4) {
			case 0:
				f := r[0].Undo
				if rng.IntN(2) == 0 {
					f = r[0].Redo
				}
				if err := f(); err != nil && !errors.Is(err, crdt.ErrMissing) {
					t.Fatal(err)
				}
				r[0].edit(func(*crdt.Tx) {})
				if after := letters(r[0]); after != before {
					t.Fatalf("seed %d: Bob's letters were %s and are %s", seed, before, after)
				}
			case 1:
				sync(t, r...)
			default:
				r[who].edit(func(tx *crdt.Tx) { scribble(rng, r[who], tx, rune("aA"[who])) })
			}
		}
		sync(t, r...)
		if !reflect.DeepEqual(r[0].View(), at(t, r[1], r[0].heads()[0].ID).View()) && len(r[0].heads()) == 1 {
			t.Fatalf("seed %d: a replay is another document", seed)
		}
	}
}

// scribble inserts some letters, or deletes one of the writer's own.
func scribble(rng *rand.Rand, r *replica, tx *crdt.Tx, first rune) {
	text := tx.Text("t")
	s, _ := r.Get("t")
	now, _ := s.(string)
	if pos := rng.IntN(text.Len() + 1); pos < len(now) && rng.IntN(2) == 0 && unicode.IsUpper(rune(now[pos])) == (first == 'A') {
		text.Delete(pos, 1)
		return
	}
	text.Insert(rng.IntN(text.Len()+1), string([]rune{first + rng.Int32N(26), first + rng.Int32N(26)}))
}

// letters are Bob's.
func letters(r *replica) string {
	s, _ := r.Get("t")
	now, _ := s.(string)
	return strings.Map(func(c rune) rune {
		if unicode.IsUpper(c) {
			return c
		}
		return -1
	}, now)
}
