package crdt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/causal"
	"github.com/p2pnode/p2pnode/crdt/pack"
)

// A snapshot is the state of a document and all that must be known to apply more commits,
// but not the commits. Commits are known by their place in an order on which all replicas
// agree. In unsigned varints where nothing else is said:
//
//	magic     5 bytes
//	document  32 bytes
//	base      length, the base with which the history begins; or 0 if it is no other snapshot
//	genesis   length, the first commit, of a base; or 0. Then its gen, and 32 bytes of each of its
//	          spine
//	ids       how many commits; 32 bytes of each
//	runs      how many chains; of each: commits, parents of the first, of each how far back
//	authors   how many; 32 bytes of each
//	by        runs of commits by one author: author, commits
//	grants    how many; of each: commits since the grant before it, index, role, 32 bytes
//	horizon   0, or 1 more than the commit
//	proposed  how many horizons, that in effect included; of each: commit that names it, commit, 32 bytes, 64 bytes
//	undos     how many; of each: commits since the one before it, how many it undoes, those
//	root      what the map holds: how many objects; of each: length of the key, key, kind, dots
//	          that made it, content
//	checksum  4 bytes: CRC-32C of all before
//
//	dots      how many; of each: commit, and of counters the zigzag delta, of registers and
//	          sets the value
//	content   of a map: as root; of counters and registers: dots; of a set: how many elements,
//	          of each its value and dots; of a text: the sequence, length, UTF-8; of a list: the
//	          sequence, how many values, those. A value is its length and its bytes
//
// Objects, elements and dots are in ascending order.
const magic = "crdt\x02"

// checksum is a CRC-32C, which processors compute.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Snapshot is the document in bytes, for Restore. They are the same wherever the same commits
// were applied, in whatever order: so a version can be named by the hash of its snapshot. Heads
// are in it, but not their signatures. Edits must be sealed.
func (d *Doc) Snapshot() ([]byte, error) {
	if d.open != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", d.id, ErrOpen)
	}
	if d.broken != nil {
		return nil, d.broken
	}
	h := d.history
	order := h.graph.Sorted([]causal.Span{{End: h.graph.Len()}}, func(a, b int) bool { return h.ids[a].Compare(h.ids[b]) < 0 })
	w := &writer{history: h, number: make([]int32, len(order)), order: order}
	for i, n := range order {
		w.number[n] = int32(i)
	}
	w.b = append(append(w.b, magic...), d.id[:]...)
	w.header(d)
	w.commits()
	w.grants()
	w.horizons()
	w.undos()
	w.mapping(d.root.content.(*mapping))
	return binary.BigEndian.AppendUint32(w.b, checksum(w.b)), nil
}

// writer writes a snapshot.
type writer struct {
	b       []byte
	history *history
	order   []int   // commits
	number  []int32 // the place of each in the order
	graph   causal.Graph
}

func (w *writer) uint(n int) { w.b = pack.AppendUint(w.b, n) }

func (w *writer) commits() {
	h := w.history
	w.uint(len(w.order))
	for _, n := range w.order {
		w.b = append(w.b, h.ids[n][:]...)
	}
	var parents []int
	for _, n := range w.order {
		parents = h.graph.Parents(parents[:0], n)
		for i, p := range parents {
			parents[i] = int(w.number[p])
		}
		slices.Sort(parents)
		w.graph.Add(parents...)
	}
	runs := 0
	for range w.graph.Runs() {
		runs++
	}
	w.uint(runs)
	for s, parents := range w.graph.Runs() {
		w.uint(s.Len())
		w.uint(len(parents))
		for _, p := range parents {
			w.uint(s.First - int(p))
		}
	}
	known := make(map[int32]int)
	var authors []int32
	for _, n := range w.order {
		a := h.author[n]
		if _, ok := known[a]; !ok {
			known[a] = len(authors)
			authors = append(authors, a)
		}
	}
	w.uint(len(authors))
	for _, a := range authors {
		w.b = append(w.b, h.authors[a][:]...)
	}
	for i := 0; i < len(w.order); {
		a, first := h.author[w.order[i]], i
		for i < len(w.order) && h.author[w.order[i]] == a {
			i++
		}
		w.uint(known[a])
		w.uint(i - first)
	}
}

