package replica_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// left counts the keys of a store.
func left(t *testing.T, store ds.Batching) (n int) {
	t.Helper()
	for _, err := range ds.QueryIter(t.Context(), store, query.Query{KeysOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// large makes a document with marks, a snapshot, tickets and many commits.
func large(t *testing.T, l *lab, p *person, name string, members ...replica.Member) *replica.Doc {
	t.Helper()
	d := p.create(name, members...)
	for i := range 100 {
		edit(t, d, set(fmt.Sprint(i%10), strings.Repeat("x", 60<<10)))
	}
	if _, err := d.Share(l.ctx, commit.Write); err != nil {
		t.Fatal(err)
	}
	return d
}

// What is forgotten is gone, from the store, the topic, and for who has it open; other documents,
// and what others have, stay.
func TestForget(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		l.connect(a, b)
		kept := a.create("kept")
		before := left(t, a.store)
		d := large(t, l, a, "notes", writer(2))
		theirs := b.open(d.ID().String())
		within(t, time.Minute, d, theirs)
		ended := make(chan error, 1)
		go func() {
			var last error
			for _, err := range d.Watch(l.ctx) {
				last = err
			}
			ended <- last
		}()
		synctest.Wait()
		if err := a.Forget(l.ctx, "notes"); err != nil {
			t.Fatal(err)
		}
		if err := a.Forget(l.ctx, "notes"); !errors.Is(err, replica.ErrUnknown) {
			t.Errorf("forget it twice: %v", err)
		}
		if err := <-ended; !errors.Is(err, replica.ErrUnknown) {
			t.Errorf("who watched it was told %v", err)
		}
		if n := left(t, a.store); n != before {
			t.Errorf("%d keys are left, %d were there before", n, before)
		}
		if list := a.Docs(); len(list) != 1 || list[0] != kept {
			t.Errorf("%d documents are left", len(list))
		}
		_, err := d.Update(l.ctx, func(tx *crdt.Tx) error { tx.Set("k", 1); return nil })
		if _, viewErr := d.View(l.ctx); !errors.Is(err, replica.ErrUnknown) || !errors.Is(viewErr, replica.ErrUnknown) {
			t.Errorf("edit, view: %v, %v", err, viewErr)
		}
		l.hub.mu.Lock()
		for _, topic := range l.hub.topics {
			if topic.host == a.host && topic.name != l.hub.topics[0].name {
				t.Errorf("still in topic %s", topic.name)
			}
		}
		l.hub.mu.Unlock()
		edit(t, theirs, set("after", true))
		again := a.open(d.ID().String())
		within(t, time.Minute, again, theirs)
		if role, err := again.Role(l.ctx, authorOf(1)); err != nil || role != commit.Manage {
			t.Errorf("the role is %v, %v", role, err)
		}
		edit(t, again, set("back", true))
		within(t, time.Minute, again, theirs)
	})
}

// Wherever the process dies while it forgets, the document is there, or it is not there and nothing
// is left of it soon after the next start.
func TestForgetCrash(t *testing.T) {
	for writes := 0; ; writes++ {
		over := false
		inLab(t, func(l *lab) {
			store := memory()
			first := l.person(1, replica.Options{Store: store})
			empty := left(t, store)
			large(t, l, first, "notes")
			first.stop()
			first.host.Close()

			dying := l.person(1, replica.Options{Store: &mortal{store, writes}})
			err := dying.Forget(l.ctx, "notes")
			if over = err == nil; !over && !errors.Is(err, errDied) {
				t.Fatalf("after %d writes: %v", writes, err)
			}
			dying.stop()
			dying.host.Close()

			again := l.person(1, replica.Options{Store: store})
			if writes == 0 {
				if v := view(t, again.open("notes")); len(v) != 10 {
					t.Errorf("nothing was written, and %d keys are there", len(v))
				}
				return
			}
			if len(again.Docs()) != 0 {
				t.Errorf("after %d writes it is there", writes)
			}
			synctest.Wait()
			if n := left(t, store); n != empty {
				t.Errorf("after %d writes %d keys are left", writes, n-empty)
			}
		})
		if over {
			if writes < 3 {
				t.Errorf("it is forgotten with %d writes only", writes)
			}
			return
		}
	}
}

// Wait ends when the commits are there, and with its context or the replica.
func TestWait(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		l.connect(a, b)
		d := a.create("notes", writer(2))
		theirs := b.open(d.ID().String())
		l.disconnect(a, b)
		one := edit(t, d, set("k", 1))
		two := edit(t, d, set("k", 2))
		if has, err := d.Has(l.ctx, one, two); !has || err != nil {
			t.Errorf("the author has them: %t, %v", has, err)
		}
		if has, err := theirs.Has(l.ctx, one); has || err != nil {
			t.Errorf("the other has them: %t, %v", has, err)
		}
		short, cancel := context.WithTimeout(l.ctx, time.Second)
		defer cancel()
		if err := theirs.Wait(short, two); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait for what does not come: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- theirs.Wait(l.ctx, one, two) }()
		synctest.Wait()
		l.connect(a, b)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if v := view(t, theirs); v["k"] != int64(2) {
			t.Errorf("then there is %v", v)
		}
		go func() { done <- theirs.Wait(l.ctx, commit.ID{1}) }()
		synctest.Wait()
		b.stop()
		if err := <-done; !errors.Is(err, replica.ErrClosed) {
			t.Errorf("wait when it is closed: %v", err)
		}
	})
}
