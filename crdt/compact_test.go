package crdt_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// retire names a horizon.
func (r *replica) retire() crdt.Head {
	r.t.Helper()
	blocks, head, err := r.Retire(r.key, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.keep(blocks...)
	return head
}

// compact forgets what is before the horizon.
func (r *replica) compact() int {
	r.t.Helper()
	gone, err := r.Compact()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, id := range gone {
		delete(r.blocks, id)
	}
	r.order = slices.DeleteFunc(r.order, func(b block.Block) bool {
		id, _ := commit.IDOf(b.Cid())
		return slices.Contains(gone, id)
	})
	return len(gone)
}

// begun is a replica that has got nothing but the base of another one, and what follows that.
func begun(t testing.TB, k byte, from *replica) *replica {
	t.Helper()
	base, err := from.Base()
	if err != nil {
		t.Fatal(err)
	}
	r := join(t, key(k), from.ID())
	if r.Doc, err = crdt.Begin(from.ID(), base, author(k), r); err != nil {
		t.Fatal(err)
	}
	if r.Proven() {
		t.Fatal("a base is proven by nothing")
	}
	r.pull(from)
	if !r.Proven() {
		t.Fatal("the base is not proven by what follows")
	}
	return r
}

func equal(t testing.TB, replicas ...*replica) {
	t.Helper()
	for _, r := range replicas[1:] {
		if !reflect.DeepEqual(r.View(), replicas[0].View()) || !bytes.Equal(r.Dump(), replicas[0].Dump()) {
			t.Fatalf("they differ: %s and %s", show(t, r), show(t, replicas[0]))
		}
	}
}

func TestCompact(t *testing.T) {
	r := group(t, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		x := r[rng.IntN(3)]
		x.edit(func(tx *crdt.Tx) {
			scribble(rng, x, tx, 'a')
			tx.Counter("n").Add(1)
			tx.Map("m").Set(fmt.Sprint(i%5), i)
			tx.MultiRegister("r").Set(int(x.key[0]))
			tx.Members("s").Add(i % 7)
			tx.List("l").Insert(0, i)
		})
		x.pull(r[rng.IntN(3)])
	}
	sync(t, r...)
	r[0].retire()
	sync(t, r...)
	if _, ok := r[0].Horizon(); ok || r[0].compact() > 0 {
		t.Fatal("a horizon is in effect before the others have seen it")
	}
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "one") })
	r[2].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "two") })
	sync(t, r...)
	if _, ok := r[0].Horizon(); ok {
		t.Fatal("a horizon without a witness is in effect")
	}
	r[2].edit(func(tx *crdt.Tx) { tx.Counter("n").Add(1) })
	sync(t, r...)
	equal(t, r...)
	base, err := r[0].Base()
	if err != nil {
		t.Fatal(err)
	}
	if r[0].compact() < 60 {
		t.Fatal("nothing was forgotten")
	}
	if again, err := r[0].Base(); err != nil || !reflect.DeepEqual(base, again) {
		t.Fatal("another base after compaction", err)
	}
	late := begun(t, 9, r[0])
	equal(t, r[0], r[1], late)
	for round := range 3 {
		for range 40 {
			x := r[rng.IntN(3)]
			x.edit(func(tx *crdt.Tx) {
				scribble(rng, x, tx, 'A')
				tx.Counter("n").Add(1)
				tx.List("l").Insert(rng.IntN(3), 7)
				tx.MultiRegister("r").Set(int(x.key[0]))
				if rng.IntN(4) == 0 {
					tx.Remove("m")
					tx.Members("s").Remove(rng.IntN(7))
				}
			})
			x.pull(r[rng.IntN(3)])
		}
		sync(t, r...)
		late.pull(r[1])
		equal(t, append(slices.Clone(r), late)...)
		again := restored(t, r[0])
		equal(t, again, r[0])
		if !bytes.Equal(snapshot(t, again), snapshot(t, r[0])) || !bytes.Equal(snapshot(t, late), snapshot(t, r[0])) {
			t.Fatalf("round %d: other snapshots", round)
		}
		r[0] = again
		if err := r[0].Undo(); err != nil {
			t.Fatal(err)
		}
		b, head, err := r[0].Seal(r[0].key, 0)
		if err != nil {
			t.Fatal(err)
		}
		r[0].keep(b)
		r[1].receive([]block.Block{b}, head)
	}
	// Once more, from a compacted document.
	sync(t, r...)
	head := r[0].retire()
	for range 2 {
		sync(t, r...)
		for _, x := range r {
			x.edit(func(tx *crdt.Tx) { tx.Counter("n").Add(1) })
		}
	}
	sync(t, r...)
	r[1].edit(func(tx *crdt.Tx) { tx.Counter("n").Add(1) })
	sync(t, r...)
	one, err := r[0].Base()
	if err != nil {
		t.Fatal(err)
	}
	two, err := r[1].Base()
	if err != nil || !reflect.DeepEqual(one, two) || bytes.Equal(one.Bytes, base.Bytes) {
		t.Fatal("another base where all the history is", err)
	}
	if !r[0].Has(head.ID) || r[0].compact() == 0 || r[1].compact() == 0 {
		t.Fatal("nothing was forgotten")
	}
	equal(t, r...)
	if !bytes.Equal(snapshot(t, r[0]), snapshot(t, r[1])) {
		t.Fatal("other snapshots after compaction")
	}
}

