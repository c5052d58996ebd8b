package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Watchers hear what changed, where, by whom, and what has become void.
func TestWatch(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		l.connect(a, b)
		da := a.create("notes", writer(2))
		db := b.open(da.ID().String())
		ctx, cancel := context.WithCancel(l.ctx)
		var got []replica.Delta
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for x, err := range da.Watch(ctx) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, x)
			}
		}()
		synctest.Wait()
		edit(t, da, func(tx *crdt.Tx) { tx.Map("meta").Set("title", "x"); tx.Text("body").Insert(0, "hi") })
		within(t, time.Minute, da, db)
		l.hub.lose(true)
		edit(t, da, func(tx *crdt.Tx) { tx.Grant(authorOf(2), commit.Read) })
		edit(t, db, func(tx *crdt.Tx) { tx.Text("body").Insert(2, "!") })
		l.hub.lose(false)
		within(t, time.Minute, da, db)
		cancel()
		<-ended
		want := []replica.Delta{
			{},
			{Path: []string{"meta", "title"}, Kind: commit.Register, Author: authorOf(1), Local: true},
			{Path: []string{"body"}, Kind: commit.Text, Author: authorOf(1), Local: true},
			{Author: authorOf(1), Local: true}, // a role
			{Path: []string{"body"}, Kind: commit.Text, Author: authorOf(2)},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		edit(t, da, func(tx *crdt.Tx) { tx.Grant(authorOf(2), commit.Write) })
		within(t, time.Minute, da, db)
		if s := hearAbout(t, l, da, db); !s {
			t.Error("nobody heard that an edit has become void")
		}
	})
}

// hearAbout has the second person edit while the first removes them, and tells whether the
// second hears that the edit is void.
func hearAbout(t *testing.T, l *lab, da, db *replica.Doc) bool {
	t.Helper()
	l.hub.lose(true)
	edit(t, da, func(tx *crdt.Tx) { tx.Grant(authorOf(2), commit.None) })
	edit(t, db, set("late", 1))
	l.hub.lose(false)
	ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
	defer cancel()
	for x, err := range db.Watch(ctx) {
		if err != nil {
			t.Error(err)
		}
		if x.Voided {
			return reflect.DeepEqual(x, replica.Delta{Path: []string{"late"}, Kind: commit.Register, Author: authorOf(2), Voided: true})
		}
	}
	return false
}

// A watcher that is slow holds nobody up, and hears of everything once.
func TestSlowWatcher(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{})
		d := a.create("notes")
		var got []replica.Delta
		for x, err := range d.Watch(l.ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, x); len(got) == 1 {
				for range 10 {
					edit(t, d, set("k", 1))
				}
			}
			if len(got) == 2 {
				for i := range 1000 {
					edit(t, d, set(fmt.Sprint(i), 1))
				}
			}
			if len(got) == 3 {
				break
			}
		}
		want := []replica.Delta{{}, {Path: []string{"k"}, Kind: commit.Register, Author: authorOf(1), Local: true}, {}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		ended := make(chan error, 1)
		go func() {
			for _, err := range d.Watch(l.ctx) {
				if err != nil {
					ended <- err
				}
			}
		}()
		synctest.Wait()
		a.stop()
		if err := <-ended; !errors.Is(err, replica.ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	})
}

// A ticket makes a writer of the first who redeems it, as often as they do, and of nobody else.
func TestTicket(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b, c := l.person(1, replica.Options{}), l.person(2, replica.Options{}), l.person(3, replica.Options{})
		da := a.create("notes")
		edit(t, da, set("k", 1))
		text, err := da.Share(l.ctx, commit.Write)
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := replica.ParseTicket(text.String())
		if err != nil || !reflect.DeepEqual(ticket, text) {
			t.Fatalf("got %v, %v; want %v", ticket, err, text)
		}
		db, err := b.Join(l.ctx, ticket, "theirs")
		if err != nil {
			t.Fatal(err)
		}
		edit(t, db, set("b", 2))
		if again, err := b.Join(l.ctx, ticket, "theirs"); err != nil || again != db {
			t.Errorf("redeem again: %v", err)
		}
		if _, err := c.Join(l.ctx, ticket, ""); !errors.Is(err, replica.ErrRedeemed) {
			t.Errorf("redeem what is used: got %v", err)
		}
		read, err := da.Share(l.ctx, commit.Read)
		if err != nil {
			t.Fatal(err)
		}
		dc, err := c.Join(l.ctx, read, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dc.Update(l.ctx, func(tx *crdt.Tx) error { tx.Set("c", 3); return nil }); !errors.Is(err, crdt.ErrRole) {
			t.Errorf("a reader edits: got %v", err)
		}
		if _, err := db.Share(l.ctx, commit.Write); !errors.Is(err, crdt.ErrRole) {
			t.Errorf("a writer makes writers: got %v", err)
		}
		if _, err := da.Invite(l.ctx, authorOf(3), commit.Write); err != nil {
			t.Fatal(err)
		}
		l.connect(a, b, c)
		within(t, time.Minute, da, db, dc)
		edit(t, dc, set("c", 3))
		within(t, time.Minute, da, db, dc)
		late, err := da.Share(l.ctx, commit.Manage)
		if err != nil {
			t.Fatal(err)
		}
		expire(t, a.store)
		if _, err := b.Join(l.ctx, late, ""); !errors.Is(err, replica.ErrRedeemed) {
			t.Errorf("redeem what is old: got %v", err)
		}
		for _, text := range []string{"", "p2pdoc", text.String() + "a", text.String()[:60], "p2pdoc1", strings.ToUpper(text.String())} {
			if _, err := replica.ParseTicket(text); !errors.Is(err, replica.ErrTicket) {
				t.Errorf("%q: got %v", text, err)
			}
		}
	})
}

