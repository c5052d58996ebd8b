package crdt

import (
	"fmt"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/rope"
)

// View is the whole document as plain values: a map of keys to strings (texts), []any (lists,
// sets, of which the values are in the order of their bytes, and registers that keep several
// values), int64 (counters), map[string]any (maps) and what registers hold. Where things of
// different kinds are under one key, it shows the first in the order in which package commit
// lists kinds.
func (d *Doc) View() map[string]any { return d.root.content.view(d.history).(map[string]any) }

// Get is what View has under a path of keys.
func (d *Doc) Get(path ...string) (v any, ok bool) {
	o := d.root
	for _, key := range path {
		m, isMap := o.content.(*mapping)
		if !isMap {
			return nil, false
		}
		if o = m.first(key); o == nil {
			return nil, false
		}
	}
	return o.content.view(d.history), true
}

// first is what readers see under a key, or nil.
func (m *mapping) first(key string) *object {
	for k := commit.Map; k <= commit.Set; k++ {
		if o := m.children[name{key, k}]; o != nil && o.live() {
			return o
		}
	}
	return nil
}

// find is what the object of a kind holds, or nil.
func (d *Doc) find(kind commit.Kind, path []string) content {
	if o := d.object(kind, path); o != nil {
		return o.content
	}
	return nil
}

// object is the one of a kind at a path on which all others are maps, or nil.
func (d *Doc) object(kind commit.Kind, path []string) *object {
	o := d.root
	for i, key := range path {
		n := name{key, commit.Map}
		if i == len(path)-1 {
			n.kind = kind
		}
		if o = o.content.(*mapping).children[n]; o == nil {
			return nil
		}
	}
	return o
}

// Convert tells which position in a text is the same in another unit: of bytes of UTF-8, or
// of 16-bit units, as JavaScript counts. Where there is no text, it is 0.
func (d *Doc) Convert(pos int, from, to rope.Unit, path ...string) int {
	if t, ok := d.find(commit.Text, path).(*text); ok {
		return t.rope.Convert(pos, from, to)
	}
	return 0
}

// Cursor is a gap in a text or list that stays where it is while others edit. It means the
// same on every replica that has its heads.
type Cursor struct {
	Heads []commit.ID // what was seen when it was made
	Kind  commit.Kind // Text or List
	Path  []string
	Pos   int
	Left  bool // it stays with what is before it, not with what is after it
}

// Cursor makes a cursor. Edits must be sealed.
func (d *Doc) Cursor(kind commit.Kind, pos int, left bool, path ...string) (Cursor, error) {
	heads, err := d.Heads()
	if err != nil {
		return Cursor{}, err
	}
	c := Cursor{Kind: kind, Path: path, Pos: pos, Left: left}
	for _, h := range heads {
		c.Heads = append(c.Heads, h.ID)
	}
	return c, nil
}

// Find tells where a cursor is now, which is at 0 if its text is gone. It fails if the
// cursor's heads are not here.
func (d *Doc) Find(c Cursor) (pos int, err error) {
	version, err := d.version(c.Heads)
	if err != nil {
		return 0, fmt.Errorf("find cursor in %s: %w", d.id, err)
	}
	var o *ordered
	switch v := d.find(c.Kind, c.Path).(type) {
	case *text:
		o = &v.ordered
	case *list:
		o = &v.ordered
	default:
		return 0, nil
	}
	return o.seq.Shift(&d.history.graph, d.history, version, c.Pos, c.Left), nil
}

// Dump is the state in bytes, which are the same wherever the same commits were applied. It
// is for tests and comparisons. Edits must be sealed.
func (d *Doc) Dump() []byte {
	var b []byte
	for _, n := range d.history.byID(d.history.graph.Heads()) {
		b = append(b, d.history.ids[n][:]...)
	}
	for _, a := range sortedAuthors(d.Members()) {
		b = append(append(b, a[:]...), byte(d.Role(a)))
	}
	return d.root.content.dump(d.history, b)
}