func (w *writer) grants() {
	var list []grant
	for _, grants := range w.history.grants {
		for _, g := range grants {
			g.commit = int(w.number[g.commit])
			list = append(list, g)
		}
	}
	slices.SortFunc(list, grant.compare)
	w.uint(len(list))
	last := 0
	for _, g := range list {
		w.uint(g.commit - last)
		w.uint(g.index + 1)
		w.b = append(append(w.b, byte(g.role)), g.author[:]...)
		last = g.commit
	}
}

func (w *writer) horizons() {
	h := w.history
	if h.floor < 0 {
		w.uint(0)
	} else {
		w.uint(int(w.number[h.floor]) + 1)
	}
	var list []*horizon
	for _, z := range h.horizons {
		if h.keeps(z) && !(z.witness && h.outranks(z.at, h.floor)) {
			list = append(list, z)
		}
	}
	slices.SortStableFunc(list, func(a, b *horizon) int { return int(w.number[a.by] - w.number[b.by]) })
	w.uint(len(list))
	for _, z := range list {
		w.uint(int(w.number[z.by]))
		w.uint(int(w.number[z.at]))
		w.b = append(append(w.b, z.digest[:]...), z.signature[:]...)
	}
}

func (w *writer) undos() {
	w.uint(len(w.history.undos))
	last := 0
	for i, n := range w.order {
		targets, ok := w.history.undos[n]
		if !ok {
			continue
		}
		w.uint(i - last)
		last = i
		w.uint(len(targets))
		for _, t := range targets {
			w.uint(int(w.number[t]))
		}
	}
}

// kept tells whether the object must be remembered.
func (o *object) kept() bool {
	if m, ok := o.content.(*mapping); ok {
		for _, child := range m.children {
			if child.kept() {
				return true
			}
		}
		return len(o.made) > 0
	}
	return len(o.made) > 0 || !o.content.spent()
}

func (w *writer) mapping(m *mapping) {
	var list []*object
	for _, o := range m.children {
		if o.kept() {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *object) int { return a.name.compare(b.name) })
	w.uint(len(list))
	for _, o := range list {
		w.b = append(pack.AppendSized(w.b, o.name.key), byte(o.name.kind))
		w.dots(o.made, nil)
		w.content(o.content)
	}
}

func (w *writer) content(c content) {
	value := func(d dot) { w.b = pack.AppendSized(w.b, d.value) }
	switch c := c.(type) {
	case *mapping:
		w.mapping(c)
	case *sum:
		w.dots(c.dots, func(d dot) { w.b = binary.AppendVarint(w.b, d.delta) })
	case *register:
		w.dots(c.dots, value)
	case *set:
		w.uint(len(c.elements))
		for _, e := range c.sorted() {
			w.b = pack.AppendSized(w.b, e)
			w.dots(c.elements[e], nil)
		}
	case *text:
		w.b = c.seq.Append(w.b, &w.graph, w.number)
		w.b = pack.AppendSized(w.b, c.rope.String())
	case *list:
		w.b = c.seq.Append(w.b, &w.graph, w.number)
		w.uint(c.values.n)
		for v := range c.values.all() {
			w.b = pack.AppendSized(w.b, v)
		}
	}
}

// dots writes dots, and what else, unless that is nil, there is about each.
func (w *writer) dots(dots []dot, also func(dot)) {
	w.uint(len(dots))
	sorted := slices.SortedStableFunc(slices.Values(dots), func(x, y dot) int { return int(w.number[x.commit]) - int(w.number[y.commit]) })
	for _, d := range sorted {
		w.uint(int(w.number[d.commit]))
		if also != nil {
			also(d)
		}
	}
}

// compare orders grants by when they were made.
func (g grant) compare(o grant) int {
	return cmp.Or(cmp.Compare(g.commit, o.commit), cmp.Compare(g.index, o.index), slices.Compare(g.author[:], o.author[:]))
}
