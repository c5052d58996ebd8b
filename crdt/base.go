package crdt

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/pack"
)

// base is a document as of a horizon, as which the history begins where nothing older is kept. It
// has one commit, the horizon, by which everything is there: nobody who follows it needs to know
// more. So the bytes of it are the same wherever the document is.
type base struct {
	bytes    []byte // a snapshot
	genesis  block.Block
	founders map[commit.Author]bool
	gen      uint32
	spine    []commit.ID // see spineOf
}

// spineOf is what later commits may have to refer to: for 8, 16, 32 and so on, as long as that is
// not more than the gen of commit n, the commit on the longest chain whose gen is the greatest
// multiple of it.
func (h *history) spineOf(n int) []commit.ID {
	var spine []commit.ID
	gen := h.gens[n]
	for back := uint32(commit.RefsEvery); back <= gen; back *= 2 {
		at, id := h.back(n, gen/back*back)
		if at >= 0 {
			n = at
		}
		spine = append(spine, id)
	}
	return spine
}

// back is the ancestor of commit n, or n, on the longest chain with this gen. Of one that is before
// the base only the ID is known.
func (h *history) back(n int, gen uint32) (at int, id commit.ID) {
	if h.base != nil && gen < h.gens[0] {
		for i, back := 0, uint32(commit.RefsEvery); i < len(h.base.spine); i, back = i+1, 2*back {
			if h.base.gen/back*back == gen {
				return -1, h.base.spine[i]
			}
		}
		panic("crdt: a ref that no commit can have")
	}
	for first := h.graph.First(n); h.gens[first] > gen; first = h.graph.First(n) {
		n = h.main(h.graph.Parents(nil, first))
	}
	n -= int(h.gens[n] - gen)
	return n, h.ids[n]
}

// newBase reads the first commit of a document.
func newBase(doc commit.ID, data []byte) (*base, error) {
	genesis, err := commit.Block(data)
	if err != nil {
		return nil, err
	}
	c, id, err := commit.Decode(genesis)
	if err != nil {
		return nil, err
	}
	ops, err := parseOps(c)
	if err != nil || id != doc {
		return nil, fmt.Errorf("first commit %s of %s: %w", id, doc, ErrSnapshot)
	}
	h := newHistory()
	h.name(h.add(c.Author, nil), id)
	for _, g := range grants(c, 0, commit.Manage, ops) {
		h.grant(g)
	}
	b := &base{genesis: genesis, founders: make(map[commit.Author]bool)}
	for a := range h.grants {
		b.founders[a] = h.founder(a)
	}
	return b, nil
}

// BaseSizeMax is how many bytes a document may have as of a horizon.
const BaseSizeMax = 32 << 20

// Base is a document as of a horizon, signed by somebody who manages it since its first commit.
type Base struct {
	At        commit.ID // the horizon
	Author    commit.Author
	Signature commit.Signature
	Bytes     []byte
}

// CertificateSize is how many bytes a base has besides its Bytes.
const CertificateSize = len(commit.ID{}) + len(commit.Author{}) + len(commit.Signature{})

// Encode makes bytes of a base: the horizon (32), the author (32), the signature (64), the bytes.
func (b *Base) Encode() []byte {
	return slices.Concat(b.At[:], b.Author[:], b.Signature[:], b.Bytes)
}

// DecodeBase reads what Encode wrote, as far as to tell its parts. It keeps data.
func DecodeBase(data []byte) (b Base, err error) {
	if len(data) < CertificateSize || len(data) > CertificateSize+BaseSizeMax {
		return b, fmt.Errorf("read base: %d bytes: %w", len(data), ErrSnapshot)
	}
	data = data[copy(b.At[:], data):]
	data = data[copy(b.Author[:], data):]
	b.Bytes = data[copy(b.Signature[:], data):]
	return b, nil
}

