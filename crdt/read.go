package crdt

import (
	"maps"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/rope"
)

// What a Tx reads is what its own edits have made of the document so far. Reading what it has not
// edited takes no place in its commit.

// ops are the operations on an object since the Tx has cleared it.
func (tx *Tx) ops(p *path) []commit.Op {
	ops := make([]commit.Op, len(p.edits))
	for i, e := range p.edits {
		ops[i] = tx.edits[e].op
	}
	return ops
}

// Value is what the register holds, of one that keeps several a []any, the winner first. ok is
// false if it holds nothing.
func (r Register) Value() (v any, ok bool) {
	if n := len(r.at.edits); n > 0 {
		v := commit.Value(r.tx.edits[r.at.edits[n-1]].op.Data)
		if r.at.name.kind == commit.MultiRegister {
			return []any{v}, true
		}
		return v, true
	}
	if c, ok := r.tx.have(r.at).(*register); ok && c.live() {
		return c.view(r.tx.doc.history), true
	}
	return nil, false
}

// Value is how much the counter has.
func (c Counter) Value() int64 {
	var n int64
	if before, ok := c.tx.have(c.at).(*sum); ok {
		n = before.total()
	}
	for _, op := range c.tx.ops(c.at) {
		n += op.Delta
	}
	return n
}

// Has tells whether a value is in the set.
func (s Set) Has(v any) bool {
	data, err := commit.AppendValue(nil, v)
	if err != nil {
		s.tx.fail("%w", err)
		return false
	}
	for _, i := range slices.Backward(s.at.edits) {
		if op := &s.tx.edits[i].op; string(op.Data) == string(data) {
			return op.Code == commit.OpAdd
		}
	}
	before, ok := s.tx.have(s.at).(*set)
	return ok && len(before.elements[string(data)]) > 0
}

// Values are the values in the set, in the order of their bytes.
func (s Set) Values() []any {
	elements := make(map[string]bool)
	if before, ok := s.tx.have(s.at).(*set); ok {
		for e := range before.elements {
			elements[e] = true
		}
	}
	for _, op := range s.tx.ops(s.at) {
		if op.Code == commit.OpAdd {
			elements[string(op.Data)] = true
		} else {
			delete(elements, string(op.Data))
		}
	}
	return values(slices.Sorted(maps.Keys(elements)))
}

// String is the text.
func (t Text) String() string {
	var r rope.Rope
	if before, ok := t.tx.have(t.at).(*text); ok {
		if len(t.at.edits) == 0 {
			return before.rope.String()
		}
		r.Insert(0, before.rope.Append(nil, 0, before.seq.Len()))
	}
	for _, op := range t.tx.ops(t.at) {
		if op.Code == commit.OpInsert {
			r.Insert(op.Pos, op.Data)
		} else {
			r.Delete(op.Pos, op.Count)
		}
	}
	return r.String()
}

// Values are the values in the list.
func (l List) Values() []any {
	var all []string
	if before, ok := l.tx.have(l.at).(*list); ok {
		all = before.part(0, before.values.n)
	}
	for _, op := range l.tx.ops(l.at) {
		if op.Code == commit.OpDelete {
			all = slices.Delete(all, op.Pos, op.Pos+op.Count)
			continue
		}
		for i, v := range commit.Values(op.Data) {
			all = slices.Insert(all, op.Pos+i, string(v))
		}
	}
	return values(all)
}
