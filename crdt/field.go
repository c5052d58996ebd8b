package crdt

import (
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Field is a register of one value that holds something. It stays as it is when the document
// changes.
type Field struct {
	Path []string
	data string // a value's bytes
}

// Value is what it holds.
func (f Field) Value() any { return commit.Value([]byte(f.data)) }

// Bytes is what it holds, not copied, if that is bytes.
func (f Field) Bytes() (s string, ok bool) { return commit.Bytes(f.data) }

// Field finds the register at a path, whatever else is under its keys.
func (d *Doc) Field(path ...string) (f Field, ok bool) {
	r, ok := d.find(commit.Register, path).(*register)
	if !ok || !r.live() {
		return Field{}, false
	}
	return Field{path, r.winner(d.history)}, true
}

// Fields are those in the map at a path, and in the maps in it, in no order.
func (d *Doc) Fields(path ...string) []Field {
	if m, ok := d.find(commit.Map, path).(*mapping); ok {
		return d.fields(nil, m, slices.Clip(path))
	}
	return nil
}

func (d *Doc) fields(list []Field, m *mapping, path []string) []Field {
	for n, o := range m.children {
		switch c := o.content.(type) {
		case *mapping:
			list = d.fields(list, c, slices.Concat(path, []string{n.key}))
		case *register:
			if n.kind == commit.Register && c.live() {
				list = append(list, Field{slices.Concat(path, []string{n.key}), c.winner(d.history)})
			}
		}
	}
	return list
}