// What is before the horizon is not to be had any more.
func TestBeforeHorizon(t *testing.T) {
	r := group(t, 1)
	first := r[0].blocks[r[0].ID()]
	old := r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "old") })
	r[0].retire()
	if r[0].compact() != 2 {
		t.Fatal("not all was forgotten")
	}
	want(t, r[0], `{"t":"old"}`)
	if _, err := r[0].At(); !errors.Is(err, crdt.ErrBeforeHorizon) {
		t.Error("At nothing:", err)
	}
	if _, err := r[0].Diff(r[0].ID()); !errors.Is(err, crdt.ErrBeforeHorizon) {
		t.Error("Diff:", err)
	}
	for _, err := range r[0].Log(r[0].ID()) {
		if !errors.Is(err, crdt.ErrBeforeHorizon) {
			t.Error("Log:", err)
		}
	}
	if err := r[0].Undo(); !errors.Is(err, crdt.ErrBeforeHorizon) {
		t.Error("Undo:", err)
	}
	if past, err := r[0].At(old.ID); err != nil || past.View()["t"] != "old" {
		t.Error("At the horizon:", err)
	}
	n := 0
	for _, err := range r[0].Log() {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 1 || r[0].Len() != 1 {
		t.Errorf("%d commits in the log, %d here", n, r[0].Len())
	}
	report := r[0].receive([]block.Block{first})
	if len(report.Rejected) != 1 || !errors.Is(report.Rejected[0].Err, crdt.ErrBeforeHorizon) {
		t.Errorf("the first commit: %v", report.Rejected)
	}
}

// What a writer who was removed sends too late is no part of the document, nor what was built on it
// where the horizon was not known yet; and it is the same where all the history is.
func TestOutside(t *testing.T) {
	r := group(t, 4)
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "base") })
	sync(t, r...)
	late := r[2].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "late") })
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(3), commit.None) })
	r[1].pull(r[0])
	r[0].retire()
	r[1].pull(r[0])
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(4, " one") })
	r[3].pull(r[0])
	r[3].edit(func(tx *crdt.Tx) { tx.Set("k", 1) })
	r[0].pull(r[1])
	r[0].pull(r[3])
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(8, " two") })
	if _, ok := r[0].Horizon(); !ok {
		t.Fatal("no horizon")
	}
	// Bob has not seen the witness, and what is late comes to him.
	r[1].receive(r[2].order, late)
	lost := r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "lost") })
	old := join(t, key(8), r[0].ID()) // who reads
	old.pull(r[1])
	report := r[1].pull(r[0])
	if len(report.Outside) != 2 || !slices.Contains(report.Outside, late.ID) || !slices.Contains(report.Outside, lost.ID) {
		t.Fatalf("outside: %v", report.Outside)
	}
	r[0].compact()
	for _, x := range []*replica{r[0], r[1]} {
		report := x.receive(r[2].order, late)
		report.Rejected = append(report.Rejected, x.pull(old).Rejected...)
		if len(report.Rejected) == 0 || len(report.Applied) > 0 {
			t.Fatalf("applied %d, rejected %v", len(report.Applied), report.Rejected)
		}
		for _, no := range report.Rejected {
			if !errors.Is(no.Err, crdt.ErrBeforeHorizon) {
				t.Error(no.Err)
			}
		}
		want(t, x, `{"k":1,"t":"base one two"}`)
	}
	old.pull(r[0])
	equal(t, r[0], r[1], old)
	if x := begun(t, 9, r[0]); x.Has(late.ID) {
		t.Error("it is there for who begins with the base")
	}
	equal(t, r[0], begun(t, 9, r[1]))
}

