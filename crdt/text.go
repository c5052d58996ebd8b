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
	fresh fresh
	edits *edits[rune] // since Deltas was called, if it changed
}

func (t *text) do(s *step, op commit.Op) {
	if first, ok := t.ordered.do(s, op); ok {
		t.fresh.add(first, op.Count, op.Data)
	}
}

// merge brings the text up to date.
func (t *text) merge(h *history) {
	t.ordered.merge(h, t)
	t.fresh.clear()
}

// Insert makes a text a sequence.Sink.
func (t *text) Insert(pos, first, n int) {
	t.rope.Insert(pos, t.fresh.part(first, n))
	if t.edits != nil {
		t.edits.insert(pos, n)
	}
}

// fresh is text that was inserted and is not merged yet. Its elements' numbers follow one another.
type fresh struct {
	data   []byte
	places []place // where insertions begin, and where the last one ends
}

// place is where the code point of an element is in fresh text.
type place struct{ element, at int }

// freshKept is up to how many bytes of room are kept for the text that comes next.
const freshKept = 256

// add adds n code points, of which the first has a number.
func (f *fresh) add(first, n int, data []byte) {
	if len(f.places) == 0 {
		f.places = append(f.places, place{first, 0})
	}
	k := len(f.places) - 1
	ascii := n == len(data) && k > 0 && isASCII(f.places[k-1], f.places[k])
	f.data = append(f.data, data...)
	end := place{first + n, len(f.data)}
	if ascii { // it needs no place of its own
		f.places[k] = end
	} else {
		f.places = append(f.places, end)
	}
}

func (f *fresh) clear() {
	if cap(f.data) > freshKept {
		*f = fresh{}
	}
	f.data, f.places = f.data[:0], f.places[:0]
}

// part is the text of n elements from number first on. It is valid until there is more.
func (f *fresh) part(first, n int) []byte { return f.data[f.offset(first):f.offset(first+n)] }

// offset is where an element is, or the end.
func (f *fresh) offset(element int) int {
	i := sort.Search(len(f.places), func(i int) bool { return f.places[i].element > element }) - 1
	p := f.places[i]
	k := element - p.element
	if k == 0 || isASCII(p, f.places[i+1]) {
		return p.at + k
	}
	for range k {
		_, size := utf8.DecodeRune(f.data[p.at:])
		p.at += size
	}
	return p.at
}

// isASCII tells whether all code points between two places are of one byte.
func isASCII(from, to place) bool { return to.element-from.element == to.at-from.at }

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
