package replica_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
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

// chain is what somebody has written into a copy of a document without hearing of others: commits,
// and each as a head.
func chain(t *testing.T, n byte, doc commit.ID, begin []block.Block, heads []crdt.Head, length int) (list []block.Block, signed []crdt.Head) {
	t.Helper()
	d := crdt.New(doc, authorOf(n), nil)
	if _, err := d.Apply(begin, heads); err != nil {
		t.Fatal(err)
	}
	for range length {
		if err := d.Update(func(tx *crdt.Tx) error { tx.Counter("n").Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		b, h, err := d.Seal(keyOf(n), 0)
		if err != nil {
			t.Fatal(err)
		}
		list, signed = append(list, b), append(signed, h)
	}
	return list, signed
}

// Replicas whose heads tell each other little, as many people have written on while both heard
// of some of it only, compare what they have, and send each other not much more than what is
// missing.
func TestSurvey(t *testing.T) {
	const writers, length, step = 150, 40, 5
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		members := make([]replica.Member, writers)
		for i := range members {
			members[i] = writer(byte(3 + i))
		}
		da := a.create("notes", members...)
		l.connect(a, b)
		db := b.open(da.ID().String())
		within(t, time.Minute, da, db)
		l.disconnect(a, b)
		begin, heads := genesis(t, l, a, da)
		rng := rand.New(rand.NewPCG(1, 1))
		chains, signed := make([][]block.Block, writers), make([][]crdt.Head, writers)
		for i := range writers {
			chains[i], signed[i] = chain(t, byte(3+i), da.ID(), begin, heads, length)
		}
		for _, d := range []*replica.Doc{da, db} {
			var order []int // who is heard of next
			for i := range writers {
				for range length / step {
					order = append(order, i)
				}
			}
			rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			next := make([]int, writers)
			for _, i := range order {
				from, to := next[i], next[i]+step
				if next[i] = to; to == length {
					to -= rng.IntN(3)
				}
				if err := d.Receive(l.ctx, chains[i][from:to], signed[i][to-1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := a.Stats().BytesIn + b.Stats().BytesIn
		l.connect(a, b)
		within(t, time.Minute, da, db)
		if a.Stats().Surveyed+b.Stats().Surveyed == 0 {
			t.Error("nothing was compared")
		}
		// Of 6,000 commits each lacks some 150. Without a survey it would be 116,000 bytes.
		if got := a.Stats().BytesIn + b.Stats().BytesIn - before; got > 64<<10 {
			t.Errorf("%d bytes were sent", got)
		}
	})
}