// expire makes all tickets old.
func expire(t *testing.T, store ds.Batching) {
	t.Helper()
	for k, v := range copyOf(t, store) {
		if strings.HasPrefix(k.String(), "/crdt/tickets/") {
			binary.BigEndian.PutUint64(v[1:], uint64(time.Now().Unix()-1))
			if err := store.Put(context.Background(), k, v); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Documents that are not used are put away, and are there again when they are needed.
func TestPutAway(t *testing.T) {
	inLab(t, func(l *lab) {
		const limit = 1 << 20
		a := l.person(1, replica.Options{MemorySizeMax: limit})
		var docs []*replica.Doc
		for i := range 20 {
			d := a.create(fmt.Sprint("doc", i))
			edit(t, d, set("noise", noise(100<<10)))
			edit(t, d, set("i", i))
			docs = append(docs, d)
			synctest.Wait()
			if s := a.Stats(); s.MemorySize > limit {
				t.Errorf("%d documents take %d bytes", i+1, s.MemorySize)
			}
		}
		for i, d := range docs {
			if v, ok, err := d.Get(l.ctx, "i"); !ok || err != nil || v != int64(i) {
				t.Errorf("document %d: got %v, %v", i, v, err)
			}
			edit(t, d, set("again", true))
			if n := len(heads(t, d)); n != 1 {
				t.Errorf("document %d has %d heads", i, n)
			}
		}
	})
}

// Many who edit at once are all heard, while others come and go.
func TestManyEdit(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		l.connect(a, b)
		da := a.create("notes", writer(2))
		db := b.open(da.ID().String())
		var people sync.WaitGroup
		for _, d := range []*replica.Doc{da, db} {
			for range 8 {
				people.Go(func() {
					for range 25 {
						edit(t, d, func(tx *crdt.Tx) { tx.Counter("n").Add(1); tx.Text("t").Insert(0, "x") })
					}
				})
			}
		}
		people.Wait()
		within(t, time.Minute, da, db)
		if v := view(t, da); v["n"] != int64(400) || v["t"] != strings.Repeat("x", 400) {
			t.Errorf("got %v", v)
		}
	})
}

// However many heads somebody makes, others go on, and all of it can be told.
func TestManyHeads(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(3, replica.Options{})
		da := a.create("notes", writer(2))
		first, head := genesis(t, l, a, da)
		var blocks []block.Block
		var tips []crdt.Head
		for i := range 2 * commit.ParentsMax {
			b, h := made(t, 2, da.ID(), first, head, set("k", i))
			blocks, tips = append(blocks, b), append(tips, h)
		}
		x := l.liar(2, da.ID(), a)
		x.host.SetStreamHandler(wire.Protocol, answer(t, append([]byte{0}, bundle(t, tips, blocks...)...)))
		if err := da.Pull(l.ctx, x.host.ID()); err != nil {
			t.Fatal(err)
		}
		l.connect(a, b)
		db := b.open(da.ID().String())
		within(t, time.Minute, da, db)
		if n := len(heads(t, db)); n != 2*commit.ParentsMax {
			t.Errorf("%d heads", n)
		}
		edit(t, da, set("k", "mine"))
		within(t, time.Minute, da, db)
		if v := view(t, db); len(heads(t, db)) != 1 || v["k"] != "mine" {
			t.Errorf("%d heads, %v", len(heads(t, db)), v)
		}
	})
}

func TestLogAndMembers(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{})
		d := a.create("notes", writer(2))
		for i := range 600 { // more than two pages
			edit(t, d, set("k", i))
		}
		gen := uint64(0)
		for c, err := range d.Log(l.ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if gen++; c.Gen != gen || c.Author != authorOf(1) {
				t.Fatalf("commit %d: gen %d, author %s", gen, c.Gen, c.Author)
			}
		}
		if gen != 601 {
			t.Errorf("%d commits", gen)
		}
		for range d.Log(l.ctx) {
			break // nothing is yielded after this
		}
		edit(t, d, func(tx *crdt.Tx) { tx.Grant(authorOf(2), commit.None); tx.Grant(authorOf(3), commit.Manage) })
		got, err := d.Members(l.ctx)
		if err != nil || len(got) != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
		for _, m := range got {
			if m.Role != commit.Manage || m.Author != authorOf(1) && m.Author != authorOf(3) {
				t.Errorf("got %v", m)
			}
		}
	})
}