// verify tells whether a base is signed by somebody who manages the document since its first commit. So
// strangers cannot make anybody read it.
func (b *Base) verify(doc commit.ID) error {
	head := len(magic) + len(doc)
	if len(b.Bytes) < head+4 || string(b.Bytes[:head]) != magic+string(doc[:]) {
		return fmt.Errorf("not of this document: %w", ErrSnapshot)
	}
	r := pack.NewReader(b.Bytes[head:])
	if inner := r.Sized(); len(inner) > 0 || r.Err() != nil {
		return fmt.Errorf("no base: %w", ErrSnapshot)
	}
	begun, err := newBase(doc, r.Sized())
	if err != nil {
		return fmt.Errorf("first commit: %w: %w", ErrSnapshot, err)
	}
	if !begun.founders[b.Author] || !commit.VerifyBase(b.Author, doc, b.At, sha256.Sum256(b.Bytes), &b.Signature) {
		return fmt.Errorf("signature: %w", ErrSnapshot)
	}
	return nil
}

// Base is the document as of the horizon in effect, in bytes which are the same on every replica. With it, and
// the commits that follow the horizon, others can begin (Begin). It takes as long as applying the
// commits before it did, unless Compact was called. Without a horizon the error is ErrMissing.
func (d *Doc) Base() (Base, error) {
	h := d.history
	if h.floor < 0 {
		return Base{}, fmt.Errorf("base of %s: no horizon: %w", d.id, ErrMissing)
	}
	data, err := d.baseAt(h.floor, &source{blocks: d.blocks})
	if err != nil {
		return Base{}, err
	}
	return d.signedBase(h.floor, data)
}

// signedBase is the base at a horizon, of which these are the bytes, with the signature of who named it.
func (d *Doc) signedBase(at int, data []byte) (Base, error) {
	h := d.history
	digest := commit.Digest(sha256.Sum256(data))
	var by *horizon // of several who named it the one whose commit comes first by ID
	for _, z := range h.horizons {
		if z.at == at && z.digest == digest && (by == nil || h.ids[z.by].Compare(h.ids[by.by]) < 0) {
			by = z
		}
	}
	if by == nil {
		return Base{}, fmt.Errorf("base of %s: who named the horizon: %w", d.id, ErrMissing)
	}
	return Base{h.ids[at], h.authorOf(by.by), by.signature, data}, nil
}

// baseAt is the base at a critical commit.
func (d *Doc) baseAt(n int, from *source) ([]byte, error) {
	if d.base != nil && n == 0 {
		return d.base.bytes, nil
	}
	past, err := d.at([]int{n}, from)
	if err != nil {
		return nil, err
	}
	genesis, err := d.genesis(from)
	if err != nil {
		return nil, err
	}
	h, last := past.history, past.history.graph.Len()-1
	b, err := newBase(d.id, genesis.RawData())
	if err != nil {
		return nil, err
	}
	b.gen, b.spine = h.gens[last], h.spineOf(last)
	folded := New(d.id, d.author, d.blocks)
	folded.base, folded.history.base = b, b
	folded.history.name(folded.history.add(h.authorOf(last), nil), h.ids[last])
	folded.history.gens[0], folded.history.floor = b.gen, 0
	for _, a := range sortedAuthors(past.Members()) {
		folded.history.grant(grant{index: -1, author: a, role: past.Role(a)})
	}
	folded.root = past.root.fold(nil, h)
	return folded.Snapshot()
}

// genesis is the first commit of the document.
func (d *Doc) genesis(from *source) (block.Block, error) {
	if d.base != nil {
		return d.base.genesis, nil
	}
	return from.block(d.id)
}

