package crdt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/rope"
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// replica is a Doc with what its author has, and all blocks it has applied.
type replica struct {
	*crdt.Doc
	t      testing.TB
	key    ed25519.PrivateKey
	blocks map[commit.ID]block.Block
	order  []block.Block
}

func (r *replica) Block(id commit.ID) (block.Block, error) {
	b, ok := r.blocks[id]
	if !ok {
		return b, fmt.Errorf("get %s: %w", id, block.ErrNotFound)
	}
	return b, nil
}

func (r *replica) keep(blocks ...block.Block) {
	for _, b := range blocks {
		id, ok := commit.IDOf(b.Cid())
		if !ok {
			r.t.Fatalf("%s is no commit", b.Cid())
		}
		r.blocks[id] = b
		r.order = append(r.order, b)
	}
}

// group makes a document with a replica for each of some writers, the first of whom created it.
func group(t testing.TB, n int) []*replica {
	t.Helper()
	g := crdt.Genesis{Members: make(map[commit.Author]commit.Role)}
	for i := range n {
		g.Members[commit.AuthorOf(key(byte(i+1)))] = commit.Write
	}
	first, head, err := crdt.Create(key(1), g)
	if err != nil {
		t.Fatal(err)
	}
	replicas := make([]*replica, n)
	for i := range replicas {
		replicas[i] = join(t, key(byte(i+1)), head.ID)
		replicas[i].receive([]block.Block{first}, head)
	}
	return replicas
}

func join(t testing.TB, key ed25519.PrivateKey, id commit.ID) *replica {
	r := &replica{t: t, key: key, blocks: make(map[commit.ID]block.Block)}
	r.Doc = crdt.New(id, commit.AuthorOf(key), r)
	return r
}

func (r *replica) receive(blocks []block.Block, heads ...crdt.Head) crdt.Report {
	r.t.Helper()
	report, err := r.Apply(blocks, heads)
	if err != nil {
		r.t.Fatal(err)
	}
	r.keep(report.Applied...)
	return report
}

