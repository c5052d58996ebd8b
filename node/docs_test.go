package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
)

func docs(t testing.TB, n *node.Node) *replica.Replica {
	t.Helper()
	r, err := n.Docs()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits, as long as deltas come, until a document shows what it should.
func eventually(t *testing.T, d *replica.Doc, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := ""
	for _, err := range d.Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got = string(text); got == want {
			return
		}
	}
	t.Fatalf("got %s, want %s", got, want)
}

// Two nodes edit a document, one of them having got a ticket; a third fetches a commit as any
// other block.
func TestDocs(t *testing.T) {
	a, b := online(t, node.Options{Repo: t.TempDir()}), online(t, node.Options{})
	da, err := docs(t, a).Create(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := da.Share(t.Context(), commit.Write)
	if err != nil {
		t.Fatal(err)
	}
	db, err := docs(t, b).Join(t.Context(), ticket, "from-a")
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range []*replica.Doc{da, db} {
		_, err := d.Update(t.Context(), func(tx *crdt.Tx) error { tx.Set(fmt.Sprint(i), i); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, da, `{"0":0,"1":1}`)
	eventually(t, db, `{"0":0,"1":1}`)
	c := online(t, node.Options{})
	if err := c.Connect(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := c.Session(ctx)
	got, err := s.Get(ctx, da.ID().Cid())
	if err != nil || got.Cid() != da.ID().Cid() {
		t.Errorf("got %v, %v", got, err)
	}
}

// What Update has acknowledged is there after a restart, offline too.
func TestDocsSurviveReopening(t *testing.T) {
	repo := t.TempDir()
	for i := range 3 {
		n, err := node.Open(t.Context(), node.Options{Repo: repo, Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		r := docs(t, n)
		if i == 0 {
			if _, err := r.Create(t.Context(), "notes"); err != nil {
				t.Fatal(err)
			}
		}
		d, err := r.Open(t.Context(), "notes")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Update(t.Context(), func(tx *crdt.Tx) error { tx.Counter("n").Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		eventually(t, d, fmt.Sprintf(`{"n":%d}`, i+1))
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Edits that are on disk when they are acknowledged, by one person and by many at once.
func BenchmarkDocUpdate(b *testing.B) {
	n, err := node.Open(b.Context(), node.Options{Repo: b.TempDir(), Offline: true})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	r, err := n.Docs()
	if err != nil {
		b.Fatal(err)
	}
	for _, people := range []int{1, 64} {
		d, err := r.Create(b.Context(), fmt.Sprint("by", people))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("people=%d", people), func(b *testing.B) {
			b.SetParallelism(people)
			edit := func() {
				if _, err := d.Update(b.Context(), func(tx *crdt.Tx) error { tx.Text("body").Insert(0, "x"); return nil }); err != nil {
					b.Error(err)
				}
			}
			if people == 1 {
				for b.Loop() {
					edit()
				}
				return
			}
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					edit()
				}
			})
		})
	}
}

// A document of 10,000 commits that is loaded from disk, and pulled by another node.
func BenchmarkDocLoad(b *testing.B) {
	const commits = 10_000
	repo := b.TempDir()
	key := online(b, node.Options{Repo: repo})
	d, err := docs(b, key).Create(b.Context(), "notes")
	if err != nil {
		b.Fatal(err)
	}
	for range commits {
		if _, err := d.Update(b.Context(), func(tx *crdt.Tx) error { tx.Text("body").Insert(0, "x"); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	ticket, err := d.Share(b.Context(), commit.Read)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("pull", func(b *testing.B) {
		for b.Loop() {
			n := online(b, node.Options{})
			if _, err := docs(b, n).Join(b.Context(), ticket, ""); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(docs(b, n).Stats().BytesIn)/commits, "bytes/commit")
		}
	})
	if err := key.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			n := online(b, node.Options{Repo: repo})
			if d, err = docs(b, n).Open(b.Context(), "notes"); err != nil {
				b.Fatal(err)
			}
			if err := n.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestDocsIdentity: a node that is given an identity edits with that key.
func TestDocsIdentity(t *testing.T) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.GetPublic().Raw()
	if err != nil {
		t.Fatal(err)
	}
	n := online(t, node.Options{Libp2p: []libp2p.Option{libp2p.Identity(key)}})
	if a := docs(t, n).Author(); !bytes.Equal(a[:], raw) {
		t.Errorf("it edits as %s, and is known as %x", a, raw)
	}
}
