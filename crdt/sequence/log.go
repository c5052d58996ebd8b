package sequence

import (
	"sort"

	"github.com/p2pnode/p2pnode/crdt/causal"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Insert    Kind = iota
	Delete         // always at the same position, as the elements behind move up
	backspace      // each before the one deleted before
)

// unknown is the length before a run that was merged by a walker.
const unknown = -1

// run is operations that go on where the one before has ended. Each operation inserts or
// deletes one element.
type run struct {
	at      int   // operations before it in the log
	pos     int32 // of the first
	length  int32 // of the sequence before the first, or unknown
	element int32 // of an insertion, the number of the first
	kind    Kind
}

// made says which operations belong to which commits: stride to each of count commits that
// follow one another.
type made struct {
	at                    int
	commit, count, stride int32
}

// log is all operations on a sequence, in the order of the commits' numbers.
type log struct {
	runs     []run
	commits  []made
	n        int // operations
	elements int // insertions among them
}

// add notes that commit c did n times the same.
func (l *log) add(g *causal.Graph, c int, kind Kind, pos, n int) {
	last := -1
	if k := len(l.commits); k > 0 {
		last = int(l.commits[k-1].commit + l.commits[k-1].count - 1)
	}
	// A run does not leave a chain, so that whoever follows the chain meets it in order.
	if last < 0 || !(last == c || g.Chain(last, c)) || !l.extend(kind, pos, n) {
		l.runs = append(l.runs, run{at: l.n, pos: int32(pos), length: unknown, element: int32(l.elements), kind: kind})
	}
	l.sign(c, last, n)
	l.n += n
	if kind == Insert {
		l.elements += n
	}
}

// extend makes the operations part of the last run if they go on where it ends.
func (l *log) extend(kind Kind, pos, n int) bool {
	r := &l.runs[len(l.runs)-1]
	size := l.n - r.at
	switch {
	case kind == Insert:
		return r.kind == Insert && pos == int(r.pos)+size
	case r.kind == Delete && pos == int(r.pos):
		return true
	case n == 1 && r.kind == Delete && size == 1 && pos == int(r.pos)-1:
		r.kind = backspace
		return true
	}
	return n == 1 && r.kind == backspace && pos == int(r.pos)-size
}

// sign notes that the next n operations are commit c's.
func (l *log) sign(c, last, n int) {
	k := len(l.commits) - 1
	switch {
	case last != c && last >= 0 && last+1 == c && int(l.commits[k].stride) == n:
		l.commits[k].count++
	case last != c:
		l.commits = append(l.commits, made{at: l.n, commit: int32(c), count: 1, stride: int32(n)})
	case l.commits[k].count == 1:
		l.commits[k].stride += int32(n)
	default:
		m := &l.commits[k]
		m.count--
		l.commits = append(l.commits, made{at: m.at + int(m.count)*int(m.stride), commit: int32(c), count: 1, stride: m.stride + int32(n)})
	}
}

// runOf is the index of the run with operation i.
func (l *log) runOf(i int) int {
	if k := len(l.runs) - 1; k >= 0 && l.runs[k].at <= i {
		return k
	}
	return sort.Search(len(l.runs), func(k int) bool { return l.runs[k].at > i }) - 1
}

// commitOf is the commit of operation i.
func (l *log) commitOf(i int) int {
	k := len(l.commits) - 1
	if l.commits[k].at > i {
		k = sort.Search(k, func(k int) bool { return l.commits[k].at > i }) - 1
	}
	m := l.commits[k]
	return int(m.commit) + (i-m.at)/int(m.stride)
}

// firstOf is the first operation of the commits from c on.
func (l *log) firstOf(c int) int {
	k := len(l.commits) - 1
	if k >= 0 && int(l.commits[k].commit) > c {
		k = sort.Search(k, func(k int) bool { return int(l.commits[k].commit) > c }) - 1
	}
	if k < 0 {
		return 0
	}
	m := l.commits[k]
	return m.at + min(c-int(m.commit), int(m.count))*int(m.stride)
}

// commitOfElement is the commit that inserted element e.
func (l *log) commitOfElement(e int) int {
	// A deletion has the number of the next insertion, so the last run up to e that is an
	// insertion has it.
	k := sort.Search(len(l.runs), func(k int) bool { return int(l.runs[k].element) > e }) - 1
	for l.runs[k].kind != Insert {
		k--
	}
	r := l.runs[k]
	return l.commitOf(r.at + e - int(r.element))
}

// elementOf is how many elements the first i operations have inserted.
func (l *log) elementOf(i int) int {
	if i == l.n {
		return l.elements
	}
	k := l.runOf(i)
	if r := l.runs[k]; r.kind != Insert {
		return int(r.element)
	}
	return l.cut(k, i, l.end(k)).element
}

// end is the operation after run i.
func (l *log) end(i int) int {
	if i+1 < len(l.runs) {
		return l.runs[i+1].at
	}
	return l.n
}

// piece is a part of a run.
type piece struct {
	kind    Kind
	at      int // operations before it in the log
	pos     int
	element int
	n       int
}

// cut is the part of run i that is in the operations from first to end-1.
func (l *log) cut(i, first, end int) piece {
	r := l.runs[i]
	first, end = max(first, r.at), min(end, l.end(i))
	p := piece{kind: r.kind, at: first, pos: int(r.pos), element: int(r.element), n: end - first}
	switch skip := first - r.at; r.kind {
	case Insert:
		p.pos += skip
		p.element += skip
	case backspace:
		p.pos -= skip
	}
	return p
}

// within is what remains of the piece in a sequence of some length: operations on
// positions that are not there have no effect. For an insertion that is all or nothing.
func (p piece) within(length int) piece {
	switch p.kind {
	case Insert:
		if p.pos > length {
			p.n = 0
		}
	case Delete:
		p.n = max(0, min(p.n, length-p.pos))
	case backspace:
		if skip := p.pos - (length - 1); skip > 0 {
			skip = min(skip, p.n)
			p.at, p.pos, p.n = p.at+skip, p.pos-skip, p.n-skip
		}
	}
	return p
}

// start is the position of the first element in order that the piece is about.
func (p piece) start() int {
	if p.kind == backspace {
		return p.pos - p.n + 1
	}
	return p.pos
}
