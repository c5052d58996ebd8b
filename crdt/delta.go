package crdt

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Delta is how an object has changed. Objects of different kinds under one key have deltas of
// their own, though a reader sees one of them only.
type Delta struct {
	Path   []string
	Kind   commit.Kind
	Change Change
	// Old and New are the values of counters and registers, as View has them; nil if there was
	// or is none.
	Old, New any
	// Splices turn what a text or list was into what it is, one after the other.
	Splices []Splice
	// Added and Gone are elements of a set, in the order of their bytes.
	Added, Gone []any
}

// Change says what has become of an object.
type Change byte

// The changes.
const (
	Made    Change = 1 + iota // it was not there
	Changed                   // it holds something else
	Removed                   // it is not there any more
)

// Splice replaces a part of a text or list: Old of a text, or OldValues of a list, from Pos
// on by what is New. Pos is valid after the splices before it.
type Splice struct {
	Pos                  int
	Old, New             string
	OldValues, NewValues []any
}

// Deltas is what Apply and Update have changed since it was called last: maps before what is
// in them, in the order of keys and kinds. The first call tells nothing; from then on the Doc
// notes changes, which takes time and memory in proportion to them.
func (d *Doc) Deltas() []Delta {
	notes := d.notes
	d.notes = make(map[string]*note)
	var deltas []Delta
	for _, n := range notes {
		if delta, ok := n.delta(d.history, d.object(n.kind, n.path)); ok {
			deltas = append(deltas, delta)
		}
	}
	slices.SortFunc(deltas, func(a, b Delta) int {
		return cmp.Or(slices.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
	return deltas
}

// note is what an object was before it changed.
type note struct {
	path     []string
	kind     commit.Kind
	live     bool
	old      any             // of counters and registers
	elements map[string]bool // of a set: whether it had them, of those that may have changed
	text     was[rune]
	list     was[string]
}

// was is what a text or list was: whole, or how it differs from what it is.
type was[E comparable] struct {
	edits *edits[E]
	whole []E
}

// note notes what an object is before an operation, and those it is in, if Deltas will ask.
func (d *Doc) note(o *object, op commit.Op) {
	if d.notes == nil || o.parent == nil {
		return
	}
	d.note(o.parent, commit.Op{Code: commit.OpMake})
	n := d.noteOf(o)
	switch c := o.content.(type) {
	case *set:
		if op.Code == commit.OpClear {
			n.keep(c, c.sorted()...)
		} else if op.Code != commit.OpMake {
			n.keep(c, string(op.Data))
		}
	case *mapping:
		if op.Code == commit.OpClear {
			for _, child := range c.children {
				d.note(child, op)
			}
		}
	}
}

// noteOf is the note of an object, made if there is none.
func (d *Doc) noteOf(o *object) *note {
	key := string(o.key(nil))
	n, ok := d.notes[key]
	if !ok {
		n = &note{path: o.path(), kind: o.name.kind, live: o.live()}
		n.text.edits, n.list.edits = new(edits[rune]), new(edits[string])
		n.elements = make(map[string]bool)
		d.notes[key] = n
	}
	switch c := o.content.(type) {
	case *sum, *register:
		if n.live && !ok {
			n.old = c.view(d.history)
		}
	case *text: // which may be another one than before, if that was spent
		if c.edits = n.text.edits; c.edits != nil {
			c.edits.read = c.runes
		}
	case *list:
		if c.edits = n.list.edits; c.edits != nil {
			c.edits.read = c.part
		}
	}
	return n
}

// keep notes whether a set has elements.
func (n *note) keep(s *set, elements ...string) {
	for _, e := range elements {
		if _, ok := n.elements[e]; !ok {
			n.elements[e] = len(s.elements[e]) > 0
		}
	}
}

// noteAll notes all that there is, whole, as it will be computed again.
func (d *Doc) noteAll(o *object) {
	if o.parent != nil {
		n := d.noteOf(o)
		switch c := o.content.(type) {
		case *set:
			n.keep(c, c.sorted()...)
		case *text:
			n.text.settle(c.seq.Len())
		case *list:
			n.list.settle(c.seq.Len())
		}
	}
	if m, ok := o.content.(*mapping); ok {
		for _, child := range m.children {
			d.noteAll(child)
		}
	}
}

// noteNone notes that what is in the state that the history begins with, and was not noted, was not
// there before: it was removed since.
func (d *Doc) noteNone(o *object) {
	if o.parent != nil {
		key := string(o.key(nil))
		n := d.notes[key]
		if n == nil {
			n = &note{path: o.path(), kind: o.name.kind, elements: make(map[string]bool)}
			d.notes[key] = n
		}
		if s, ok := o.content.(*set); ok {
			for e := range s.elements {
				if !n.elements[e] {
					n.elements[e] = false // it was not noted, or is noted as this
				}
			}
		}
	}
	if m, ok := o.content.(*mapping); ok {
		for _, child := range m.children {
			d.noteNone(child)
		}
	}
}

// settle makes it whole, of what has n elements now.
func (w *was[E]) settle(n int) {
	if w.edits != nil {
		w.whole, w.edits = w.edits.whole(n), nil
	}
}

// hunks turn what it was into what it is now, with n elements.
func (w *was[E]) hunks(n int, read func(pos, n int) []E) []hunk[E] {
	if w.edits != nil {
		return w.edits.list
	}
	now := read(0, n)
	// It is not known what has moved: all between what is the same at both ends has changed.
	old := w.whole
	from, end := same(old, now)
	if len(old) == from+end && len(now) == from+end {
		return nil
	}
	return []hunk[E]{{pos: from, n: len(now) - from - end, back: old[from : len(old)-end]}}
}

// same is how many elements are the same in the front, and of the rest in the back.
func same[E comparable](a, b []E) (front, back int) {
	n := min(len(a), len(b))
	for front < n && a[front] == b[front] {
		front++
	}
	for back < n-front && a[len(a)-1-back] == b[len(b)-1-back] {
		back++
	}
	return front, back
}

// delta is how an object, nil if it is not there, differs from what it was.
func (n *note) delta(h *history, o *object) (d Delta, changed bool) {
	if o == nil {
		o = newObject(nil, name{kind: n.kind})
	}
	d = Delta{Path: n.path, Kind: n.kind, Change: Changed, Old: n.old}
	live := o.live()
	switch {
	case live && !n.live:
		d.Change = Made
	case !live && n.live:
		d.Change = Removed
	}
	switch c := o.content.(type) {
	case *sum, *register:
		if live {
			d.New = c.view(h)
		}
	case *set:
		d.Added, d.Gone = n.compare(c)
	case *text:
		for _, k := range n.text.hunks(c.seq.Len(), c.runes) {
			d.Splices = append(d.Splices, Splice{Pos: k.pos, Old: string(k.old()), New: string(c.runes(k.pos, k.n))})
		}
		c.edits = nil
	case *list:
		for _, k := range n.list.hunks(c.seq.Len(), c.part) {
			d.Splices = append(d.Splices, Splice{Pos: k.pos, OldValues: values(k.old()), NewValues: values(c.part(k.pos, k.n))})
		}
		c.edits = nil
	}
	same := live == n.live && len(d.Splices)+len(d.Added)+len(d.Gone) == 0 && reflect.DeepEqual(d.Old, d.New)
	return d, !same
}

// compare tells which elements the set has got, and which it has lost.
func (n *note) compare(s *set) (added, gone []any) {
	for _, e := range slices.Sorted(maps.Keys(n.elements)) {
		has := len(s.elements[e]) > 0
		if has && !n.elements[e] {
			added = append(added, commit.Value([]byte(e)))
		} else if !has && n.elements[e] {
			gone = append(gone, commit.Value([]byte(e)))
		}
	}
	return added, gone
}