// Begin is a replica that begins with a base. It must be given the commits that follow it, and is
// not to be trusted before Proven says so.
func Begin(id commit.ID, b Base, author commit.Author, blocks Blocks) (*Doc, error) {
	if err := b.verify(id); err != nil {
		return nil, fmt.Errorf("begin %s: %w", id, err)
	}
	d, err := restore(b.Bytes, author, blocks)
	if err != nil {
		return nil, err
	}
	if d.id != id || d.base == nil || len(d.history.ids) != 1 || d.history.ids[0] != b.At {
		return nil, fmt.Errorf("begin %s: not its base: %w", id, ErrSnapshot)
	}
	return d, nil
}

// Proven tells whether the base with which the document begins is in effect as a horizon, by what
// follows it: somebody who manages the document since its first commit has named it, and all who
// may write have seen that. Who has two histories, or would rewrite that of others, and manages the
// document since its first commit, can make it say anything: that is what a manager is trusted for.
func (d *Doc) Proven() bool {
	return d.base != nil && slices.ContainsFunc(d.history.horizons, func(z *horizon) bool {
		return z.at == 0 && z.witness && z.digest == sha256.Sum256(d.base.bytes)
	})
}

// Compacted tells whether the history begins with a base: see Origin.
func (d *Doc) Compacted() bool { return d.base != nil }

// Origin is the base with which the history begins since Compact, or Begin, was called. Its horizon may
// be an older one than that in effect. Without one the error is ErrMissing.
func (d *Doc) Origin() (Base, error) {
	if d.base == nil {
		return Base{}, fmt.Errorf("base of %s: all its history is here: %w", d.id, ErrMissing)
	}
	return d.signedBase(0, d.base.bytes)
}

// Compact forgets the history before the horizon. The commits that are not needed any more it
// returns: those before the horizon, the horizon itself, and what it leaves outside. Versions before it are not to be had
// any more (ErrBeforeHorizon). If there is no horizon, or nothing before it, none are returned.
func (d *Doc) Compact() ([]commit.ID, error) {
	if d.open != nil {
		return nil, fmt.Errorf("compact %s: %w", d.id, ErrOpen)
	}
	if d.broken != nil {
		return nil, d.broken
	}
	from := &source{blocks: d.blocks}
	outside, err := d.conclude(from)
	if err != nil {
		d.broken = err
		return nil, err
	}
	gone := slices.Collect(maps.Keys(outside))
	floor := d.history.floor
	if floor < 0 || floor == 0 && d.base != nil {
		return gone, nil
	}
	data, err := d.baseAt(floor, from)
	if err != nil {
		return nil, err
	}
	gone, rest := append(gone, d.history.ids[:floor+1]...), slices.Clone(d.history.ids[floor:])
	begun, err := restore(data, d.author, d.blocks)
	if err != nil {
		return nil, err
	}
	d.base = begun.base
	if err = d.rebuild(rest, from, nil); err == nil {
		_, err = d.settle(from)
	}
	if err != nil {
		d.broken = err
		return nil, err
	}
	for _, w := range slices.Clone(d.waiting.order) {
		if w.commit.Gen <= uint64(d.base.gen) {
			d.reject(w, ErrBeforeHorizon, new(Report))
		}
	}
	d.merge()
	d.forget()
	return gone, nil
}

// origin is with what the history begins.
func (d *Doc) origin() (*history, *object, error) {
	if d.base == nil {
		return newHistory(), newObject(nil, name{kind: commit.Map}), nil
	}
	begun, err := restore(d.base.bytes, d.author, d.blocks)
	if err != nil {
		return nil, nil, err
	}
	return begun.history, begun.root, nil
}

// blank is a replica that begins as this one does.
func (d *Doc) blank() *Doc {
	b := New(d.id, d.author, d.blocks)
	b.base, b.judged = d.base, d.judged
	return b
}

