package replica_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
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

var everything = query.Query{}

var errDied = errors.New("the process died")

// mortal is a store that takes some writes, whole batches, and then none any more.
type mortal struct {
	ds.Batching
	left int
}

func (m *mortal) write() error {
	if m.left == 0 {
		return errDied
	}
	m.left--
	return nil
}

func (m *mortal) Put(ctx context.Context, k ds.Key, v []byte) error {
	if err := m.write(); err != nil {
		return err
	}
	return m.Batching.Put(ctx, k, v)
}

func (m *mortal) Batch(ctx context.Context) (ds.Batch, error) {
	b, err := m.Batching.Batch(ctx)
	return &mortalBatch{b, m}, err
}

type mortalBatch struct {
	ds.Batch
	store *mortal
}

func (b *mortalBatch) Commit(ctx context.Context) error {
	if err := b.store.write(); err != nil {
		return err
	}
	return b.Batch.Commit(ctx)
}

// noise is text that does not compress.
func noise(size int) string {
	b := make([]byte, size/2)
	rand.Read(b)
	return fmt.Sprintf("%x", b)
}

// Wherever the process dies, what was acknowledged is there, the log is what its tip says, and
// the documents become the same.
func TestCrash(t *testing.T) {
	for left := 0; ; left++ {
		over := false
		inLab(t, func(l *lab) { over = crashAfter(t, l, left) })
		if over {
			if left < 12 {
				t.Errorf("the test writes %d times only", left)
			}
			return
		}
	}
}

// crashAfter crashes a replica after so many writes. It tells whether it survived.
func crashAfter(t *testing.T, l *lab, left int) (survived bool) {
	other := l.person(2, replica.Options{})
	theirs := other.create("theirs", writer(1))
	for range 3 { // they do not fit into one batch
		edit(t, theirs, set("noise", noise(200<<10)))
	}
	inner := memory()
	a := l.person(1, replica.Options{Store: &mortal{inner, left}})
	l.connect(a, other)
	var acknowledged []commit.ID
	soon, cancel := context.WithTimeout(l.ctx, 5*time.Second)
	defer cancel()
	d, err := a.Open(soon, theirs.ID().String())
	for i := 0; err == nil && i < 10; i++ {
		var id commit.ID
		id, err = d.Update(l.ctx, func(tx *crdt.Tx) error { tx.Counter("n").Add(1); return nil })
		if err == nil {
			acknowledged = append(acknowledged, id)
		}
	}
	if survived = err == nil; !survived && !errors.Is(err, errDied) && !errors.Is(err, replica.ErrEmpty) {
		t.Fatalf("after %d writes: got %v", left, err)
	}
	a.stop()
	a.host.Close()
	again := l.person(1, replica.Options{Store: inner})
	l.connect(again, other)
	d, err = again.Open(l.ctx, theirs.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := d.Get(l.ctx, "n")
	if got, _ := n.(int64); err != nil || int(got) < len(acknowledged) {
		t.Errorf("after %d writes: %d of %d edits are there, %v", left, got, len(acknowledged), err)
	}
	for _, id := range acknowledged {
		if _, err := again.Block(l.ctx, id.Cid()); err != nil {
			t.Errorf("after %d writes: %v", left, err)
		}
	}
	within(t, time.Minute, d, theirs)
	edit(t, d, set("after", true))
	within(t, time.Minute, d, theirs)
	if s := other.Stats(); s.Forks != 0 {
		t.Errorf("after %d writes: the author has two histories", left)
	}
	return survived
}

// What a crash has left beyond the tip is not there, and does no harm to what is written next.
func TestCrashBeyondTip(t *testing.T) {
	inLab(t, func(l *lab) {
		store := memory()
		a := l.person(1, replica.Options{Store: store})
		d := a.create("notes")
		edit(t, d, set("k", 1))
		before := copyOf(t, store)
		lost := edit(t, d, set("k", 2))
		tips := copyOf(t, store)
		a.stop()
		for k, v := range before {
			if strings.HasPrefix(k.String(), "/crdt/tips/") {
				tips[k] = v
			}
		}
		cut := memory()
		for k, v := range tips {
			if err := cut.Put(l.ctx, k, v); err != nil {
				t.Fatal(err)
			}
		}
		a.host.Close()
		again := l.person(1, replica.Options{Store: cut})
		d = again.open("notes")
		if v := view(t, d); !reflect.DeepEqual(v, map[string]any{"k": int64(1)}) {
			t.Errorf("got %v", v)
		}
		time.Sleep(time.Second) // so that the next commit is another one
		next := edit(t, d, set("k", 3))
		if _, err := again.Block(l.ctx, lost.Cid()); err == nil {
			t.Error("a commit is found that was overwritten")
		}
		if b, err := again.Block(l.ctx, next.Cid()); err != nil || b.Cid() != next.Cid() {
			t.Errorf("got %v, %v", b, err)
		}
	})
}

func copyOf(t *testing.T, store ds.Batching) map[ds.Key][]byte {
	t.Helper()
	all := make(map[ds.Key][]byte)
	for e, err := range ds.QueryIter(context.Background(), store, everything) {
		if err != nil {
			t.Fatal(err)
		}
		all[ds.RawKey(e.Key)] = slices.Clone(e.Value)
	}
	return all
}

// Edits that come together become one commit, and each is acknowledged when it is on disk.
func TestWindow(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{Window: 50 * time.Millisecond})
		d := a.create("notes")
		type result struct {
			id   commit.ID
			took time.Duration
			err  error
		}
		results := make(chan result)
		began := time.Now()
		for range 10 {
			go func() {
				id, err := d.Update(l.ctx, func(tx *crdt.Tx) error { tx.Counter("n").Add(1); return nil })
				results <- result{id, time.Since(began), err}
			}()
		}
		ids := make(map[commit.ID]bool)
		for range 10 {
			r := <-results
			if r.err != nil || r.took != 50*time.Millisecond {
				t.Errorf("an edit took %v, %v", r.took, r.err)
			}
			ids[r.id] = true
		}
		if n, err := d.Len(l.ctx); err != nil || len(ids) != 1 || n != 2 {
			t.Errorf("%d commits with 10 edits, %v", n-1, err)
		}
		ctx, cancel := context.WithCancel(l.ctx)
		cancel()
		if _, err := d.Update(ctx, func(tx *crdt.Tx) error { tx.Counter("n").Add(1); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait: got %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n, err := d.Len(l.ctx); err != nil || n != 3 {
			t.Errorf("%d commits after an edit that nobody waited for, %v", n, err)
		}
		if id, err := d.Update(l.ctx, func(*crdt.Tx) error { return nil }); err != nil || id != (commit.ID{}) {
			t.Errorf("no edit: got %v, %v", id, err)
		}
		wrong := errors.New("wrong")
		if _, err := d.Update(l.ctx, func(tx *crdt.Tx) error { tx.Set("k", 1); return wrong }); !errors.Is(err, wrong) {
			t.Errorf("edits that fail: got %v", err)
		}
		for range 3 { // of which only two fit into a commit
			go func() {
				id, err := d.Update(l.ctx, set200("big"))
				results <- result{id, 0, err}
			}()
		}
		clear(ids)
		for range 3 {
			r := <-results
			if r.err != nil {
				t.Error(r.err)
			}
			ids[r.id] = true
		}
		if len(ids) < 2 {
			t.Error("edits of more than a commit's size are in one")
		}
		if _, err := d.Update(l.ctx, func(tx *crdt.Tx) error { tx.Set("big", noise(300<<10)); return nil }); !errors.Is(err, crdt.ErrFull) {
			t.Errorf("an edit too large for a commit: got %v", err)
		}
	})
}

