package crdt

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/pack"
)

// Restore is a replica with the state of a snapshot, without applying the commits again. The
// heads are those of the snapshot, with their signatures; edits are by the author.
//
// A snapshot is believed, and so are the signatures. Its checksum finds accidents; but that the
// state is what the commits make of the document, nobody can know without applying them. So a
// snapshot from one's own disk is as good as the commits there; to take one from somebody else
// is to trust them as much as all writers together.
func Restore(snapshot []byte, heads []Head, author commit.Author, blocks Blocks) (*Doc, error) {
	d, err := restore(snapshot, author, blocks)
	if err != nil {
		return nil, err
	}
	return d, d.hold(heads)
}

func restore(snapshot []byte, author commit.Author, blocks Blocks) (*Doc, error) {
	n := len(snapshot) - 4
	if n < len(magic)+len(commit.ID{}) || string(snapshot[:len(magic)]) != magic {
		return nil, fmt.Errorf("restore document: no snapshot: %w", ErrSnapshot)
	}
	if checksum(snapshot[:n]) != binary.BigEndian.Uint32(snapshot[n:]) {
		return nil, fmt.Errorf("restore document: checksum: %w", ErrSnapshot)
	}
	d := New(commit.ID(snapshot[len(magic):]), author, blocks)
	r := &restorer{Reader: pack.NewReader(snapshot[len(magic)+len(d.id) : n]), history: d.history}
	d.base = r.header(d.id, snapshot)
	d.history.base = d.base
	r.commits()
	r.authors()
	r.grants()
	r.horizons()
	r.undos()
	r.mapping(d.root, 0)
	r.End()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("restore %s: %w: %w", d.id, ErrSnapshot, err)
	}
	if d.base == nil && len(d.history.ids) > 0 && d.history.ids[0] != d.id {
		return nil, fmt.Errorf("restore %s: begins with %s: %w", d.id, d.history.ids[0], ErrSnapshot)
	}
	return d, nil
}

// hold keeps the signatures of all heads.
func (d *Doc) hold(heads []Head) error {
	h := d.history
	for _, n := range h.graph.Heads() {
		i := slices.IndexFunc(heads, func(head Head) bool { return head.ID == h.ids[n] })
		if i < 0 || heads[i].Signature == nil {
			return fmt.Errorf("restore %s: head %s is not signed: %w", d.id, h.ids[n], ErrInvalid)
		}
		d.signed[heads[i].ID] = heads[i].Signature
	}
	return nil
}

// restorer reads a snapshot.
type restorer struct {
	*pack.Reader
	history *history
}

func (r *restorer) commits() {
	h := r.history
	n := r.Count(len(commit.ID{}))
	ids := r.Bytes(n * len(commit.ID{}))
	h.ids = make([]commit.ID, n)
	h.gens = make([]uint32, 0, n)
	for i := range h.ids {
		copy(h.ids[i][:], ids[i*len(commit.ID{}):])
	}
	var parents []int
	for range r.Count(2) {
		first := h.graph.Len()
		size := r.UpTo(n - first)
		parents = parents[:0]
		gen := uint32(0)
		if first == 0 && h.base != nil {
			gen = h.base.gen - 1
		}
		for range r.Count(1) {
			p := first - r.UpTo(first)
			if len(parents) > 0 && p <= parents[len(parents)-1] || p == first {
				r.Fail("parent %d of %d", p, first)
				return
			}
			gen = max(gen, h.gens[p])
			parents = append(parents, p)
		}
		if size == 0 || (len(parents) == 0) != (first == 0) || len(parents) > commit.ParentsMax {
			r.Fail("%d commits after %d parents", size, len(parents))
			return
		}
		h.graph.AddChain(size, parents...)
		for range size {
			gen++
			h.gens = append(h.gens, gen)
		}
	}
	if h.graph.Len() != n {
		r.Fail("%d commits of %d", h.graph.Len(), n)
	}
}

func (r *restorer) authors() {
	h := r.history
	for range r.Count(len(commit.Author{})) {
		a := commit.Author(r.Bytes(len(commit.Author{})))
		h.known[a] = int32(len(h.authors))
		h.authors = append(h.authors, a)
		h.last = append(h.last, -1)
	}
	if len(h.known) != len(h.authors) {
		r.Fail("an author who is there twice")
	}
	h.author = make([]int32, 0, h.graph.Len())
	for left := h.graph.Len(); left > 0 && r.Err() == nil; left = h.graph.Len() - len(h.author) {
		a, n := r.UpTo(len(h.authors)-1), r.UpTo(left)
		if n == 0 {
			r.Fail("no commits")
		}
		for range n {
			h.author = append(h.author, int32(a))
		}
		if r.Err() == nil {
			h.last[a] = len(h.author) - 1
		}
	}
}