// A horizon with a wrong digest, or by somebody who was made a manager later, has no effect.
func TestHorizonIsVerified(t *testing.T) {
	r := group(t, 1)
	at := r[0].edit(func(tx *crdt.Tx) { tx.Set("k", 1); tx.Grant(author(2), commit.Manage) })
	horizon := func(by byte, digest commit.Digest) {
		t.Helper()
		signature := commit.SignBase(key(by), r[0].ID(), at.ID, digest)
		var w commit.Writer
		w.Add(commit.Op{Code: commit.OpHorizon, Object: -1, Data: slices.Concat(at.ID[:], digest[:], signature[:])})
		head := r[0].heads()[0]
		c, _, err := commit.Decode(r[0].blocks[head.ID])
		if err != nil {
			t.Fatal(err)
		}
		p := commit.Parent{ID: head.ID}
		if c.Author != author(by) {
			p.Signature = head.Signature
		}
		forged := commit.Commit{Gen: c.Gen + 1, Author: author(by), Parents: []commit.Parent{p}, Ops: w.Bytes()}
		b, head := forge(t, r[0].ID(), key(by), forged)
		if report := r[0].receive([]block.Block{b}, head); len(report.Applied) != 1 {
			t.Fatal(report.Rejected)
		}
	}
	horizon(1, commit.Digest{})
	r[0].edit(func(tx *crdt.Tx) { tx.Set("k", 2); tx.Grant(author(2), commit.Manage) })
	if _, ok := r[0].Horizon(); ok {
		t.Error("a horizon is in effect of which a manager has not committed")
	}
	horizon(2, commit.Digest{})
	if _, ok := r[0].Horizon(); ok || !slices.Equal(r[0].Wrong(), []commit.ID{at.ID}) || r[0].compact() > 0 {
		t.Errorf("a wrong horizon is in effect; wrong: %v", r[0].Wrong())
	}
	two := join(t, key(2), r[0].ID())
	two.pull(r[0])
	if _, _, err := two.Retire(two.key, 0); !errors.Is(err, crdt.ErrRole) {
		t.Error("a later manager names a horizon:", err)
	}
}

// A base that was changed, or is of another document, is refused, or not proven.
func TestBeginRefuses(t *testing.T) {
	r := group(t, 1)
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "text") })
	r[0].retire()
	base, err := r[0].Base()
	if err != nil {
		t.Fatal(err)
	}
	other := group(t, 2)
	data := base.Encode()
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		b, err := crdt.DecodeBase(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := crdt.Begin(r[0].ID(), b, author(2), r[0]); !errors.Is(err, crdt.ErrSnapshot) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	if _, err := crdt.DecodeBase(data[:100]); !errors.Is(err, crdt.ErrSnapshot) {
		t.Error("cut short:", err)
	}
	if b, err := crdt.DecodeBase(data); err != nil || !reflect.DeepEqual(b, base) {
		t.Error("decoded:", err)
	}
	if _, err := crdt.Begin(other[0].ID(), base, author(2), r[0]); !errors.Is(err, crdt.ErrSnapshot) {
		t.Error("of another document:", err)
	}
	digest := commit.Digest(sha256.Sum256(base.Bytes))
	stranger := base
	stranger.Author, stranger.Signature = author(2), *commit.SignBase(key(2), r[0].ID(), base.At, digest)
	if _, err := crdt.Begin(r[0].ID(), stranger, author(2), r[0]); !errors.Is(err, crdt.ErrSnapshot) {
		t.Error("by a stranger:", err)
	}
	whole := base
	whole.Bytes = snapshot(t, r[0])
	whole.Signature = *commit.SignBase(key(1), r[0].ID(), base.At, sha256.Sum256(whole.Bytes))
	if _, err := crdt.Begin(r[0].ID(), whole, author(2), r[0]); !errors.Is(err, crdt.ErrSnapshot) {
		t.Error("a snapshot that is no base:", err)
	}
}