func set200(key string) func(*crdt.Tx) error {
	return func(tx *crdt.Tx) error { tx.Set(key, noise(100<<10)); return nil }
}

// Who restores an old backup and goes on makes two histories of one author. Nothing is lost by
// that, and everybody notices.
func TestRestoredBackup(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		l.connect(a, b)
		da := a.create("notes")
		db := b.open(da.ID().String())
		edit(t, da, set("k", 1))
		within(t, time.Minute, da, db)
		backup := memory()
		for k, v := range copyOf(t, a.store) {
			if err := backup.Put(l.ctx, k, v); err != nil {
				t.Fatal(err)
			}
		}
		edit(t, da, set("new", 2))
		within(t, time.Minute, da, db)
		a.stop()
		a.host.Close()
		again := l.person(1, replica.Options{Store: backup})
		da = again.open("notes")
		edit(t, da, set("old", 3))
		l.connect(again, b)
		within(t, time.Minute, da, db)
		if v := view(t, db); v["new"] != int64(2) || v["old"] != int64(3) {
			t.Errorf("got %v", v)
		}
		if again.Stats().Forks != 1 || b.Stats().Forks != 1 {
			t.Errorf("%d and %d have noticed", again.Stats().Forks, b.Stats().Forks)
		}
	})
}

// A document that is larger than what is between two marks is read, and sent, part by part.
func TestMarks(t *testing.T) {
	inLab(t, func(l *lab) {
		a, b := l.person(1, replica.Options{}), l.person(2, replica.Options{})
		da := a.create("notes", writer(2))
		for i := range 60 {
			edit(t, da, set(fmt.Sprint(i), noise(200<<10)))
		}
		l.connect(a, b)
		db := b.open(da.ID().String())
		within(t, time.Minute, da, db)
		for name, p := range map[string]*person{"who wrote it": a, "who pulled it": b} {
			marks := 0
			for k := range copyOf(t, p.store) {
				if strings.HasPrefix(k.String(), "/crdt/marks/") {
					marks++
				}
			}
			if marks < 2 {
				t.Errorf("%s has %d marks", name, marks)
			}
		}
		b.stop()
		b.host.Close()
		again, c := l.person(2, replica.Options{Store: b.store}), l.person(3, replica.Options{})
		l.connect(again, c)
		db = again.open(da.ID().String())
		edit(t, db, set("more", true))
		dc := c.open(da.ID().String())
		within(t, time.Minute, db, dc)
		l.connect(a, c)
		within(t, time.Minute, da, db, dc)
	})
}
