package replica_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

func compact(t *testing.T, d *replica.Doc) replica.Compaction {
	t.Helper()
	c, err := d.Compact(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func length(t *testing.T, d *replica.Doc) int {
	t.Helper()
	n, err := d.Len(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	logged := 0
	for _, err := range d.Log(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		logged++
	}
	if logged != n {
		t.Errorf("%d commits, %d are logged", n, logged)
	}
	return n
}

// reopen opens the store of somebody anew.
func (l *lab) reopen(p *person, n byte) *person {
	l.t.Helper()
	p.stop()
	p.host.Close()
	return l.person(n, replica.Options{Store: p.store})
}

// The history is forgotten once all who write have agreed, and stays so; who comes late, or comes
// back, and finds nobody who has it begins with what is left of it.
func TestCompact(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		away := l.person(3, replica.Options{})
		l.connect(a, b, away)
		da := a.create("notes", writer(2))
		db, dAway := b.open(da.ID().String()), away.open(da.ID().String())
		both := func(n int) {
			for i := range n {
				edit(t, da, set(fmt.Sprint(i%7), i))
				edit(t, db, func(tx *crdt.Tx) { tx.Text("t").Insert(0, "some text ") })
			}
			within(t, time.Minute, da, db)
		}
		turns := func(n int) { // nobody edits without having seen all
			for i := range n {
				edit(t, da, set(fmt.Sprint(i%7), i))
				within(t, time.Minute, da, db)
				edit(t, db, func(tx *crdt.Tx) { tx.Text("t").Insert(0, "some text ") })
				within(t, time.Minute, da, db)
			}
		}
		turns(3)
		if c := compact(t, da); !reflect.DeepEqual(c, replica.Compaction{}) {
			t.Errorf("a short history: %+v", c)
		}
		turns(20)
		within(t, time.Minute, da, dAway)
		l.disconnect(a, away)
		l.disconnect(b, away)
		turns(20)
		keys := left(t, a.store)
		c := compact(t, da)
		if c.Forgotten > 0 || c.Pending == (commit.ID{}) || !slices.Equal(c.Awaited, []commit.Author{authorOf(2)}) {
			t.Errorf("before all have agreed: %+v", c)
		}
		within(t, time.Minute, da, db)
		if c := compact(t, db); c.Forgotten < 80 || c.Pending != (commit.ID{}) || c.Horizon == (commit.ID{}) || length(t, db) > 4 {
			t.Errorf("who agrees: %+v, and %d are left", c, length(t, db))
		}
		within(t, time.Minute, da, db)
		turns(5) // of whom one has the history, and the other has not
		if c := compact(t, da); c.Forgotten < 80 || length(t, da) < 10 || length(t, da) > 16 {
			t.Errorf("who named it: %+v, and %d are left", c, length(t, da))
		}
		if n := left(t, a.store); n > keys/2 {
			t.Errorf("%d keys are left of %d", n, keys)
		}
		if c = compact(t, da); c.Forgotten > 0 || c.Horizon == (commit.ID{}) {
			t.Errorf("once more: %+v", c)
		}
		if _, err := da.At(l.ctx, da.ID()); !errors.Is(err, crdt.ErrBeforeHorizon) {
			t.Errorf("what was before: %v", err)
		}
		before := view(t, da)
		a = l.reopen(a, 1)
		if da = a.open("notes"); !reflect.DeepEqual(view(t, da), before) || length(t, da) > 16 {
			t.Error("it is another after a restart")
		}
		l.connect(a, b, away)
		within(t, time.Minute, da, db, dAway)
		if n := length(t, dAway); n != length(t, da) {
			t.Errorf("who comes back has %d commits, others %d", n, length(t, da))
		}
		late := l.person(4, replica.Options{})
		l.connect(a, late)
		dLate := late.open(da.ID().String())
		both(30)
		within(t, time.Minute, da, dLate, dAway)
		for i, p := range []*person{late, away} {
			again := l.reopen(p, byte(4-i))
			if d := again.open(da.ID().String()); !reflect.DeepEqual(view(t, d), view(t, da)) || length(t, d) != length(t, da) {
				t.Errorf("person %d has another after a restart", 4-i)
			}
		}
		within(t, time.Minute, da, db)
		turns(40)
		if c := compact(t, da); c.Pending == (commit.ID{}) {
			t.Errorf("a second horizon: %+v", c)
		}
		edit(t, db, set("meanwhile", true)) // without knowing of it
		within(t, time.Minute, da, db)
		var n, m replica.Compaction
		first, forgotten := c.Horizon, 0
		for range 2 {
			n = compact(t, da)
			forgotten += n.Forgotten
			within(t, time.Minute, da, db)
			m = compact(t, db)
			within(t, time.Minute, da, db)
		}
		if m.Horizon != n.Horizon || n.Horizon == first || forgotten < 60 || length(t, da) != length(t, db) {
			t.Errorf("a second time: %+v, %+v, %d forgotten", n, m, forgotten)
		}
		for _, p := range []*person{a, b, away, late} {
			if list := p.judge.take(); len(list) > 0 {
				t.Errorf("somebody was blamed for %q", list)
			}
		}
	})
}

// What somebody who was removed commits meanwhile is outside of the horizon, for whoever has it
// already too, and is removed from disk with what is before.
func TestCompactOutside(t *testing.T) {
	inLab(t, func(l *lab) {
		a, reader, removed := l.person(1, replica.Options{}), l.person(2, replica.Options{}), l.person(3, replica.Options{})
		l.connect(a, reader, removed)
		da := a.create("notes", writer(3))
		db, dc := reader.open(da.ID().String()), removed.open(da.ID().String())
		for i := range 20 {
			edit(t, da, set("a", i))
		}
		within(t, time.Minute, da, db, dc)
		l.disconnect(a, reader, removed)
		for i := range 30 {
			edit(t, dc, set("b", i))
		}
		edit(t, da, func(tx *crdt.Tx) { tx.Grant(authorOf(3), commit.None) })
		l.connect(a, reader)
		within(t, time.Minute, da, db)
		l.disconnect(a, reader)
		l.connect(reader, removed)
		within(t, time.Minute, dc, db)
		l.disconnect(removed, reader)
		keys := left(t, reader.store)
		if c := compact(t, da); c.Forgotten != 22 {
			t.Fatalf("nobody is awaited: %+v", c)
		}
		l.connect(a, reader)
		within(t, time.Minute, da, db)
		if n := length(t, db); n != 23 { // one creates it, 20 edit, one removes, one names the horizon
			t.Errorf("%d commits", n)
		}
		reader = l.reopen(reader, 2)
		db = reader.open(da.ID().String())
		if n := length(t, db); n != 23 || !reflect.DeepEqual(view(t, da), view(t, db)) {
			t.Errorf("%d commits after a restart, %v", n, view(t, db))
		}
		if c := compact(t, db); c.Forgotten != 22 || length(t, db) != 1 || left(t, reader.store) > keys-60 {
			t.Errorf("%+v, %d keys of %d are left", c, left(t, reader.store), keys)
		}
		reader = l.reopen(reader, 2)
		l.connect(a, reader, removed)
		db = reader.open(da.ID().String())
		edit(t, da, set("a", "last"))
		within(t, time.Minute, da, db, dc)
		if n := length(t, dc); n != 24 {
			t.Errorf("who was removed has %d commits", n)
		}
	})
}

// Wherever the process dies while it forgets, the document is the same, and soon after the next start
// all that is to be forgotten is there, or nothing of it.
func TestCompactCrash(t *testing.T) {
	const size = 60 << 10
	whole, cut := 0, 0
	for writes := 0; ; writes++ {
		over := false
		inLab(t, func(l *lab) {
			store := memory()
			first := l.person(1, replica.Options{Store: store})
			d := first.create("notes")
			for i := range 100 { // there are marks, and the base has several parts
				edit(t, d, set(fmt.Sprint(i%10), strings.Repeat("x", size)))
			}
			before := view(t, d)
			first.stop()
			first.host.Close()

			dying := l.person(1, replica.Options{Store: &mortal{store, writes}})
			_, err := dying.open("notes").Compact(l.ctx)
			if over = err == nil; !over && !errors.Is(err, errDied) {
				t.Fatalf("after %d writes: %v", writes, err)
			}
			dying.stop()
			dying.host.Close()

			again := l.person(1, replica.Options{Store: store})
			d = again.open("notes")
			if !reflect.DeepEqual(view(t, d), before) {
				t.Errorf("after %d writes it is another", writes)
			}
			synctest.Wait()
			if n := length(t, d); n > 100 {
				whole++
			} else if cut++; n > 2 || left(t, store) > 24 {
				t.Errorf("after %d writes %d commits and %d keys are left", writes, n, left(t, store))
			}
			edit(t, d, set("after", true))
			if c := compact(t, d); !over && c.Forgotten == 0 && length(t, d) > 100 {
				t.Errorf("after %d writes nothing is forgotten any more: %+v", writes, c)
			}
		})
		if over {
			if whole < 3 || cut < 3 {
				t.Errorf("%d crashes before, and %d after it was cut", whole, cut)
			}
			return
		}
	}
}

// Wherever the process dies while it begins anew, the document is the one or the other, and becomes
// the same as everybody's.
func TestBeginCrash(t *testing.T) {
	for writes := 0; ; writes++ {
		over := false
		inLab(t, func(l *lab) {
			a := l.person(1, replica.Options{})
			da := a.create("notes")
			for i := range 100 {
				edit(t, da, set(fmt.Sprint(i%10), strings.Repeat("x", 60<<10)))
			}
			store := memory()
			b := l.person(2, replica.Options{Store: store})
			l.connect(a, b)
			db := b.open(da.ID().String())
			within(t, time.Minute, da, db)
			l.disconnect(a, b)
			b.stop()
			b.host.Close()
			edit(t, da, set("more", true))
			compact(t, da)
			edit(t, da, set("and more", noise(300<<9)))

			heir := &mortal{store, writes}
			dying := l.person(2, replica.Options{Store: heir})
			l.connect(a, dying)
			time.Sleep(time.Second)
			n := length(t, dying.open(da.ID().String()))
			dying.stop()
			dying.host.Close()
			over = heir.left > 0 && n < 10

			again := l.person(2, replica.Options{Store: store})
			db = again.open(da.ID().String())
			if n := length(t, db); n != 101 && n != length(t, da) {
				t.Errorf("after %d writes there are %d commits", writes, n)
			}
			l.connect(a, again)
			within(t, time.Minute, da, db)
			synctest.Wait()
			if n := left(t, store); n > 30 {
				t.Errorf("after %d writes %d keys are left", writes, n)
			}
		})
		if over {
			if writes < 6 {
				t.Errorf("it has begun anew with %d writes only", writes)
			}
			return
		}
	}
}

// What was exported after its history was forgotten is the same document elsewhere.
func TestCompactExport(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		da := a.create("notes", writer(2))
		for i := range 20 {
			edit(t, da, set("k", i))
		}
		var whole, cut bytes.Buffer
		if err := da.Export(l.ctx, &whole); err != nil {
			t.Fatal(err)
		}
		edit(t, da, set("k", "more"))
		compact(t, da)
		l.connect(a, b)
		db := b.open(da.ID().String())
		within(t, time.Minute, da, db)
		compact(t, db)
		within(t, time.Minute, da, db)
		if c := compact(t, da); c.Forgotten == 0 {
			t.Fatalf("%+v", c)
		}
		if err := da.Export(l.ctx, &cut); err != nil {
			t.Fatal(err)
		}
		data := cut.Bytes()
		c := l.person(3, replica.Options{})
		if _, err := c.Import(l.ctx, bytes.NewReader(data[:len(data)-9]), "cut"); err == nil {
			t.Error("half an archive is imported")
		}
		dc, err := c.Import(l.ctx, bytes.NewReader(data), "copy")
		if err != nil || !same(t, da, dc) {
			t.Fatal("imported:", err)
		}
		if again, err := c.Import(l.ctx, bytes.NewReader(data), "copy"); err != nil || again != dc {
			t.Error("once more:", err)
		}
		old := l.person(4, replica.Options{})
		dOld, err := old.Import(l.ctx, &whole, "old")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := old.Import(l.ctx, bytes.NewReader(data), ""); err != nil || !same(t, da, dOld) || length(t, dOld) != length(t, da) {
			t.Error("over an older one:", err)
		}
	})
}

