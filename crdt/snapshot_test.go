package crdt_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func snapshot(t testing.TB, r *replica) []byte {
	t.Helper()
	b, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restored is a replica that was opened from a snapshot of another one.
func restored(t testing.TB, r *replica) *replica {
	t.Helper()
	doc, err := crdt.Restore(snapshot(t, r), r.heads(), commit.AuthorOf(r.key), r)
	if err != nil {
		t.Fatal(err)
	}
	again := *r
	again.Doc = doc
	return &again
}

// Who goes on from a snapshot is as good as who applied all commits, for what is concurrent to
// old ones too.
func TestSnapshot(t *testing.T) {
	r := group(t, 3)
	r[0].edit(func(tx *crdt.Tx) {
		tx.Text("t").Insert(0, strings.Repeat("é🙂", 40))
		m := tx.Map("m").Map("deep")
		m.Set("k", "value")
		m.MultiRegister("r").Set(1.5)
		m.Members("s").Add([]byte("x"))
		m.List("l").Insert(0, 1, nil)
		m.Map("empty").Make()
	})
	r[1].pull(r[0])
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(5, "old"); tx.Map("m").Map("deep").Set("k", "old") })
	for i := range 20 {
		r[2].pull(r[0])
		r[2].edit(func(tx *crdt.Tx) { tx.Text("t").Delete(i, 3) })
		r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(2*i, "x"); tx.Map("m").Counter("n").Add(1) })
		r[0].pull(r[2])
	}
	late := restored(t, r[0])
	if !bytes.Equal(late.Dump(), r[0].Dump()) || late.Len() != r[0].Len() || !bytes.Equal(snapshot(t, late), snapshot(t, r[0])) {
		t.Fatal("another document was restored")
	}
	late.edit(func(tx *crdt.Tx) { tx.Text("t").Insert(1, "late"); tx.Map("m").Remove("deep") })
	undo(t, late, late.Undo)
	undo(t, late, late.Redo)
	late.pull(r[1])
	r[0] = late
	sync(t, append(r, join(t, key(9), late.ID()))...)
	if !bytes.Equal(snapshot(t, r[1]), snapshot(t, late)) {
		t.Error("the same document has another snapshot elsewhere")
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(3), commit.None) })
	r[2].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "void") })
	r[0] = restored(t, r[0])
	r[0].pull(r[2])
	sync(t, r...)
}

func TestRestoreRejects(t *testing.T) {
	r := group(t, 2)
	r[0].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "text"); tx.Set("k", 1) })
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "other"); tx.Members("s").Add("x") })
	sync(t, r...)
	good := snapshot(t, r[0])
	for i := range good {
		for _, bad := range [][]byte{good[:i], append(bytes.Clone(good[:i]), append([]byte{good[i] ^ 4}, good[i+1:]...)...)} {
			if _, err := crdt.Restore(bad, r[0].heads(), author(1), r[0]); !errors.Is(err, crdt.ErrSnapshot) {
				t.Fatalf("damaged at %d: got %v", i, err)
			}
		}
	}
	heads := r[0].heads()
	if _, err := crdt.Restore(good, heads[:1], author(1), r[0]); !errors.Is(err, crdt.ErrInvalid) {
		t.Errorf("without a head: got %v", err)
	}
	heads[1].Signature = nil
	if _, err := crdt.Restore(good, heads, author(1), r[0]); !errors.Is(err, crdt.ErrInvalid) {
		t.Errorf("without a signature: got %v", err)
	}
	if err := r[0].Update(func(tx *crdt.Tx) error { tx.Set("k", 2); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := r[0].Snapshot(); !errors.Is(err, crdt.ErrOpen) {
		t.Errorf("while a commit is open: got %v", err)
	}
}

// restore restores what a stranger has made, with a good checksum. The heads are not signed.
func restore(data []byte) error {
	data = binary.BigEndian.AppendUint32(bytes.Clone(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	_, err := crdt.Restore(data, nil, commit.Author{}, nil)
	return err
}

func FuzzRestore(f *testing.F) {
	r := group(f, 2)
	r[0].edit(func(tx *crdt.Tx) {
		tx.Text("t").Insert(0, "text")
		tx.Map("m").List("l").Insert(0, 1, "two")
		tx.Members("s").Add("x")
		tx.Counter("n").Add(3)
		tx.Grant(author(5), commit.Read)
	})
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "other"); tx.Text("t").Delete(1, 3); tx.Set("k", 1.5) })
	sync(f, r...)
	undo(f, r[1], r[1].Undo)
	good := snapshot(f, r[1])
	good = good[:len(good)-4]
	f.Add(good)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		b := bytes.Clone(good)
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := restore(data)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Fatal("restored without signatures")
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<16+400*uint64(len(data)) {
			t.Fatalf("%d bytes allocated for %d", n, len(data))
		}
	})
}

// BenchmarkRestore is opening a saved document, up to its text; with how many bytes it is
// saved, with all history and its state alone.
func BenchmarkRestore(b *testing.B) {
	open := func(name string, r *replica) {
		data, heads := snapshot(b, r), r.heads()
		history := 0
		for _, block := range r.order {
			history += block.Size()
		}
		text, _ := r.Get("t")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := crdt.Restore(data, heads, author(1), r)
				if err != nil {
					b.Fatal(err)
				}
				if got, _ := d.Get("t"); got != text {
					b.Fatal("another text")
				}
			}
			b.ReportMetric(float64(len(text.(string))), "text-bytes")
			b.ReportMetric(float64(len(data)), "state-bytes")
			b.ReportMetric(float64(deflated(b, data)), "state-deflated")
			b.ReportMetric(float64(history), "history-bytes")
			b.ReportMetric(float64(deflated(b, blocks(r)...)), "history-deflated")
		})
	}
	for _, name := range sequential {
		r := group(b, 1)[0]
		typeIn(b, r, load(b, name), 100)
		open(name, r)
	}
	id, blocks, heads := history(b, load(b, "friendsforever.concurrent"))
	r := join(b, key(9), id)
	r.receive(blocks, heads...)
	open("friendsforever.concurrent", r)
}

func blocks(r *replica) [][]byte {
	var list [][]byte
	for _, b := range r.order {
		list = append(list, b.RawData())
	}
	return list
}

func deflated(b *testing.B, parts ...[]byte) int {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestCompression)
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Len()
}

// BenchmarkSnapshot is saving.
func BenchmarkSnapshot(b *testing.B) {
	for _, name := range sequential {
		r := group(b, 1)[0]
		typeIn(b, r, load(b, name), 100)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Snapshot(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