// edit makes a commit.
func (r *replica) edit(f func(*crdt.Tx)) crdt.Head {
	r.t.Helper()
	if err := r.Update(func(tx *crdt.Tx) error { f(tx); return nil }); err != nil {
		r.t.Fatal(err)
	}
	b, head, err := r.Seal(r.key, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	if b.Size() > 0 {
		r.keep(b)
	}
	return head
}

func (r *replica) heads() []crdt.Head {
	r.t.Helper()
	heads, err := r.Heads()
	if err != nil {
		r.t.Fatal(err)
	}
	return heads
}

// pull applies all that another replica has.
func (r *replica) pull(from *replica) crdt.Report {
	r.t.Helper()
	return r.receive(from.order, from.heads()...)
}

// sync makes all have the same, and checks it.
func sync(t testing.TB, replicas ...*replica) {
	t.Helper()
	for range 2 {
		for _, r := range replicas {
			for _, from := range replicas {
				for _, no := range r.pull(from).Rejected {
					if !errors.Is(no.Err, crdt.ErrBeforeHorizon) {
						t.Fatal(no.Err)
					}
				}
			}
		}
	}
	for _, r := range replicas[1:] {
		if !bytes.Equal(r.Dump(), replicas[0].Dump()) {
			t.Fatalf("replicas differ: %s and %s", show(t, replicas[0]), show(t, r))
		}
	}
}

func show(t testing.TB, r *replica) string {
	t.Helper()
	b, err := json.Marshal(r.View())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func want(t testing.TB, r *replica, json string) {
	t.Helper()
	if got := show(t, r); got != json {
		t.Errorf("got %s, want %s", got, json)
	}
}

// Each type, edited by two people who do not know of each other.
func TestConcurrentEdits(t *testing.T) {
	for _, c := range []struct {
		name             string
		before, ann, bob func(*crdt.Tx)
		want             string
	}{{
		name:   "text",
		before: func(tx *crdt.Tx) { tx.Text("t").Insert(0, "helo") },
		ann:    func(tx *crdt.Tx) { tx.Text("t").Insert(3, "l") },
		bob:    func(tx *crdt.Tx) { tx.Text("t").Insert(4, "!"); tx.Text("t").Delete(0, 1) },
		want:   `{"t":"ello!"}`,
	}, {
		name:   "list",
		before: func(tx *crdt.Tx) { tx.List("l").Insert(0, 1, 2, 3) },
		ann:    func(tx *crdt.Tx) { tx.List("l").Delete(1, 1) },
		bob:    func(tx *crdt.Tx) { tx.List("l").Insert(3, "four"); tx.List("l").Delete(1, 1) },
		want:   `{"l":[1,3,"four"]}`,
	}, {
		name:   "counter",
		before: func(tx *crdt.Tx) { tx.Counter("n").Add(10) },
		ann:    func(tx *crdt.Tx) { tx.Counter("n").Add(5) },
		bob:    func(tx *crdt.Tx) { tx.Counter("n").Add(-7); tx.Counter("n").Add(-1) },
		want:   `{"n":7}`,
	}, {
		name:   "a counter removed while it is counted",
		before: func(tx *crdt.Tx) { tx.GrowCounter("n").Add(10) },
		ann:    func(tx *crdt.Tx) { tx.Remove("n") },
		bob:    func(tx *crdt.Tx) { tx.GrowCounter("n").Add(7) },
		want:   `{"n":7}`,
	}, {
		name:   "register: the longer history wins",
		before: func(tx *crdt.Tx) { tx.Set("r", "old") },
		ann:    func(tx *crdt.Tx) { tx.Set("r", "ann") },
		bob:    func(tx *crdt.Tx) { tx.Set("r", "x"); tx.Set("r", nil) },
		want:   "", // either, but the same
	}, {
		name:   "register that keeps all",
		before: func(tx *crdt.Tx) { tx.MultiRegister("r").Set("old") },
		ann:    func(tx *crdt.Tx) { tx.MultiRegister("r").Set(1) },
		bob:    func(tx *crdt.Tx) { tx.MultiRegister("r").Set(1) },
		want:   `{"r":[1,1]}`,
	}, {
		name:   "set: who adds wins",
		before: func(tx *crdt.Tx) { tx.Members("s").Add("x"); tx.Members("s").Add("y") },
		ann:    func(tx *crdt.Tx) { tx.Members("s").Remove("x"); tx.Members("s").Remove("y") },
		bob:    func(tx *crdt.Tx) { tx.Members("s").Add("x") },
		want:   `{"s":["x"]}`,
	}, {
		name: "map: what is changed while it is removed stays, and nothing else",
		before: func(tx *crdt.Tx) {
			m := tx.Map("m")
			m.Make()
			m.Set("a", 1)
			m.Map("deep").Text("t").Insert(0, "old")
		},
		ann:  func(tx *crdt.Tx) { tx.Remove("m") },
		bob:  func(tx *crdt.Tx) { tx.Map("m").Map("deep").Text("t").Insert(3, " new") },
		want: `{"m":{"deep":{"t":" new"}}}`,
	}, {
		name:   "an empty map that somebody wants",
		before: func(tx *crdt.Tx) { tx.Map("m").Make() },
		ann:    func(tx *crdt.Tx) { tx.Remove("m") },
		bob:    func(tx *crdt.Tx) { tx.Map("m").Make() },
		want:   `{"m":{}}`,
	}, {
		name:   "different kinds under one key",
		before: func(tx *crdt.Tx) {},
		ann:    func(tx *crdt.Tx) { tx.Set("k", 1) },
		bob:    func(tx *crdt.Tx) { tx.Text("k").Insert(0, "text") },
		want:   `{"k":"text"}`,
	}} {
		t.Run(c.name, func(t *testing.T) {
			r := group(t, 2)
			r[0].edit(c.before)
			sync(t, r...)
			r[0].edit(c.ann)
			r[1].edit(c.bob)
			sync(t, r...)
			if c.want != "" {
				want(t, r[0], c.want)
			}
			r[0].edit(func(tx *crdt.Tx) { tx.Remove(firstKey(r[0])) })
			sync(t, r...)
			if strings.Count(c.name, "kinds") == 0 {
				want(t, r[1], `{}`)
			}
		})
	}
}

func firstKey(r *replica) string {
	for k := range r.View() {
		return k
	}
	return ""
}

// Within one Tx, later edits see earlier ones, and removed things can be made again.
func TestOneTx(t *testing.T) {
	r := group(t, 2)
	r[0].edit(func(tx *crdt.Tx) {
		m := tx.Map("m")
		m.Text("t").Insert(0, "abc")
		m.Text("t").Delete(1, 1)
		tx.Remove("m")
		m.Text("t").Insert(0, "new")
		m.Set("k", true)
		m.Remove("k")
		m.Set("k", false)
	})
	sync(t, r...)
	want(t, r[0], `{"m":{"k":false,"t":"new"}}`)
	want(t, r[1], `{"m":{"k":false,"t":"new"}}`)
}

func TestUpdateFails(t *testing.T) {
	r := group(t, 1)[0]
	r.edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "abc") })
	stop := errors.New("stop")
	for name, c := range map[string]struct {
		f    func(*crdt.Tx) error
		want error
	}{
		"beyond the end":    {func(tx *crdt.Tx) error { tx.Text("t").Insert(4, "x"); return nil }, crdt.ErrPosition},
		"before the start":  {func(tx *crdt.Tx) error { tx.Text("t").Insert(-1, "x"); return nil }, crdt.ErrPosition},
		"delete too much":   {func(tx *crdt.Tx) error { tx.Text("t").Delete(1, 3); return nil }, crdt.ErrPosition},
		"not UTF-8":         {func(tx *crdt.Tx) error { tx.Text("t").Insert(0, "\xff"); return nil }, commit.ErrMalformed},
		"a long key":        {func(tx *crdt.Tx) error { tx.Set(strings.Repeat("k", 5000), 1); return nil }, commit.ErrLimit},
		"no such value":     {func(tx *crdt.Tx) error { tx.Set("k", struct{}{}); return nil }, commit.ErrMalformed},
		"a counter shrinks": {func(tx *crdt.Tx) error { tx.GrowCounter("k").Add(-1); return nil }, commit.ErrMalformed},
		"too large":         {func(tx *crdt.Tx) error { tx.Set("k", strings.Repeat("x", 300_000)); return nil }, crdt.ErrFull},
		"the caller's own":  {func(tx *crdt.Tx) error { tx.Set("k", 1); return stop }, stop},
	} {
		if err := r.Update(c.f); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	want(t, r, `{"t":"abc"}`)
	if b, _, err := r.Seal(r.key, 0); err != nil || b.Size() != 0 {
		t.Errorf("sealed %v (%v), want nothing", b, err)
	}
}

