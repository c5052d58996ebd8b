package crdt_test

import (
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// patch is [position, deleted, inserted].
type patch struct {
	pos, deleted int
	inserted     string
}

func (p *patch) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&p.pos, &p.deleted, &p.inserted})
}

type trace struct {
	EndContent string
	NumAgents  int
	Txns       []struct {
		Parents []int
		Agent   int
		Patches []patch
	}
}

func load(t testing.TB, name string) *trace {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	tr := new(trace)
	if err := json.NewDecoder(z).Decode(tr); err != nil {
		t.Fatal(err)
	}
	return tr
}

// typeIn makes each transaction of a trace an Update, and a commit of every so many.
func typeIn(t testing.TB, r *replica, tr *trace, every int) {
	t.Helper()
	seal := func() {
		b, _, err := r.Seal(r.key, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.keep(b)
	}
	for i, txn := range tr.Txns {
		f := func(tx *crdt.Tx) error {
			text := tx.Text("t")
			for _, p := range txn.Patches {
				text.Delete(p.pos, p.deleted)
				text.Insert(p.pos, p.inserted)
			}
			return nil
		}
		err := r.Update(f)
		if errors.Is(err, crdt.ErrFull) {
			seal()
			err = r.Update(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%every == every-1 {
			seal()
		}
	}
	if len(tr.Txns)%every != 0 {
		seal()
	}
}

var sequential = []string{"rustcode", "sveltecomponent", "friendsforever_flat", "json-crdt-patch"}

func TestTraces(t *testing.T) {
	for _, name := range sequential {
		tr := load(t, name)
		r := group(t, 1)[0]
		typeIn(t, r, tr, 100)
		late := join(t, key(9), r.ID())
		late.pull(r)
		for how, d := range map[string]*replica{"typed": r, "pulled": late} {
			if got, _ := d.Get("t"); got != tr.EndContent {
				t.Errorf("%s, %s: got %d bytes, want %d", name, how, len(got.(string)), len(tr.EndContent))
			}
		}
	}
}

// history makes commits of a concurrent trace: what one agent does between merges and forks
// is one.
func history(t testing.TB, tr *trace) (id commit.ID, blocks []block.Block, heads []crdt.Head) {
	t.Helper()
	keys := []ed25519.PrivateKey{key(1), key(2)}
	first, root, err := crdt.Create(keys[0], crdt.Genesis{Members: map[commit.Author]commit.Role{author(2): commit.Write}})
	if err != nil {
		t.Fatal(err)
	}
	blocks = append(blocks, first)
	children := make([]int, len(tr.Txns))
	for _, txn := range tr.Txns {
		for _, p := range txn.Parents {
			children[p]++
		}
	}
	made := make([]made, len(tr.Txns))
	for i := 0; i < len(tr.Txns); {
		m := begin(tr, made, i, root)
		var w commit.Writer
		text := w.Object(commit.Object{Parent: -1, Kind: commit.Text, Key: "t"})
		first := i
		for {
			for _, p := range tr.Txns[i].Patches {
				write(&w, text, p)
			}
			i++
			if i == len(tr.Txns) || children[i-1] != 1 || !slices.Equal(tr.Txns[i].Parents, []int{i - 1}) || tr.Txns[i].Agent != tr.Txns[first].Agent {
				break
			}
		}
		m.commit.Ops = w.Bytes()
		m.agent = tr.Txns[first].Agent
		k := keys[m.agent]
		m.commit.Author = commit.AuthorOf(k)
		b, err := m.commit.Encode()
		if err != nil {
			t.Fatal(err)
		}
		m.id, _ = commit.IDOf(b.Cid())
		m.signature = commit.Sign(k, root.ID, m.id)
		blocks = append(blocks, b)
		made[i-1] = m
	}
	last := made[len(made)-1]
	return root.ID, blocks, []crdt.Head{{ID: last.id, Signature: last.signature}}
}

// made is a commit that ends with a transaction.
type made struct {
	commit    commit.Commit
	id        commit.ID
	agent     int
	signature *commit.Signature
	chain     []commit.ID // the longest chain up to it
}

// begin makes the commit of transaction i, all but what it does.
func begin(tr *trace, all []made, i int, root crdt.Head) made {
	txn := tr.Txns[i]
	m := made{commit: commit.Commit{Gen: 2}, agent: txn.Agent}
	if len(txn.Parents) == 0 {
		p := commit.Parent{ID: root.ID}
		if txn.Agent != 0 {
			p.Signature = root.Signature
		}
		m.commit.Parents = []commit.Parent{p}
		m.chain = []commit.ID{root.ID}
	}
	var best *made
	for _, n := range txn.Parents {
		p := &all[n]
		parent := commit.Parent{ID: p.id}
		if p.agent != txn.Agent {
			parent.Signature = p.signature
		}
		m.commit.Parents = append(m.commit.Parents, parent)
		m.commit.Gen = max(m.commit.Gen, p.commit.Gen+1)
		if best == nil || p.commit.Gen > best.commit.Gen || p.commit.Gen == best.commit.Gen && p.id.Compare(best.id) < 0 {
			best = p
		}
	}
	if best != nil {
		m.chain = append(slices.Clone(best.chain), best.id)
	}
	slices.SortFunc(m.commit.Parents, func(p, q commit.Parent) int { return p.ID.Compare(q.ID) })
	for _, back := range commit.Refs(m.commit.Gen) {
		m.commit.Refs = append(m.commit.Refs, m.chain[m.commit.Gen-back-1])
	}
	return m
}

func write(w *commit.Writer, text int, p patch) {
	if p.deleted > 0 {
		w.Add(commit.Op{Code: commit.OpDelete, Object: text, Pos: p.pos, Count: p.deleted})
	}
	if p.inserted != "" {
		w.Add(commit.Op{Code: commit.OpInsert, Object: text, Pos: p.pos, Count: utf8.RuneCountInString(p.inserted), Data: []byte(p.inserted)})
	}
}

func TestConcurrentTrace(t *testing.T) {
	tr := load(t, "friendsforever.concurrent")
	id, blocks, heads := history(t, tr)
	atOnce, oneByOne := join(t, key(9), id), join(t, key(9), id)
	if report := atOnce.receive(blocks, heads...); len(report.Applied) != len(blocks) {
		t.Fatalf("%d of %d blocks applied, %v", len(report.Applied), len(blocks), report.Rejected)
	}
	for _, b := range atOnce.order {
		c, id, err := commit.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		k := key(1)
		if c.Author != author(1) {
			k = key(2)
		}
		oneByOne.receive([]block.Block{b}, crdt.Head{ID: id, Signature: commit.Sign(k, oneByOne.ID(), id)})
	}
	for how, r := range map[string]*replica{"at once": atOnce, "one by one": oneByOne} {
		if got, _ := r.Get("t"); got != tr.EndContent {
			t.Errorf("%s: got another text", how)
		}
	}
}

// BenchmarkType is each transaction of a trace as an Update, with a commit of every 100.
func BenchmarkType(b *testing.B) {
	for _, name := range sequential {
		tr := load(b, name)
		for how, every := range map[string]int{"": 1 << 30, "Signed": 100} {
			b.Run(name+how, func(b *testing.B) {
				b.ReportAllocs()
				size := 0
				for b.Loop() {
					r := group(b, 1)[0]
					typeIn(b, r, tr, every)
					size = 0
					for _, block := range r.order {
						size += block.Size()
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(tr.Txns)), "ns/edit")
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}

// BenchmarkPull is all of a history into an empty document.
func BenchmarkPull(b *testing.B) {
	pull := func(name string, id commit.ID, blocks []block.Block, heads []crdt.Head) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var before, after runtime.MemStats
			var r *replica
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				r = join(b, key(9), id)
				if _, err := r.Apply(blocks, heads); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)), "heap-bytes")
			b.ReportMetric(float64(len(blocks)), "commits")
			runtime.KeepAlive(r)
		})
	}
	for _, name := range sequential {
		r := group(b, 1)[0]
		typeIn(b, r, load(b, name), 100)
		pull(name, r.ID(), r.order, r.heads())
	}
	id, blocks, heads := history(b, load(b, "friendsforever.concurrent"))
	pull("friendsforever.concurrent", id, blocks, heads)
}
