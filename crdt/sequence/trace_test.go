package sequence_test

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/crdt/causal"
	"github.com/p2pnode/p2pnode/crdt/sequence"
)

// patch is [position, deleted, inserted].
type patch struct {
	pos, deleted int
	inserted     string
}

func (p *patch) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&p.pos, &p.deleted, &p.inserted})
}

// trace is a file of testdata, and one history of the conformance tests.
type trace struct {
	EndContent string
	Txns       []struct {
		Parents  []int
		Agent    any
		SeqStart int
		Patches  []patch // of traces
		Ops      []patch // of the conformance tests
	}
}

func load(t testing.TB, name string, v any) {
	t.Helper()
	f, err := os.Open("../testdata/" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// paper is a text that a Sink writes on, and all characters that were ever in it.
type paper struct {
	text, ever []rune
}

func (p *paper) Insert(pos, first, n int) {
	p.text = slices.Insert(p.text, pos, p.ever[first:first+n]...)
}

func (p *paper) Delete(pos, n int) { p.text = slices.Delete(p.text, pos, pos+n) }

// doc is one text, and who made which commit.
type doc struct {
	paper
	graph   causal.Graph
	seq     sequence.Sequence
	commits []commit
	merged  []int // heads at the last merge
	voids   bool
}

// commit is one of a doc, without its parents.
type commit struct {
	name
	removes string // the agent, or none, whose concurrent commits it makes void
	patches []patch
}

// name orders concurrent commits.
type name struct {
	agent string
	seq   int
}

func (n name) before(m name) bool {
	return cmp.Or(cmp.Compare(n.agent, m.agent), n.seq-m.seq) < 0
}

// Before, Void and Voids make a doc a Judge.
func (d *doc) Before(a, b int) bool { return d.commits[a].name.before(d.commits[b].name) }

func (d *doc) Void(version []int) []int { return void(&d.graph, d.commits, version) }

func (d *doc) Voids() bool { return d.voids }

// void lists what is void in a version: what somebody who is removed in it has committed
// without knowing.
func void(g *causal.Graph, commits []commit, version []int) []int {
	var out []int
	for c := range commits {
		if slices.ContainsFunc(commits[c].removers(g, commits, version), func(r int) bool {
			return g.Contains(version, c) && !g.Contains([]int{r}, c) && !g.Contains([]int{c}, r)
		}) {
			out = append(out, c)
		}
	}
	return out
}

// removers are the commits of a version that remove the author of c.
func (c commit) removers(g *causal.Graph, commits []commit, version []int) []int {
	var out []int
	for r, other := range commits {
		if other.removes == c.agent && g.Contains(version, r) {
			out = append(out, r)
		}
	}
	return out
}

func (d *doc) add(c commit, parents ...int) int {
	n := d.graph.Add(parents...)
	d.commits = append(d.commits, c)
	d.voids = d.voids || c.removes != ""
	d.log(n)
	return n
}

func (d *doc) commit(n name, parents []int, patches ...patch) int {
	return d.add(commit{name: n, patches: patches}, parents...)
}

// log adds the operations of commit c to the sequence.
func (d *doc) log(c int) {
	for _, p := range d.commits[c].patches {
		d.seq.Delete(&d.graph, c, p.pos, p.deleted)
		if text := []rune(p.inserted); len(text) > 0 {
			if _, ok := d.seq.Insert(&d.graph, c, p.pos, len(text)); ok {
				d.ever = append(d.ever, text...)
			}
		}
	}
}

// merge merges, from the beginning if what was merged before has become void.
func (d *doc) merge() {
	if d.Voids() {
		was, is := d.Void(d.merged), d.Void(d.graph.Heads())
		if slices.ContainsFunc(is, func(c int) bool { return d.graph.Contains(d.merged, c) && !slices.Contains(was, c) }) {
			d.seq, d.paper = sequence.Sequence{}, paper{}
			for c := range d.commits {
				d.log(c)
			}
		}
	}
	d.seq.Merge(&d.graph, d, d)
	d.merged = append(d.merged[:0], d.graph.Heads()...)
}

// single takes operations apart into those of one character.
func single(patches []patch) []patch {
	var out []patch
	for _, p := range patches {
		for range p.deleted {
			out = append(out, patch{pos: p.pos, deleted: 1})
		}
		for i, r := range []rune(p.inserted) {
			out = append(out, patch{pos: p.pos + i, inserted: string(r)})
		}
	}
	return out
}

// The order is that of the reference implementation, whether commits are merged one by one
// or all at once, and whether each operation is a commit of its own.
func TestConformance(t *testing.T) {
	var histories []trace
	load(t, "egwalker-conformance-600", &histories)
	if len(histories) != 600 {
		t.Fatalf("%d histories, want 600", len(histories))
	}
	for i, h := range histories {
		var oneByOne, atOnce doc
		for _, txn := range h.Txns {
			parents := txn.Parents
			for k, op := range single(txn.Ops) {
				n := name{txn.Agent.(string), txn.SeqStart + k}
				atOnce.commit(n, parents, op)
				parents = []int{oneByOne.commit(n, parents, op)}
				oneByOne.merge()
			}
		}
		atOnce.merge()
		for how, got := range map[string]string{"one by one": string(oneByOne.text), "at once": string(atOnce.text)} {
			if got != h.EndContent {
				t.Errorf("history %d, %s: got %q, want %q", i, how, got, h.EndContent)
			}
		}
	}
}

func TestTraces(t *testing.T) {
	for _, name := range []string{"rustcode", "sveltecomponent", "friendsforever_flat", "json-crdt-patch", "friendsforever.concurrent"} {
		var tr trace
		load(t, name, &tr)
		for _, every := range []int{1, 1000, len(tr.Txns)} {
			d := replay(&tr, every)
			if got := string(d.text); got != tr.EndContent {
				t.Errorf("%s, merged every %d: got %d characters, want %d", name, every, len(d.text), len(tr.EndContent))
			}
			if d.seq.Len() != len(d.text) {
				t.Errorf("%s: length %d, want %d", name, d.seq.Len(), len(d.text))
			}
		}
	}
}

func replay(tr *trace, every int) *doc {
	d := new(doc)
	for i, txn := range tr.Txns {
		agent, concurrent := txn.Agent.(float64)
		parents := txn.Parents
		if !concurrent && i > 0 {
			parents = []int{i - 1}
		}
		d.commit(name{string(rune('a' + int(agent))), i}, parents, txn.Patches...)
		if i%every == 0 {
			d.merge()
		}
	}
	d.merge()
	return d
}
