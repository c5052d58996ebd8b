package crdt

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// object is the document, which is a map, or something in it.
type object struct {
	name    name
	parent  *object
	made    []dot // that somebody wanted it to be there, though empty
	content content
}

// name is what an object is called in its map. Objects of different kinds under the same
// key are different ones; of those that are there a reader sees the first kind.
type name struct {
	key  string
	kind commit.Kind
}

func (n name) compare(m name) int {
	return cmp.Or(cmp.Compare(n.key, m.key), cmp.Compare(n.kind, m.kind))
}

func newObject(parent *object, n name) *object {
	o := &object{name: n, parent: parent}
	switch n.kind {
	case commit.Map:
		o.content = &mapping{children: make(map[name]*object)}
	case commit.Text:
		o.content = new(text)
	case commit.List:
		o.content = new(list)
	case commit.Counter, commit.GrowCounter:
		o.content = new(sum)
	case commit.Register, commit.MultiRegister:
		o.content = &register{multi: n.kind == commit.MultiRegister}
	case commit.Set:
		o.content = &set{elements: make(map[string][]dot)}
	default:
		panic("crdt: an object of no kind") // ParseOps lets none pass
	}
	return o
}

// path is the keys that lead to the object.
func (o *object) path() []string {
	if o.parent == nil {
		return nil
	}
	return append(o.parent.path(), o.name.key)
}

// key appends what tells the object from all others of the document.
func (o *object) key(b []byte) []byte {
	if o.parent == nil {
		return b
	}
	return append(dumpString(o.parent.key(b), o.name.key), byte(o.name.kind))
}

func (o *object) live() bool { return len(o.made) > 0 || o.content.live() }

// do applies an operation.
func (o *object) do(s *step, op commit.Op) {
	if s.void && !keepsPlace(o.name.kind) {
		return
	}
	switch op.Code {
	case commit.OpMake:
		if !s.void {
			o.made = append(s.unseenDots(o.made), dot{commit: s.commit})
		}
	case commit.OpClear:
		o.clear(s)
	default:
		o.content.do(s, op)
	}
}

func (o *object) clear(s *step) {
	if s.void && !keepsPlace(o.name.kind) {
		return
	}
	if !s.void {
		o.made = s.unseenDots(o.made)
	}
	o.content.clear(s)
}

// prune forgets the object, and those it is in, if there is nothing to remember.
func (o *object) prune() {
	for o.parent != nil && len(o.made) == 0 && o.content.spent() {
		delete(o.parent.content.(*mapping).children, o.name)
		o = o.parent
	}
}

// keepsPlace tells whether the kind logs operations that are void too.
func keepsPlace(k commit.Kind) bool { return k == commit.Text || k == commit.List || k == commit.Map }

// mapping is a Map. It has no state of its own: a child is there if anything in it is, so
// that what somebody changes in it is there, though somebody else has removed it at the same
// time, and nothing else of it.
type mapping struct{ children map[name]*object }

func (m *mapping) do(*step, commit.Op) {}

func (m *mapping) clear(s *step) {
	for _, o := range m.children {
		o.clear(s)
	}
}

// sweep forgets the children of which nothing has to be remembered.
func (m *mapping) sweep() {
	for n, o := range m.children {
		if below, ok := o.content.(*mapping); ok {
			below.sweep()
		}
		if len(o.made) == 0 && o.content.spent() {
			delete(m.children, n)
		}
	}
}

func (m *mapping) live() bool {
	for _, o := range m.children {
		if o.live() {
			return true
		}
	}
	return false
}

func (m *mapping) spent() bool { return len(m.children) == 0 }

// child is the child with this name, made if it is not there.
func (m *mapping) child(parent *object, n name) *object {
	o, ok := m.children[n]
	if !ok {
		o = newObject(parent, n)
		m.children[n] = o
	}
	return o
}

// sorted are the children that are there, by key and kind.
func (m *mapping) sorted() []*object {
	var list []*object
	for _, o := range m.children {
		if o.live() {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *object) int { return a.name.compare(b.name) })
	return list
}

func (m *mapping) view(h *history) any {
	v := make(map[string]any, len(m.children))
	for _, o := range m.sorted() {
		if _, ok := v[o.name.key]; !ok {
			v[o.name.key] = o.content.view(h)
		}
	}
	return v
}

func (m *mapping) dump(h *history, b []byte) []byte {
	for _, o := range m.sorted() {
		b = append(dumpString(b, o.name.key), byte(o.name.kind))
		b = dumpDots(h, b, h.first(o.made, h.floor))
		b = dumpString(b, string(o.content.dump(h, nil)))
	}
	return b
}

func dumpString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// dumpDots appends dots in an order that does not depend on that in which they came. Those
// of one commit stay as they are: they came in one order everywhere.
func dumpDots(h *history, b []byte, dots []dot) []byte {
	b = binary.AppendUvarint(b, uint64(len(dots)))
	for _, d := range slices.SortedStableFunc(slices.Values(dots), func(x, y dot) int {
		return h.ids[x.commit].Compare(h.ids[y.commit])
	}) {
		id := h.ids[d.commit]
		b = append(b, id[:]...)
		b = binary.AppendVarint(dumpString(b, d.value), d.delta)
	}
	return b
}
