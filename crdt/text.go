package crdt

import (
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/rope"
	"github.com/p2pnode/p2pnode/crdt/sequence"
)

// ordered is what texts and lists have in common: operations come into a log, and are
// merged when a reader wants to know.
type ordered struct {
	seq sequence.Sequence
}

// do notes an operation, and tells the number of the first element that it inserts, if it
// does. Of what is beyond all that the author can have seen it notes nothing, so that what it
// notes depends on the author's version and not on what else is here.
func (o *ordered) do(s *step, op commit.Op) (first int, inserted bool) {
	known := o.seq.Known(s.unseen)
	if op.Code == commit.OpDelete {
		o.seq.Delete(&s.history.graph, s.commit, op.Pos, min(op.Count, known-op.Pos))
		return 0, false
	}
	if op.Pos > known {
		return 0, false
	}
	return o.seq.Insert(&s.history.graph, s.commit, op.Pos, op.Count)
}

// clear deletes all elements that the author saw: whatever else there is, is not at any
// position yet.
func (o *ordered) clear(s *step) {
	o.seq.Delete(&s.history.graph, s.commit, 0, o.seq.Known(s.unseen))
}

// merge tells the sink what the operations mean that came since the last time.
func (o *ordered) merge(h *history, sink sequence.Sink) {
	if len(h.skipped) > 0 {
		o.seq.Replay(&h.graph, h, slices.Min(h.skipped), sink)
		return
	}
	o.seq.Merge(&h.graph, h, sink)
}

func (o *ordered) spent() bool { return o.seq.Elements() == 0 }

// text is a Text.
type text struct {
	ordered
	rope  rope.Rope
	fresh []insertion // not merged yet
	buf   []byte
	edits *edits[rune] // since Deltas was called, if it changed
}

// insertion is text that was inserted, the first code point of which has a number.
type insertion struct {
	first, n int
	data     []byte
}

func (t *text) do(s *step, op commit.Op) {
	if first, ok := t.ordered.do(s, op); ok {
		t.fresh = append(t.fresh, insertion{first, op.Count, op.Data})
	}
}

// merge brings the text up to date.
func (t *text) merge(h *history) {
	t.ordered.merge(h, t)
	t.fresh = nil
}

// Insert makes a text a sequence.Sink.
func (t *text) Insert(pos, first, n int) {
	t.put(pos, first, n)
	if t.edits != nil {
		t.edits.insert(pos, n)
	}
}

// put puts elements into the rope.
func (t *text) put(pos, first, n int) {
	// What goes on in order may have been inserted in parts.
	i := sort.Search(len(t.fresh), func(i int) bool { return t.fresh[i].first > first }) - 1
	in := t.fresh[i]
	skip := byteOffset(in, first-in.first)
	if first+n <= in.first+in.n {
		t.rope.Insert(pos, in.data[skip:skip+byteOffset(insertion{n: in.n - (first - in.first), data: in.data[skip:]}, n)])
		return
	}
	t.buf = append(t.buf[:0], in.data[skip:]...)
	for have := in.first + in.n - first; have < n; {
		i++
		in = t.fresh[i]
		k := min(n-have, in.n)
		t.buf = append(t.buf, in.data[:byteOffset(in, k)]...)
		have += k
	}
	t.rope.Insert(pos, t.buf)
}

// byteOffset is where the k-th code point of an insertion begins.
func byteOffset(in insertion, k int) int {
	if k == in.n || in.n == len(in.data) {
		return len(in.data) - (in.n - k)
	}
	at := 0
	for range k {
		_, size := utf8.DecodeRune(in.data[at:])
		at += size
	}
	return at
}

// Delete makes a text a sequence.Sink.
func (t *text) Delete(pos, n int) {
	if t.edits != nil {
		t.edits.delete(pos, n)
	}
	t.rope.Delete(pos, n)
}

// runes are the n code points from pos on.
func (t *text) runes(pos, n int) []rune { return []rune(string(t.rope.Append(nil, pos, n))) }

func (t *text) live() bool { return t.seq.Len() > 0 }

func (t *text) view(*history) any { return t.rope.String() }

func (t *text) dump(_ *history, b []byte) []byte { return append(b, t.rope.String()...) }

// list is a List.
type list struct {
	ordered
	values column
	fresh  []string // those of elements from first on, which are not merged yet
	first  int
	edits  *edits[string] // since Deltas was called, if it changed
}

func (l *list) do(s *step, op commit.Op) {
	first, ok := l.ordered.do(s, op)
	if !ok {
		return
	}
	if len(l.fresh) == 0 {
		l.first = first
	}
	for _, v := range commit.Values(op.Data) {
		l.fresh = append(l.fresh, string(v))
	}
}

func (l *list) merge(h *history) {
	l.ordered.merge(h, l)
	l.fresh = nil
}

// Insert makes a list a sequence.Sink.
func (l *list) Insert(pos, first, n int) {
	l.values.insert(pos, l.fresh[first-l.first:first-l.first+n])
	if l.edits != nil {
		l.edits.insert(pos, n)
	}
}

// Delete makes a list a sequence.Sink.
func (l *list) Delete(pos, n int) {
	if l.edits != nil {
		l.edits.delete(pos, n)
	}
	l.values.delete(pos, n)
}

// part are the n values from pos on.
func (l *list) part(pos, n int) []string { return l.values.part(pos, n) }

func (l *list) live() bool { return l.seq.Len() > 0 }

func (l *list) view(*history) any {
	return values(l.part(0, l.values.n))
}

// values are what these bytes say.
func values(list []string) []any {
	values := make([]any, len(list))
	for i, v := range list {
		values[i] = commit.Value([]byte(v))
	}
	return values
}

func (l *list) dump(_ *history, b []byte) []byte {
	for v := range l.values.all() {
		b = append(b, v...)
	}
	return b
}