// Who has forgotten the history tells others what is here as before: of what both have, nothing is
// sent twice but what came after the landmarks.
func TestLandmarksAfterHorizon(t *testing.T) {
	r := group(t, 2)
	r[0].edit(func(tx *crdt.Tx) { tx.Set("k", 1) })
	r[0].retire()
	sync(t, r...)
	r[1].edit(func(tx *crdt.Tx) { tx.Set("k", 2) })
	sync(t, r...)
	if r[0].compact() == 0 {
		t.Fatal("nothing was forgotten")
	}
	for i := range 20 {
		r[i%2].edit(func(tx *crdt.Tx) { tx.Set("k", i) })
		sync(t, r...)
	}
	at, _ := r[0].Horizon()
	for _, x := range r {
		marks := x.Landmarks(100)
		if marks[0] != at || !slices.Contains(marks, x.heads()[0].ID) || x.Landmarks(1)[0] != at {
			t.Errorf("landmarks: %v", marks)
		}
		if got := x.Without(nil, 9); !slices.Equal(got, idsOf(x)) {
			t.Errorf("without nothing: %v", got)
		}
		gens := 0
		for range x.Gens() {
			gens++
		}
		if gens != x.Recent() || gens != 22 { // who named it, who saw that, and what came then
			t.Errorf("%d commits follow the horizon, %d", gens, x.Recent())
		}
	}
	if got := r[0].Since(idsOf(r[0]), r[1].Landmarks(100)); len(got) > 0 {
		t.Errorf("%d commits are missing where none is", len(got))
	}
	if got := r[0].Since(idsOf(r[0]), nil); len(got) != r[0].Len() {
		t.Errorf("%d commits of %d", len(got), r[0].Len())
	}
}

// Pending tells who has to commit, and Agree does, where that is of use.
func TestAgree(t *testing.T) {
	r := group(t, 3)
	agree := func(x *replica) bool {
		t.Helper()
		b, head, err := x.Agree(x.key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if b.Size() == 0 {
			return false
		}
		x.keep(b)
		if !x.Has(head.ID) {
			t.Fatal("the commit is not here")
		}
		return true
	}
	if _, _, ok := r[0].Pending(); ok || agree(r[0]) {
		t.Error("a horizon is pending that nobody has named")
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Set("k", 1) })
	head := r[0].retire()
	sync(t, r...)
	id, awaited, ok := r[0].Pending()
	if !ok || !r[0].Has(id) || id == head.ID || len(awaited) != 2 || !slices.Contains(awaited, author(2)) || !slices.Contains(awaited, author(3)) {
		t.Errorf("pending: %v %v %v", id, awaited, ok)
	}
	if agree(r[0]) {
		t.Error("who is not awaited agrees")
	}
	if !agree(r[1]) || agree(r[1]) || !agree(r[2]) {
		t.Error("who is awaited does not agree, or twice")
	}
	sync(t, r...)
	if _, awaited, ok := r[0].Pending(); !ok || len(awaited) > 0 {
		t.Errorf("all have agreed, and %v are awaited", awaited)
	}
	if !agree(r[0]) {
		t.Error("nobody brings it into effect")
	}
	sync(t, r...)
	for _, x := range r {
		if _, _, ok := x.Pending(); ok || agree(x) || x.compact() == 0 {
			t.Error("it is pending, and in effect")
		}
	}
	equal(t, r...)
}