// shelf is blocks in memory.
type shelf map[commit.ID]block.Block

func (s shelf) Block(id commit.ID) (block.Block, error) {
	b, ok := s[id]
	if !ok {
		return b, block.ErrNotFound
	}
	return b, nil
}

func (s shelf) keep(blocks ...block.Block) {
	for _, b := range blocks {
		id, _ := commit.IDOf(b.Cid())
		s[id] = b
	}
}

// retired is what follows a horizon on which both have agreed: the commit that names it, and the one
// that agrees; with the base, and the heads after each.
func retired(t *testing.T, doc commit.ID, blocks []block.Block, heads []crdt.Head) (base crdt.Base, tail []block.Block, after []crdt.Head) {
	t.Helper()
	all := make(shelf)
	all.keep(blocks...)
	one, two := crdt.New(doc, authorOf(1), all), crdt.New(doc, authorOf(2), all)
	b, head := made(t, 1, doc, blocks, heads, set("k", 1))
	all.keep(b)
	take := func(d *crdt.Doc, b []block.Block, h ...crdt.Head) {
		if report, err := d.Apply(b, h); err != nil || len(report.Rejected) > 0 {
			t.Fatal(report.Rejected, err)
		}
	}
	take(one, append(blocks, b), heads[0], head)
	names, h1, err := one.Retire(keyOf(1), 0)
	if err != nil {
		t.Fatal(err)
	}
	all.keep(names...)
	take(two, append(append(blocks, b), names...), heads[0], head, h1)
	agrees, h2, err := two.Agree(keyOf(2), 0)
	if err != nil {
		t.Fatal(err)
	}
	all.keep(agrees)
	take(one, []block.Block{agrees}, h2)
	if base, err = one.Base(); err != nil {
		t.Fatal(err)
	}
	return base, append(names, agrees), []crdt.Head{h1, h2}
}

