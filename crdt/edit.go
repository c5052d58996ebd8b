package crdt

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Tx is edits that are being made; it is the document's map. Positions in texts and lists are
// those after the edits that were made before, in the same Tx too. What the Doc tells does
// not change before the Tx is over. The first edit that cannot be made fails the Tx.
type Tx struct {
	Keys
	doc      *Doc
	children map[name]*path // of the document
	edits    []edit
	objects  int   // how many they are about, and not less
	size     int   // about how many bytes they have, and not less
	err      error // the first
}

// path is where an object is; nil stands for the document.
type path struct {
	parent   *path
	name     name
	children map[name]*path // those that the Tx knows
	depth    int
	index    int   // in the open commit, or -1
	length   int   // of a text or list, after the edits so far
	edits    []int // of it, in the Tx, and since it was cleared there
	edited   bool  // an edit is about it, or about what is in it
	cleared  bool  // the Tx has removed what was there before
}

// edit is an operation, and what it is about.
type edit struct {
	target *path
	op     commit.Op
}

func newTx(d *Doc) *Tx {
	tx := &Tx{doc: d}
	tx.Keys.tx = tx
	return tx
}

const (
	// editSize is about what an edit takes besides its value, in bytes, and not less.
	editSize = 32
	// objectSize is about what an object takes besides its key.
	objectSize = 8
	// valueSize is what a value that is not short takes besides its bytes.
	valueSize = 4
)

// ValueSizeMax is how many bytes a value can have, at most, that is set or added at a path: all of
// an Update goes into one commit.
func ValueSizeMax(path ...string) int {
	size := opsMax - editSize - valueSize
	for _, key := range path {
		size -= len(key) + objectSize
	}
	return max(size, 0)
}

// Full tells whether there are more edits than one commit can hold, so that the Tx will fail.
func (tx *Tx) Full() bool { return tx.size > opsMax || tx.objects > commit.ObjectsMax }

func (tx *Tx) fail(format string, args ...any) {
	if tx.err == nil {
		tx.err = fmt.Errorf(format, args...)
	}
}

// path finds the path of a child.
func (tx *Tx) path(parent *path, n name) *path {
	siblings := tx.below(parent)
	if p, ok := (*siblings)[n]; ok {
		return p
	}
	p := &path{parent: parent, name: n, depth: 1, index: -1}
	if parent != nil {
		p.depth += parent.depth
		p.cleared = parent.cleared
	}
	if len(n.key) > commit.KeyMax || !utf8.ValidString(n.key) || p.depth > commit.DepthMax {
		tx.fail("key of %d bytes at depth %d: %w", len(n.key), p.depth, commit.ErrLimit)
	}
	switch c := tx.have(p).(type) {
	case *text:
		p.length = c.seq.Len()
	case *list:
		p.length = c.seq.Len()
	}
	if *siblings == nil {
		*siblings = make(map[name]*path)
	}
	(*siblings)[n] = p
	return p
}

// below are the paths of what is in an object, as far as the Tx knows them.
func (tx *Tx) below(p *path) *map[name]*path {
	if p == nil {
		return &tx.children
	}
	return &p.children
}

// find is the object as it was before the Tx, or nil.
func (tx *Tx) find(p *path) *object {
	if p == nil {
		return tx.doc.root
	}
	if parent := tx.find(p.parent); parent != nil {
		return parent.content.(*mapping).children[p.name]
	}
	return nil
}

// have is what of the object as it was before the Tx is still there, or nil.
func (tx *Tx) have(p *path) content {
	if !p.cleared {
		if o := tx.find(p); o != nil {
			return o.content
		}
	}
	return nil
}

func (tx *Tx) add(target *path, op commit.Op) {
	tx.size += editSize + len(op.Data)
	for p := target; p != nil && !p.edited; p = p.parent {
		p.edited = true
		tx.objects++
		tx.size += objectSize + len(p.name.key)
	}
	if target != nil {
		target.edits = append(target.edits, len(tx.edits))
	}
	tx.edits = append(tx.edits, edit{target, op})
}

// insert adds an insertion of n elements.
func (tx *Tx) insert(p *path, pos, n int, data []byte) {
	if pos < 0 || pos > p.length {
		tx.fail("insert at %d of %d in %q: %w", pos, p.length, p.name.key, ErrPosition)
		return
	}
	if n > 0 {
		tx.add(p, commit.Op{Code: commit.OpInsert, Pos: pos, Count: n, Data: data})
		p.length += n
	}
}

// delete adds a deletion of n elements.
func (tx *Tx) delete(p *path, pos, n int) {
	if pos < 0 || n < 0 || n > p.length-pos {
		tx.fail("delete %d at %d of %d in %q: %w", n, pos, p.length, p.name.key, ErrPosition)
		return
	}
	if n > 0 {
		tx.add(p, commit.Op{Code: commit.OpDelete, Pos: pos, Count: n})
		p.length -= n
	}
}

// put adds an operation with a value.
func (tx *Tx) put(p *path, code commit.Code, v any) {
	data, err := commit.AppendValue(nil, v)
	if err != nil {
		tx.fail("%w", err)
		return
	}
	tx.add(p, commit.Op{Code: code, Data: data})
}

// Grant gives an author a role. With one that may not write, it makes void what the author
// has committed and whoever grants it has not seen.
func (tx *Tx) Grant(author commit.Author, role commit.Role) {
	if mine := tx.doc.Role(tx.doc.author); mine < commit.Manage {
		tx.fail("grant by %s: %w", tx.doc.author, ErrRole)
	}
	tx.add(nil, commit.Op{Code: commit.OpRole, Count: int(role), Data: author[:]})
}

