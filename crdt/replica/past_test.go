package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/archive"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// A version of the past, what has changed since, and its undoing.
func ExampleDoc_Undo() {
	ctx := context.Background()
	r, err := replica.Open(ctx, replica.Options{Store: memory(), Key: keyOf(1)})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	d, err := r.Create(ctx, "notes")
	if err != nil {
		panic(err)
	}
	write := func(text string) commit.ID {
		id, err := d.Update(ctx, func(tx *crdt.Tx) error { tx.Text("body").Insert(0, text); return nil })
		if err != nil {
			panic(err)
		}
		return id
	}
	first := write("world")
	write("hello ")
	past, err := d.At(ctx, first)
	if err != nil {
		panic(err)
	}
	fmt.Println(past.View())
	changes, err := d.Diff(ctx, first)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(changes), changes[0].Path)
	if _, err := d.Undo(ctx); err != nil {
		panic(err)
	}
	fmt.Println(d.View(ctx))
	if _, err := d.Redo(ctx); err != nil {
		panic(err)
	}
	fmt.Println(d.View(ctx))
	for e, err := range d.History(ctx, first) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.Gen, len(e.Deltas))
	}
	// Output:
	// map[body:world]
	// 1 [body]
	// map[body:world] <nil>
	// map[body:hello world] <nil>
	// 3 1
	// 4 1
	// 5 1
}

// What is exported can be imported by whoever gets it, with all history.
func ExampleReplica_Import() {
	ctx := context.Background()
	a, err := replica.Open(ctx, replica.Options{Store: memory(), Key: keyOf(1)})
	if err != nil {
		panic(err)
	}
	defer a.Close()
	b, err := replica.Open(ctx, replica.Options{Store: memory(), Key: keyOf(2)})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	notes, err := a.Create(ctx, "notes")
	if err != nil {
		panic(err)
	}
	if _, err := notes.Update(ctx, func(tx *crdt.Tx) error { tx.Set("title", "hi"); return nil }); err != nil {
		panic(err)
	}
	var file bytes.Buffer
	if err := notes.Export(ctx, &file); err != nil {
		panic(err)
	}
	theirs, err := b.Import(ctx, &file, "theirs")
	if err != nil {
		panic(err)
	}
	fmt.Println(theirs.View(ctx))
	// Output: map[title:hi] <nil>
}

// A copy is a document of its own, which begins with what there was, for its author alone.
func TestFork(t *testing.T) {
	inLab(t, func(l *lab) {
		store := memory()
		a := l.person(1, replica.Options{Store: store})
		d := a.create("notes", writer(2))
		before := edit(t, d, set("k", 1))
		edit(t, d, set("k", 2))
		now, err := d.Fork(l.ctx, "now")
		if err != nil {
			t.Fatal(err)
		}
		then, err := d.Fork(l.ctx, "then", before)
		if err != nil {
			t.Fatal(err)
		}
		edit(t, now, set("k", 3))
		check := func(d *replica.Doc, k int64) {
			t.Helper()
			if v := view(t, d); !reflect.DeepEqual(v, map[string]any{"k": k}) {
				t.Errorf("it is %v, and not %d", v, k)
			}
		}
		for range 2 {
			check(d, 2)
			check(now, 3)
			check(then, 1)
			from, of, ok, err := then.From(l.ctx)
			if err != nil || !ok || from != d.ID() || !slices.Equal(of, []commit.ID{before}) {
				t.Errorf("it is from %v, %v, %v, %v", from, of, ok, err)
			}
			if role, err := then.Role(l.ctx, authorOf(2)); err != nil || role != commit.None {
				t.Errorf("a role was copied: %v, %v", role, err)
			}
			a = l.reopen(a, 1)
			d, now, then = a.open("notes"), a.open("now"), a.open("then")
		}
		if _, err := d.Fork(l.ctx, "now"); !errors.Is(err, replica.ErrName) {
			t.Errorf("a name that is taken: %v", err)
		}
		if _, err := d.Fork(l.ctx, "other", commit.ID{1}); !errors.Is(err, crdt.ErrMissing) {
			t.Errorf("an unknown version: %v", err)
		}
		if _, _, ok, err := d.From(l.ctx); ok || err != nil {
			t.Errorf("it is no copy: %v, %v", ok, err)
		}
	})
}

func TestUndoNothing(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{})
		d := a.create("notes")
		if _, err := d.Undo(l.ctx); !errors.Is(err, crdt.ErrMissing) {
			t.Errorf("got %v", err)
		}
		edit(t, d, set("k", 1))
		id, err := d.Undo(l.ctx)
		if err != nil || !reflect.DeepEqual(view(t, d), map[string]any{}) {
			t.Errorf("got %v, %v", view(t, d), err)
		}
		if h := heads(t, d); len(h) != 1 || h[0] != id {
			t.Errorf("the undo is %v, the heads are %v", id, h)
		}
		if _, err := d.At(l.ctx, commit.ID{1}); !errors.Is(err, crdt.ErrMissing) {
			t.Errorf("unknown head: got %v", err)
		}
	})
}

// Wherever an archive is cut, it is refused, and nothing of it is here then.
func TestImportRefuses(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		d := a.create("notes", writer(2))
		edit(t, d, set("k", 1))
		edit(t, d, func(tx *crdt.Tx) { tx.Text("body").Insert(0, "text") })
		var file bytes.Buffer
		if err := d.Export(l.ctx, &file); err != nil {
			t.Fatal(err)
		}
		for n := range file.Len() {
			_, err := b.Import(l.ctx, bytes.NewReader(file.Bytes()[:n]), "copy")
			if !errors.Is(err, archive.ErrMalformed) && !errors.Is(err, archive.ErrIncomplete) {
				t.Fatalf("%d of %d bytes: got %v", n, file.Len(), err)
			}
		}
		if len(b.Docs()) > 0 {
			t.Fatal("a document is here of an archive that was refused")
		}
		c, err := b.Import(l.ctx, bytes.NewReader(file.Bytes()), "copy")
		if err != nil {
			t.Fatal(err)
		}
		edit(t, c, set("k", 2))
		edit(t, d, set("other", 3))
		b.create("mine")
		for _, name := range []string{"mine", "third"} {
			if _, err := b.Import(l.ctx, bytes.NewReader(file.Bytes()), name); !errors.Is(err, replica.ErrName) {
				t.Errorf("as %q: got %v", name, err)
			}
		}
		file.Reset()
		if err := d.Export(l.ctx, &file); err != nil {
			t.Fatal(err)
		}
		if again, err := b.Import(l.ctx, &file, ""); err != nil || again != c {
			t.Fatal(err)
		}
		if got := view(t, c); !reflect.DeepEqual(got, map[string]any{"k": int64(2), "other": int64(3), "body": "text"}) {
			t.Errorf("got %v", got)
		}
	})
}