// fold is the object as of a horizon, which is the newest commit: by that everything is there.
func (o *object) fold(parent *object, h *history) *object {
	f := newObject(parent, o.name)
	last := h.graph.Len() - 1
	f.made = renumber(h.first(o.made, last))
	switch c := o.content.(type) {
	case *mapping:
		children := f.content.(*mapping).children
		for _, child := range c.sorted() {
			children[child.name] = child.fold(f, h)
		}
	case *sum:
		f.content = &sum{dots: renumber(c.fold(h, last).dots)}
	case *register:
		f.content = &register{dots: renumber(c.fold(h, last).dots), multi: c.multi}
	case *set:
		for e, dots := range c.elements {
			f.content.(*set).elements[e] = renumber(h.first(dots, last))
		}
	case *text:
		t := f.content.(*text)
		t.seq.Begin(c.seq.Len())
		t.rope.Insert(0, []byte(c.rope.String()))
	case *list:
		l := f.content.(*list)
		l.seq.Begin(c.seq.Len())
		l.values.insert(0, c.part(0, c.values.n))
	}
	return f
}

// renumber makes dots those of commit 0.
func renumber(dots []dot) []dot {
	dots = slices.Clone(dots)
	for i := range dots {
		dots[i].commit = 0
	}
	return dots
}

// until cuts dots into those up to a horizon, which all that follows it has seen, and the rest.
func until(dots []dot, horizon int) (old, rest []dot) {
	for _, d := range dots {
		if d.commit <= horizon {
			old = append(old, d)
		} else {
			rest = append(rest, d)
		}
	}
	return old, rest
}

// first makes one dot of all up to a horizon that only say that something is there.
func (h *history) first(dots []dot, horizon int) []dot {
	old, rest := until(dots, horizon)
	if len(old) == 0 {
		return dots
	}
	return append([]dot{{commit: horizon}}, rest...)
}

// fold makes one dot of all up to a horizon.
func (c *sum) fold(_ *history, horizon int) *sum {
	old, rest := until(c.dots, horizon)
	if len(old) == 0 {
		return c
	}
	total := (&sum{dots: old}).total()
	return &sum{dots: append([]dot{{commit: horizon, delta: total}}, rest...)}
}

// fold keeps of the dots up to a horizon what readers see, the winner first.
func (r *register) fold(h *history, horizon int) *register {
	old, rest := until(r.dots, horizon)
	old = (&register{dots: old}).sorted(h)
	if !r.multi {
		old = old[:min(1, len(old))]
	}
	for i := range old {
		old[i].commit = horizon
	}
	return &register{dots: append(old, rest...), multi: r.multi}
}

// header writes how the history begins.
func (w *writer) header(d *Doc) {
	b := d.base
	switch {
	case b == nil:
		w.b = append(w.b, 0, 0)
	case b.bytes != nil:
		w.b = append(pack.AppendSized(w.b, b.bytes), 0)
	default:
		w.b = pack.AppendSized(append(w.b, 0), b.genesis.RawData())
		w.uint(int(b.gen))
		for _, id := range b.spine {
			w.b = append(w.b, id[:]...)
		}
	}
}

// header reads how the history begins: with the first commit if it returns nil.
func (r *restorer) header(doc commit.ID, whole []byte) *base {
	inner, genesis := r.Sized(), r.Sized()
	if len(inner) > 0 {
		if at := len(magic) + len(doc); len(inner) <= at || inner[at] != 0 {
			r.Fail("a base in a base")
			return nil
		}
		begun, err := restore(bytes.Clone(inner), commit.Author{}, nil)
		if err != nil || begun.base == nil || begun.id != doc {
			r.Fail("a base that is none")
			return nil
		}
		return begun.base
	}
	if len(genesis) == 0 {
		return nil
	}
	b, err := newBase(doc, genesis)
	if err != nil {
		r.Fail("first commit: %v", err)
		return nil
	}
	b.bytes, b.gen = whole, uint32(r.UpTo(1<<31-1))
	for back := uint64(commit.RefsEvery); back <= uint64(b.gen); back *= 2 {
		if id := r.Bytes(len(commit.ID{})); r.Err() == nil {
			b.spine = append(b.spine, commit.ID(id))
		}
	}
	return b
}