// Keys edits a map: it leads to what is under its keys.
type Keys struct {
	tx *Tx
	at *path
}

func (m Keys) child(key string, k commit.Kind) *path { return m.tx.path(m.at, name{key, k}) }

// Map is the map under a key.
func (m Keys) Map(key string) Keys { return Keys{m.tx, m.child(key, commit.Map)} }

// Text is the text under a key.
func (m Keys) Text(key string) Text { return Text{m.tx, m.child(key, commit.Text)} }

// List is the list under a key.
func (m Keys) List(key string) List { return List{m.tx, m.child(key, commit.List)} }

// Counter is the counter under a key.
func (m Keys) Counter(key string) Counter { return Counter{m.tx, m.child(key, commit.Counter)} }

// GrowCounter is the counter under a key that only grows.
func (m Keys) GrowCounter(key string) Counter { return Counter{m.tx, m.child(key, commit.GrowCounter)} }

// MultiRegister is the register under a key that keeps all values that were set at the same
// time.
func (m Keys) MultiRegister(key string) Register {
	return Register{m.tx, m.child(key, commit.MultiRegister)}
}

// Register is the register under a key that keeps one value.
func (m Keys) Register(key string) Register { return Register{m.tx, m.child(key, commit.Register)} }

// Members is the set under a key.
func (m Keys) Members(key string) Set { return Set{m.tx, m.child(key, commit.Set)} }

// Set sets the register under a key: to nil, a bool, int, int64, float64, string or []byte.
func (m Keys) Set(key string, v any) { m.Register(key).Set(v) }

// Make makes the map be there, though it be empty.
func (m Keys) Make() {
	if m.at != nil { // the document is there
		m.tx.add(m.at, commit.Op{Code: commit.OpMake})
	}
}

// Remove removes all that is under a key. What others change there at the same time stays.
func (m Keys) Remove(key string) {
	o := m.tx.find(m.at)
	for k := commit.Map; k <= commit.Set; k++ {
		n := name{key, k}
		p := (*m.tx.below(m.at))[n]
		if p != nil && p.edited || o != nil && o.content.(*mapping).children[n] != nil {
			m.tx.clear(m.child(key, k))
		}
	}
}

// clear adds an operation that clears an object and what is in it.
func (tx *Tx) clear(p *path) {
	tx.add(p, commit.Op{Code: commit.OpClear})
	p.clear()
}

// clear notes that nothing is left.
func (p *path) clear() {
	p.length, p.edits, p.cleared = 0, nil, true
	for _, below := range p.children {
		below.clear()
	}
}

// Text edits a text. Positions count Unicode code points.
type Text struct {
	tx *Tx
	at *path
}

// Len is how many code points there are.
func (t Text) Len() int { return t.at.length }

// Before is what the text was before the Tx.
func (t Text) Before() string {
	if o := t.tx.find(t.at); o != nil {
		return o.content.(*text).rope.String()
	}
	return ""
}

// Insert puts s, which must be valid UTF-8, before the code point at pos.
func (t Text) Insert(pos int, s string) {
	if !utf8.ValidString(s) {
		t.tx.fail("insert what is not UTF-8 in %q: %w", t.at.name.key, commit.ErrMalformed)
		return
	}
	t.tx.insert(t.at, pos, utf8.RuneCountInString(s), []byte(s))
}

// Delete removes n code points from pos on.
func (t Text) Delete(pos, n int) { t.tx.delete(t.at, pos, n) }

// List edits a list of values.
type List struct {
	tx *Tx
	at *path
}

// Len is how many values there are.
func (l List) Len() int { return l.at.length }

// Insert puts values before that at pos.
func (l List) Insert(pos int, values ...any) {
	var data []byte
	for _, v := range values {
		var err error
		if data, err = commit.AppendValue(data, v); err != nil {
			l.tx.fail("%w", err)
			return
		}
	}
	l.tx.insert(l.at, pos, len(values), data)
}

// Delete removes n values from pos on.
func (l List) Delete(pos, n int) { l.tx.delete(l.at, pos, n) }

// Counter edits a counter.
type Counter struct {
	tx *Tx
	at *path
}

// Add adds n, which must not be negative if the counter only grows.
func (c Counter) Add(n int64) {
	if n < 0 && c.at.name.kind == commit.GrowCounter {
		c.tx.fail("add %d to %q, which only grows: %w", n, c.at.name.key, commit.ErrMalformed)
	}
	c.tx.add(c.at, commit.Op{Code: commit.OpAdd, Delta: n})
}

// Register edits a register.
type Register struct {
	tx *Tx
	at *path
}

// Set sets the value: nil, a bool, int, int64, float64, string or []byte.
func (r Register) Set(v any) { r.tx.put(r.at, commit.OpSet, v) }

// Clear removes the value, and nothing else that is under the same key. What others set at the same
// time stays.
func (r Register) Clear() { r.tx.clear(r.at) }

// Set edits a set of values.
type Set struct {
	tx *Tx
	at *path
}

// Add adds a value. It wins over who removes it at the same time.
func (s Set) Add(v any) { s.tx.put(s.at, commit.OpAdd, v) }

// Remove removes a value.
func (s Set) Remove(v any) { s.tx.put(s.at, commit.OpRemove, v) }

// sortedAuthors are the keys of a map in order.
func sortedAuthors(m map[commit.Author]commit.Role) []commit.Author {
	authors := make([]commit.Author, 0, len(m))
	for a := range m {
		authors = append(authors, a)
	}
	slices.SortFunc(authors, func(a, b commit.Author) int { return slices.Compare(a[:], b[:]) })
	return authors
}
