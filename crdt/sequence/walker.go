package sequence

import (
	"math"
	"slices"
	"sort"

	"github.com/p2pnode/p2pnode/crdt/causal"
)

// What an item's origins are if they are no element.
const (
	front = math.MinInt32 // before everything
	back  = math.MaxInt32 // after everything
)

// Of an item, as the version that the walker is at sees it: deleted twice is deleted+1.
const (
	absent  = 0
	present = 1
	deleted = 2
)

// item is elements that follow one another in number and in order, and all have the same
// state. Elements are known to the walker by their number less that of the first since
// base; those that were there before have negative ones.
type item struct {
	first, n    int32
	left, right int32 // the elements between which the first was inserted; left of the others is the one before
	state       int32
	gone        bool // deleted by somebody, or void
}

func (it *item) end() int32 { return it.first + it.n }

// strike is what a part of a deletion run has deleted, and the next part of the same run.
type strike struct {
	at     int // operations before it in the log
	target int32
	n      int32
	next   int32
	kind   Kind // backspace if the last operation deleted the first element
}

// chain is the parts of one deletion run, the first and the last, or none.
type chain struct{ first, last int32 }

// walker is a list CRDT of all operations since base. It shows the sequence at two versions
// at once: the one that it was moved to, in which the next operation was made, and that
// which holds all operations it has followed.
type walker struct {
	graph   *causal.Graph
	log     *log
	judge   Judge
	base    int   // a critical commit, or -1
	at      []int // the version it was moved to
	hidden  []int // commits of that version, after base, that have no effect in it
	void    []int // commits that have none in the version of all
	next    int   // the commit after those it has followed
	done    int   // operations it has followed
	origin  int   // elements up to base
	run0    int   // the first run after base
	items   []item
	tree    tree
	owner   []int32  // the item of each element since base; none if it was inserted nowhere
	old     []int32  // items of elements up to base, in order
	strikes []strike // parts of deletions
	chains  []chain  // of each run since run0
	buf     []int    // room for parents
}

func newWalker(g *causal.Graph, l *log, judge Judge, base, length int) *walker {
	begin := l.firstOf(base + 1)
	w := &walker{graph: g, log: l, judge: judge, base: base, next: base + 1, tree: newTree(), run0: len(l.runs), origin: l.elements}
	if begin < l.n {
		w.run0 = l.runOf(begin)
		// A run that goes on over base has begun before.
		w.origin = l.cut(w.run0, begin, l.n).element
	}
	if base >= 0 {
		w.at = []int{base}
	}
	if length > 0 {
		// They end at -2, so that the first element after them does not go on where they end.
		w.items = append(w.items, item{first: int32(-length) - 1, n: int32(length), left: front, right: back, state: present})
		w.tree.insert(none, 0)
		w.tree.resize(0, int32(length), int32(length))
		w.old = append(w.old, 0)
	}
	return w
}

// follow does the operations of the commits before end that it has not followed, and tells
// the sink, unless it is nil, where they belong.
func (w *walker) follow(end int, sink Sink) {
	spans := w.graph.Order(w.next, end)
	w.next = end
	if !w.judge.Voids() {
		for _, s := range spans {
			w.do(s, sink)
		}
		return
	}
	w.void = w.judge.Void(w.graph.Heads())
	for _, s := range spans {
		// What is void may change with each commit.
		for c := s.First; c < s.End; c++ {
			w.do(causal.Span{First: c, End: c + 1}, sink)
		}
	}
}

// do does the operations of a chain of commits.
func (w *walker) do(s causal.Span, sink Sink) {
	first, end := w.log.firstOf(s.First), w.log.firstOf(s.End)
	if first == end {
		return
	}
	w.done += end - first
	_, void := slices.BinarySearch(w.void, s.First)
	w.buf = w.graph.Parents(w.buf[:0], s.First)
	w.move(w.buf)
	for i := w.log.runOf(first); first < end; i++ {
		p := w.log.cut(i, first, end)
		first += p.n
		switch p = p.within(w.tree.seen); {
		case p.n == 0:
		case p.kind == Insert:
			w.insert(p, void, sink)
		default:
			w.delete(p, i, void, sink)
		}
	}
	w.at = append(w.at[:0], s.End-1)
}

// move takes back what the version does not hold, and brings back what it holds.
func (w *walker) move(version []int) {
	hidden := w.hide(version)
	if slices.Equal(w.at, version) && slices.Equal(w.hidden, hidden) {
		return
	}
	for _, c := range w.hidden {
		if !slices.Contains(hidden, c) {
			w.toggle(causal.Span{First: c, End: c + 1}, -1, 1)
		}
	}
	retreat, advance := w.graph.Diff(w.at, version)
	for _, s := range retreat {
		w.toggle(s, -1, -1)
	}
	for _, s := range advance {
		w.toggle(s, 1, 1)
	}
	for _, c := range hidden {
		if !slices.Contains(w.hidden, c) {
			w.toggle(causal.Span{First: c, End: c + 1}, 1, -1)
		}
	}
	w.at, w.hidden = append(w.at[:0], version...), hidden
}

// hide lists the commits after base that have no effect in the version: what they inserted
// is there like something deleted, what they deleted is there.
func (w *walker) hide(version []int) []int {
	if !w.judge.Voids() {
		return nil
	}
	void := w.judge.Void(version)
	i, _ := slices.BinarySearch(void, w.base+1)
	return void[i:]
}

