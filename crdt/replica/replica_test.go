package replica_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// What one edits, the others see; and what they edit while they are apart merges.
func TestConverge(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b, c := l.person(1, replica.Options{}), l.person(2, replica.Options{}), l.person(3, replica.Options{})
		l.connect(a, b, c)
		da := a.create("notes", writer(2), writer(3))
		db, dc := b.open(da.ID().String()), c.open(da.ID().String())
		edit(t, da, func(tx *crdt.Tx) { tx.Text("body").Insert(0, "hello") })
		if took := within(t, time.Minute, da, db, dc); took > 10*oneWay {
			t.Errorf("an edit took %v to the others, over lines of %v", took, oneWay)
		}
		l.disconnect(a, b, c)
		for i := range 20 {
			edit(t, da, func(tx *crdt.Tx) { tx.Text("body").Insert(0, "a") })
			edit(t, db, func(tx *crdt.Tx) { tx.Text("body").Insert(5+i, "b"); tx.Counter("edits").Add(1) })
			edit(t, dc, set(fmt.Sprint("c", i), i))
		}
		if same(t, da, db) || same(t, db, dc) {
			t.Fatal("they are apart, and have the same")
		}
		l.connect(a, b)
		within(t, time.Minute, da, db)
		l.connect(b, c)
		within(t, time.Minute, da, db, dc)
		if v := view(t, dc); v["body"] != "aaaaaaaaaaaaaaaaaaaahellobbbbbbbbbbbbbbbbbbbb" || v["edits"] != int64(20) || v["c19"] != int64(19) {
			t.Errorf("got %v", v)
		}
		for _, p := range []*person{a, b, c} {
			if list := p.judge.take(); len(list) > 0 {
				t.Errorf("honest people were reported: %v", list)
			}
		}
	})
}

// What is announced and lost is found by comparing.
func TestLostAnnouncements(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		l.connect(a, b)
		da := a.create("")
		db := b.open(da.ID().String())
		within(t, time.Minute, da, db)
		time.Sleep(time.Minute)
		l.hub.lose(true)
		edit(t, da, set("k", "lost"))
		time.Sleep(2 * time.Second)
		if same(t, da, db) {
			t.Fatal("the announcement was not lost")
		}
		l.hub.lose(false)
		within(t, 46*time.Second, da, db)
	})
}

// A restart keeps all, and the author goes on where it was.
func TestRestart(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{})
		d := a.create("notes", writer(2))
		for i := range 300 {
			edit(t, d, func(tx *crdt.Tx) { tx.Text("body").Insert(i, "x"); tx.Set("k", i) })
		}
		want, tips := view(t, d), heads(t, d)
		a.stop()
		a.host.Close()
		again := l.person(1, replica.Options{Store: a.store})
		d = again.open("notes")
		if got := view(t, d); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(heads(t, d), tips) {
			t.Errorf("got %v, want %v", got, want)
		}
		edit(t, d, set("k", "after"))
		if got := heads(t, d); len(got) != 1 {
			t.Errorf("%d heads after a restart", len(got))
		}
		if _, err := again.Open(l.ctx, "other"); !errors.Is(err, replica.ErrUnknown) {
			t.Errorf("open what is not there: got %v", err)
		}
		if _, err := again.Create(l.ctx, "notes"); !errors.Is(err, replica.ErrName) {
			t.Errorf("take a name twice: got %v", err)
		}
	})
}

// What is edited right before the end reaches those who are there, whether it comes along with
// the announcement or must be asked for.
func TestFarewell(t *testing.T) {
	for _, size := range []int{1, 100 << 10} {
		inLab(t, func(l *lab) {
			a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
			l.connect(a, b)
			da := a.create("notes")
			db := b.open(da.ID().String())
			within(t, time.Minute, da, db)
			edit(t, da, set("k", 1)) // so that the next announcement has to wait
			last := noise(2 * size)
			edit(t, da, set("k", last))
			began := time.Now()
			a.stop()
			if took := time.Since(began); took > time.Second {
				t.Errorf("the end took %v", took)
			}
			synctest.Wait()
			if v := view(t, db); v["k"] != last {
				t.Errorf("an edit of %d bytes right before the end is not there", size)
			}
			time.Sleep(time.Minute)
			began = time.Now()
			b.stop()
			if took := time.Since(began); took > 0 {
				t.Errorf("the end took %v though nothing was to be said", took)
			}
		})
	}
}