func TestPositionsInOtherUnits(t *testing.T) {
	r := group(t, 1)[0]
	r.edit(func(tx *crdt.Tx) { tx.Map("m").Text("t").Insert(0, "né🙂!") })
	if got := r.Convert(3, rope.Runes, rope.UTF16, "m", "t"); got != 4 {
		t.Errorf("got %d, want 4", got)
	}
	if got := r.Convert(3, rope.Runes, rope.UTF16, "nothing"); got != 0 {
		t.Errorf("where there is no text: got %d", got)
	}
}

func TestCursor(t *testing.T) {
	r := group(t, 2)
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "hello") })
	sync(t, r...)
	c, err := r[0].Cursor(commit.Text, 4, false, "t")
	if err != nil {
		t.Fatal(err)
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, ">> ") })
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Delete(1, 2) })
	sync(t, r...)
	for _, r := range r {
		if pos, err := r.Find(c); err != nil || pos != 5 {
			t.Errorf("in %s: got %d (%v), want 5", show(t, r), pos, err)
		}
	}
	c.Heads = []commit.ID{{1}}
	if _, err := r[0].Find(c); !errors.Is(err, crdt.ErrMissing) {
		t.Errorf("a cursor of unknown heads: got %v", err)
	}
}

// Who applies blocks in any order, and more than once, ends with the same.
func TestOrderDoesNotMatter(t *testing.T) {
	r := group(t, 2)
	for i := range 20 {
		r[i%2].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, fmt.Sprint(i)) })
		if i%5 == 0 {
			r[1].pull(r[0])
		}
	}
	sync(t, r...)
	late := join(t, key(9), r[0].ID())
	blocks := slices.Clone(r[0].order)
	slices.Reverse(blocks)
	for i, b := range blocks {
		if report := late.receive([]block.Block{b, b}); len(report.Applied) > 0 || len(report.Missing) == 0 && i+1 < len(blocks) {
			t.Fatalf("block %d: applied %d, %d missing", i, len(report.Applied), len(report.Missing))
		}
	}
	late.receive(nil, r[0].heads()...)
	if !bytes.Equal(late.Dump(), r[0].Dump()) {
		t.Errorf("got %s, want %s", show(t, late), show(t, r[0]))
	}
}

// Somebody whose commits do not follow each other can make many heads. Others can edit all
// the same.
func TestManyHeads(t *testing.T) {
	r := group(t, 2)
	for i := range 3 * commit.ParentsMax {
		other := join(t, key(2), r[0].ID())
		other.receive(r[0].order[:1], r[0].genesis(t))
		other.edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "x"); tx.Set("k", i) })
		r[0].pull(other)
	}
	if n := len(r[0].heads()); n != 3*commit.ParentsMax {
		t.Fatalf("%d heads", n)
	}
	edit := func(tx *crdt.Tx) error { tx.Text("t").Insert(commit.ParentsMax, "y"); return nil }
	if err := r[0].Update(edit); !errors.Is(err, crdt.ErrHeads) {
		t.Fatalf("edit: got %v", err)
	}
	for {
		b, _, err := r[0].Merge(r[0].key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if b.Size() == 0 {
			break
		}
		r[0].keep(b)
	}
	r[0].edit(func(tx *crdt.Tx) { _ = edit(tx) })
	r[1].pull(r[0])
	if !bytes.Equal(r[1].Dump(), r[0].Dump()) || len(r[1].heads()) != 1 {
		t.Errorf("%d heads: %s and %s", len(r[1].heads()), show(t, r[0]), show(t, r[1]))
	}
}

// genesis is the signed name of the document.
func (r *replica) genesis(t *testing.T) crdt.Head {
	t.Helper()
	return crdt.Head{ID: r.ID(), Signature: commit.Sign(key(1), r.ID(), r.ID())}
}

func TestTextBefore(t *testing.T) {
	r := group(t, 1)[0]
	for _, want := range []string{"", "ab", "abab"} {
		r.edit(func(tx *crdt.Tx) {
			text := tx.Map("m").Text("t")
			text.Insert(0, "ab")
			if got := text.Before(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