// commit reads the number of a commit.
func (r *restorer) commit() int { return r.UpTo(r.history.graph.Len() - 1) }

func (r *restorer) grants() {
	at := 0
	for range r.Count(3 + len(commit.Author{})) {
		at = r.after(at)
		g := grant{commit: at, index: r.UpTo(commit.SizeMax) - 1}
		role := r.UpTo(int(commit.Manage))
		author := r.Bytes(len(g.author))
		if r.Err() != nil {
			return
		}
		g.role, g.author = commit.Role(role), commit.Author(author)
		r.history.grant(g)
	}
}

// after reads a commit, as how far it is after another one.
func (r *restorer) after(c int) int {
	return c + r.UpTo(r.history.graph.Len()-1-c)
}

func (r *restorer) horizons() {
	h := r.history
	h.floor = r.UpTo(h.graph.Len()) - 1
	for range r.Count(2 + len(commit.Digest{}) + len(commit.Signature{})) {
		z := &horizon{by: r.commit(), at: r.commit()}
		copy(z.digest[:], r.Bytes(len(z.digest)))
		copy(z.signature[:], r.Bytes(len(z.signature)))
		if r.Err() != nil {
			return
		}
		if !h.graph.Contains([]int{z.by}, z.at) {
			r.Fail("horizon %d named by %d", z.at, z.by)
			return
		}
		h.survey(z)
		h.horizons = append(h.horizons, z)
	}
	if h.base != nil && h.floor < 0 {
		r.Fail("a base that is no horizon")
	}
}

func (r *restorer) undos() {
	at := 0
	for range r.Count(3) {
		at = r.after(at)
		targets := []int{}
		for range r.Count(1) {
			targets = append(targets, r.UpTo(at))
		}
		r.history.undos[at] = targets
	}
}

// mapping reads what is in a map.
func (r *restorer) mapping(parent *object, depth int) {
	if depth > commit.DepthMax {
		r.Fail("objects at depth %d", depth)
		return
	}
	children := parent.content.(*mapping).children
	last := name{}
	for range r.Count(4) {
		n := name{string(r.Sized()), commit.Kind(r.UpTo(int(commit.Set)))}
		if n.kind == 0 || n.compare(last) <= 0 && len(children) > 0 || !utf8.ValidString(n.key) {
			r.Fail("object %q of kind %d", n.key, n.kind)
		}
		if r.Err() != nil {
			return
		}
		last = n
		o := newObject(parent, n)
		o.made = r.dots(func(*dot) {})
		r.content(o, depth)
		children[n] = o
	}
}

func (r *restorer) content(o *object, depth int) {
	value := func(d *dot) { d.value = r.value() }
	switch c := o.content.(type) {
	case *mapping:
		r.mapping(o, depth+1)
	case *sum:
		c.dots = r.dots(func(d *dot) { d.delta = r.Signed() })
	case *register:
		c.dots = r.dots(value)
	case *set:
		last := ""
		for range r.Count(3) {
			e := r.value()
			dots := r.dots(func(*dot) {})
			if e <= last || len(dots) == 0 {
				r.Fail("element %q", e)
				return
			}
			c.elements[e], last = dots, e
		}
	case *text:
		r.sequence(&c.ordered)
		s := r.Sized()
		if !utf8.Valid(s) || utf8.RuneCount(s) != c.seq.Len() {
			r.Fail("a text of another length")
			return
		}
		c.rope.Insert(0, s)
	case *list:
		r.sequence(&c.ordered)
		var values []string
		for range r.Count(2) {
			values = append(values, r.value())
		}
		if len(values) != c.seq.Len() {
			r.Fail("a list of another length")
			return
		}
		c.values.insert(0, values)
	}
}

func (r *restorer) value() string {
	v := r.Sized()
	if r.Err() == nil && !commit.IsValue(v) {
		r.Fail("%x is no value", v)
	}
	return string(v)
}

func (r *restorer) sequence(o *ordered) { o.seq.Read(r.Reader, &r.history.graph) }

// dots reads dots, and what else there is about each.
func (r *restorer) dots(also func(*dot)) []dot {
	var dots []dot
	for range r.Count(1) {
		d := dot{commit: r.commit()}
		also(&d)
		dots = append(dots, d)
	}
	return dots
}
