package replica_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// watched is a store that counts how often pages of logs, or entries of them, are read.
type watched struct {
	ds.Batching
	pages atomic.Int32
}

func (w *watched) Query(ctx context.Context, q query.Query) (query.Results, error) {
	if strings.HasPrefix(q.Prefix, "/crdt/log/") {
		w.pages.Add(1)
	}
	return w.Batching.Query(ctx, q)
}

func (w *watched) Get(ctx context.Context, k ds.Key) ([]byte, error) {
	if strings.HasPrefix(k.String(), "/crdt/log/") {
		w.pages.Add(1)
	}
	return w.Batching.Get(ctx, k)
}

// reopened opens a document again from a store, and tells how many pages of its log were read,
// and how many snapshots were ignored.
func (l *lab) reopened(store ds.Batching, name string) (d *replica.Doc, pages, ignored int) {
	l.t.Helper()
	w := &watched{Batching: store}
	p := l.person(1, replica.Options{Store: w})
	d = p.open(name)
	return d, int(w.pages.Load()), int(p.Stats().Ignored)
}

func filled(t *testing.T, store map[ds.Key][]byte) ds.Batching {
	t.Helper()
	m := memory()
	for k, v := range store {
		if err := m.Put(context.Background(), k, v); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// typed makes a document of so many commits in a store, and closes it.
func (l *lab) typed(store ds.Batching, commits int) map[string]any {
	l.t.Helper()
	p := l.person(1, replica.Options{Store: store})
	d := p.create("notes")
	for i := range commits {
		edit(l.t, d, func(tx *crdt.Tx) { tx.Text("body").Insert(i/2, fmt.Sprint(i)); tx.Counter("n").Add(1) })
	}
	v := view(l.t, d)
	p.stop()
	p.host.Close()
	return v
}

// A document that was closed is opened without its log, and one that was not, with the end of it.
func TestSnapshotOpens(t *testing.T) {
	inLab(t, func(l *lab) {
		store := memory()
		want := l.typed(store, 600)
		d, pages, ignored := l.reopened(store, "notes")
		if got := view(t, d); !reflect.DeepEqual(got, want) || pages != 0 || ignored != 0 {
			t.Errorf("%d pages were read, %d snapshots ignored; got %v", pages, ignored, got)
		}
		edit(t, d, set("more", true)) // too little for another snapshot
		want["more"] = true
		d, pages, _ = l.reopened(filled(t, copyOf(t, store)), "notes")
		if got := view(t, d); !reflect.DeepEqual(got, want) || pages != 1 {
			t.Errorf("%d pages were read; got %v", pages, got)
		}
	})
}

// While a document grows, the tail that must be applied after a crash stays short beside it, and
// no more than one snapshot is there.
func TestSnapshotTail(t *testing.T) {
	inLab(t, func(l *lab) {
		store := memory()
		p := l.person(1, replica.Options{Store: store})
		d := p.create("notes")
		for i := range 40 {
			edit(t, d, set(fmt.Sprint(i%8), noise(100<<10)))
			synctest.Wait() // the snapshot comes after the edit is acknowledged
			log, snapshot := 0, 0
			dirs := make(map[string]bool)
			for k, v := range copyOf(t, store) {
				switch parts := k.Namespaces(); parts[1] {
				case "log":
					log += len(v)
				case "snapshots":
					snapshot += len(v)
					if len(parts) > 3 {
						dirs[parts[3]] = true
					}
				}
			}
			if len(dirs) > 1 || i > 10 && len(dirs) == 0 {
				t.Fatalf("after %d edits there are %d snapshots", i, len(dirs))
			}
			if snapshot > log+64<<10 {
				t.Fatalf("a snapshot of %d bytes for a log of %d", snapshot, log)
			}
		}
		want := view(t, d)
		w := &watched{Batching: filled(t, copyOf(t, store))} // as a crash leaves it
		again := l.person(1, replica.Options{Store: w})
		if got := view(t, again.open("notes")); !reflect.DeepEqual(got, want) || again.Stats().Ignored != 0 {
			t.Errorf("%d snapshots were ignored; got %d keys", again.Stats().Ignored, len(got))
		}
	})
}

// A snapshot that is damaged, of another version, or of a log that is not there is ignored, and
// the document is what its log says.
func TestSnapshotIgnored(t *testing.T) {
	inLab(t, func(l *lab) {
		store := memory()
		want := l.typed(store, 300)
		record, part := ds.Key{}, ds.Key{}
		for k := range copyOf(t, store) {
			switch parts := k.Namespaces(); {
			case parts[1] == "snapshots" && len(parts) == 3:
				record = k
			case parts[1] == "snapshots":
				part = k
			}
		}
		flip := func(k ds.Key, at int) func(map[ds.Key][]byte) {
			return func(s map[ds.Key][]byte) {
				b := append([]byte(nil), s[k]...)
				b[(at+len(b))%len(b)] ^= 4
				s[k] = b
			}
		}
		for name, harm := range map[string]func(map[ds.Key][]byte){
			"part":           flip(part, 100),
			"checksum":       flip(part, -1),
			"record":         flip(record, 5),
			"signature":      flip(record, -1),
			"record version": flip(record, 0),
			"part is gone":   func(s map[ds.Key][]byte) { delete(s, part) },
			"empty record":   func(s map[ds.Key][]byte) { s[record] = nil },
			"version": func(s map[ds.Key][]byte) {
				b := append([]byte(nil), s[part]...)
				b[4]++ // of the magic
				n := len(b) - 4
				binary.BigEndian.PutUint32(b[n:], crc32.Checksum(b[:n], crc32.MakeTable(crc32.Castagnoli)))
				s[part] = b
			},
			"part is short": func(s map[ds.Key][]byte) { s[part] = s[part][:50] },
		} {
			bad := copyOf(t, store)
			harm(bad)
			d, pages, ignored := l.reopened(filled(t, bad), "notes")
			if got := view(t, d); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %v", name, got)
			}
			if pages < 2 || ignored != 1 {
				t.Errorf("%s: %d pages were read, %d snapshots ignored", name, pages, ignored)
			}
			edit(t, d, set("after", true))
		}
	})
}

// A snapshot that does not go with the log is ignored: one of more than the log holds, and one of
// another history.
func TestSnapshotContradicts(t *testing.T) {
	inLab(t, func(l *lab) {
		store := memory()
		p := l.person(1, replica.Options{Store: store})
		d := p.create("notes")
		for i := range 100 {
			edit(t, d, set("k", i))
		}
		early := copyOf(t, store)
		want := view(t, d)
		for i := range 100 {
			edit(t, d, set("k", -i))
		}
		p.stop()
		p.host.Close()
		for k, v := range copyOf(t, store) {
			if strings.HasPrefix(k.String(), "/crdt/snapshots/") {
				early[k] = v
			}
		}
		forked := filled(t, early)
		d, pages, ignored := l.reopened(forked, "notes")
		if got := view(t, d); !reflect.DeepEqual(got, want) || pages == 0 || ignored != 1 {
			t.Errorf("older log: %d pages were read, %d ignored; got %v", pages, ignored, got)
		}
		for i := range 150 { // the same node makes another history
			edit(t, d, set("other", i))
		}
		other := copyOf(t, forked)
		for k, v := range copyOf(t, store) {
			if strings.HasPrefix(k.String(), "/crdt/snapshots/") {
				other[k] = v
			}
		}
		want = view(t, d)
		d, pages, ignored = l.reopened(filled(t, other), "notes")
		if got := view(t, d); !reflect.DeepEqual(got, want) || pages == 0 || ignored != 1 {
			t.Errorf("other log: %d pages were read, %d ignored; got %v", pages, ignored, got)
		}
	})
}

// A document that is put away goes on where it was.
func TestSnapshotPutAway(t *testing.T) {
	inLab(t, func(l *lab) {
		w := &watched{Batching: memory()}
		p := l.person(1, replica.Options{Store: w, MemorySizeMax: 1})
		a, b := p.create("a"), p.create("b")
		for i := range 100 {
			edit(t, a, set("k", i))
		}
		edit(t, b, set("k", 1))
		synctest.Wait()
		w.pages.Store(0)
		if v := view(t, a); v["k"] != int64(99) || w.pages.Load() != 0 {
			t.Errorf("got %v after %d pages", v, w.pages.Load())
		}
		edit(t, a, set("k", 100))
		edit(t, b, set("k", 2))
		synctest.Wait()
		w.pages.Store(0)
		if v := view(t, a); v["k"] != int64(100) || w.pages.Load() > 1 {
			t.Errorf("got %v after %d pages", v, w.pages.Load())
		}
	})
}