// toggle adds to the states of what the commits inserted, and of what they deleted.
func (w *walker) toggle(s causal.Span, inserted, deleted int32) {
	first, end := w.log.firstOf(s.First), w.log.firstOf(s.End)
	if first == end {
		return
	}
	for i := w.log.runOf(first); first < end; i++ {
		p := w.log.cut(i, first, end)
		first += p.n
		if p.kind == Insert {
			w.change(int32(p.element-w.origin), int32(p.n), inserted)
			continue
		}
		for k := w.firstStrike(i); k != none; k = w.strikes[k].next {
			k := w.strikes[k]
			from, to := max(p.at, k.at), min(p.at+p.n, k.at+int(k.n))
			if from >= to {
				continue
			}
			target := k.target + int32(from-k.at)
			if k.kind == backspace {
				target = k.target + int32(k.at+int(k.n)-to)
			}
			w.change(target, int32(to-from), deleted)
		}
	}
}

// change adds to the state of n elements from e on.
func (w *walker) change(e, n, by int32) {
	for end := e + n; e < end; {
		i := w.itemOf(e)
		if i == none {
			e++
			continue
		}
		i = w.isolate(i, e, end)
		it := &w.items[i]
		if it.state == present {
			w.tree.resize(i, -it.n, 0)
		}
		if it.state += by; it.state == present {
			w.tree.resize(i, it.n, 0)
		}
		e = it.end()
	}
}

// itemOf is the item of an element, or none.
func (w *walker) itemOf(e int32) int32 {
	if e >= 0 {
		if int(e) >= len(w.owner) {
			return none
		}
		return w.owner[e]
	}
	return w.old[sort.Search(len(w.old), func(i int) bool { return w.items[w.old[i]].first > e })-1]
}

// isolate splits item i so that one item holds what it has of the elements from first to
// end-1, which is returned.
func (w *walker) isolate(i, first, end int32) int32 {
	if first > w.items[i].first {
		i = w.split(i, first)
	}
	if end < w.items[i].end() {
		w.split(i, end)
	}
	return i
}

// split makes of item i two, and returns the second, which begins with element e.
func (w *walker) split(i, e int32) int32 {
	it := &w.items[i]
	rest := item{first: e, n: it.end() - e, left: e - 1, right: it.right, state: it.state, gone: it.gone}
	it.n = e - it.first
	k := int32(len(w.items))
	w.items = append(w.items, rest)
	w.tree.insert(i, k)
	var seen, shown int32
	if rest.state == present {
		seen = rest.n
	}
	if !rest.gone {
		shown = rest.n
	}
	w.tree.resize(i, -seen, -shown)
	w.tree.resize(k, seen, shown)
	if e < 0 {
		at := sort.Search(len(w.old), func(i int) bool { return w.items[w.old[i]].first >= e })
		w.old = slices.Insert(w.old, at, k)
		return k
	}
	w.own(rest.first, rest.n, k)
	return k
}

// own notes the item of n elements.
func (w *walker) own(first, n, i int32) {
	for len(w.owner) < int(first+n) {
		w.owner = append(w.owner, none)
	}
	for k := range n {
		w.owner[first+k] = i
	}
}

// delete does a deletion of run i, which is void if it has no effect in the end.
func (w *walker) delete(p piece, i int, void bool, sink Sink) {
	for p.n > 0 {
		k, offset := w.tree.find(p.pos)
		e := w.items[k].first + int32(offset)
		n := min(int32(p.n), w.items[k].n-int32(offset))
		if p.kind == backspace {
			n = min(int32(p.n), int32(offset)+1)
			e -= n - 1
			p.pos -= int(n)
		}
		k = w.isolate(k, e, e+n)
		it := &w.items[k]
		it.state = deleted
		shown := int32(0)
		if !it.gone && !void {
			shown = n
		}
		if sink != nil && shown > 0 {
			sink.Delete(w.tree.shownBefore(k), int(n))
		}
		it.gone = it.gone || !void
		w.tree.resize(k, -n, -shown)
		w.strike(i, strike{at: p.at, target: e, n: n, kind: p.kind})
		p.at += int(n)
		p.n -= int(n)
	}
}

// firstStrike is the first part of a run.
func (w *walker) firstStrike(run int) int32 {
	if run-w.run0 >= len(w.chains) {
		return none
	}
	return w.chains[run-w.run0].first
}

// strike adds a part to a run, of which the parts come in order.
func (w *walker) strike(run int, s strike) {
	for len(w.chains) <= run-w.run0 {
		w.chains = append(w.chains, chain{none, none})
	}
	s.next = none
	c := &w.chains[run-w.run0]
	k := int32(len(w.strikes))
	switch {
	case c.last == none:
		c.first = k
	case w.strikes[c.last].joins(s):
		return
	default:
		w.strikes[c.last].next = k
	}
	c.last = k
	w.strikes = append(w.strikes, s)
}

// joins makes s part of k if it goes on with what is next to it.
func (k *strike) joins(s strike) bool {
	switch {
	case k.at+int(k.n) != s.at:
		return false
	case k.kind == Delete && s.target == k.target+k.n:
	case k.kind == backspace && s.target+s.n == k.target:
		k.target = s.target
	default:
		return false
	}
	k.n += s.n
	return true
}