// A base that nobody who may has signed, or that nothing proves, changes nothing, and is held against
// who has sent it.
func TestHostileBase(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{Interval: time.Hour})
		d := a.create("notes", writer(2))
		blocks, heads := genesis(t, l, a, d)
		base, tail, after := retired(t, d.ID(), blocks, heads)
		send := func(b crdt.Base, heads []crdt.Head, blocks ...block.Block) []byte {
			var buf bytes.Buffer
			w := wire.NewBundleWriter(&buf)
			err := w.Base(b)
			if len(blocks) > 0 {
				err = errors.Join(err, w.Heads(heads))
			}
			for _, b := range blocks {
				err = errors.Join(err, w.Block(b))
			}
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			return buf.Bytes()
		}
		stranger := base
		stranger.Author = authorOf(2)
		stranger.Signature = *commit.SignBase(keyOf(2), d.ID(), base.At, sha256.Sum256(base.Bytes))
		changed := base
		changed.Bytes = slices.Concat(base.Bytes[:len(base.Bytes)-5], make([]byte, 5))
		forged := crdt.Head{ID: after[1].ID, Signature: after[0].Signature}
		x := l.liar(2, d.ID(), a)
		time.Sleep(time.Second) // of virtual time, for the first to find that the liar does not answer
		for _, c := range []struct {
			name string
			data []byte
			want error
			says replica.Fault
		}{
			{"alone", send(base, nil), wire.ErrMalformed, replica.FaultIncomplete},
			{"by a stranger", send(stranger, after[1:], tail...), crdt.ErrSnapshot, replica.FaultInvalid},
			{"changed", send(changed, after[1:], tail...), crdt.ErrSnapshot, replica.FaultInvalid},
			{"not agreed on", send(base, after[:1], tail[0]), wire.ErrMalformed, replica.FaultIncomplete},
			{"forged head", send(base, []crdt.Head{forged}, tail...), crdt.ErrInvalid, replica.FaultInvalid},
			{"without what follows", send(base, after[1:], tail[1]), wire.ErrMalformed, replica.FaultIncomplete},
			{"good", send(base, after[1:], tail...), nil, ""},
		} {
			x.host.SetStreamHandler(wire.Protocol, answer(t, []byte{byte(wire.OK)}, c.data))
			err := d.Pull(l.ctx, x.host.ID())
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			if list := a.judge.take(); c.says == "" && len(list) > 0 || c.says != "" && !slices.Equal(list, []replica.Fault{c.says}) {
				t.Errorf("%s: reports %q", c.name, list)
			}
			want := 1
			if c.want == nil {
				want = len(tail)
			}
			if n := length(t, d); n != want {
				t.Errorf("%s: %d commits", c.name, n)
			}
		}
		if v := view(t, d); !reflect.DeepEqual(v, map[string]any{"k": int64(1)}) {
			t.Errorf("it is %v", v)
		}
	})
}
