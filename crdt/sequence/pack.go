package sequence

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/causal"
	"github.com/p2pnode/p2pnode/crdt/pack"
)

// A sequence is written as the log in the order of a graph that numbers the commits in an order
// on which all replicas agree, in unsigned varints where nothing else is said:
//
//	length   of the sequence
//	before   elements that were there before the log
//	commits  how many groups; of each: commits without operations before it, how many
//	         commits, operations of each
//	runs     how many; of each: operations × 4 + kind, position, as zigzag distance from where
//	         the run before has ended
//	lengths  how many critical chains have operations; of each: length before the first
const kinds = 4

// did is operations of one commit.
type did struct{ commit, at, n int }

// Append writes the sequence, of which everything must have been merged. number is what the
// graph calls a commit.
func (s *Sequence) Append(b []byte, g *causal.Graph, number []int32) []byte {
	b = pack.AppendUint(pack.AppendUint(b, s.length), s.before)
	var list []did
	for _, m := range s.log.commits {
		for k := range int(m.count) {
			list = append(list, did{int(number[int(m.commit)+k]), m.at + k*int(m.stride), int(m.stride)})
		}
	}
	slices.SortFunc(list, func(x, y did) int { return cmp.Compare(x.commit, y.commit) })
	var sorted log
	for _, d := range list {
		s.log.copy(&sorted, g, d)
	}
	b = appendCommits(b, list)
	b = pack.AppendUint(b, len(sorted.runs))
	cursor := 0
	for i, r := range sorted.runs {
		n := sorted.end(i) - r.at
		b = pack.AppendUint(b, n*kinds+int(r.kind))
		b = binary.AppendVarint(b, int64(int(r.pos)-cursor))
		cursor = r.after(n)
	}
	return s.appendLengths(b, g)
}

// copy adds the operations of a commit to another log. It deletes one by one, as it does not
// matter for what is written how they came.
func (l *log) copy(to *log, g *causal.Graph, d did) {
	first, end := d.at, d.at+d.n
	for i := l.runOf(first); first < end; i++ {
		p := l.cut(i, first, end)
		first += p.n
		switch p.kind {
		case Insert:
			to.add(g, d.commit, Insert, p.pos, p.n)
		case Delete:
			for range p.n {
				to.add(g, d.commit, Delete, p.pos, 1)
			}
		case backspace:
			for k := range p.n {
				to.add(g, d.commit, Delete, p.pos-k, 1)
			}
		}
	}
}

// after is the position where a run of n operations ends.
func (r *run) after(n int) int {
	switch r.kind {
	case Insert:
		return int(r.pos) + n
	case backspace:
		return int(r.pos) - n
	}
	return int(r.pos)
}

func appendCommits(b []byte, list []did) []byte {
	var groups [][]did
	for first := 0; first < len(list); {
		end := first + 1
		for end < len(list) && list[end].n == list[first].n && list[end].commit == list[end-1].commit+1 {
			end++
		}
		groups = append(groups, list[first:end])
		first = end
	}
	b = pack.AppendUint(b, len(groups))
	next := 0
	for _, group := range groups {
		b = pack.AppendUint(b, group[0].commit-next)
		b = pack.AppendUint(pack.AppendUint(b, len(group)), group[0].n)
		next = group[0].commit + len(group)
	}
	return b
}

// appendLengths writes the length before each critical chain that has operations. A critical
// commit has the same number in all orders, and what is critical is so from the beginning: it
// was merged directly.
func (s *Sequence) appendLengths(b []byte, g *causal.Graph) []byte {
	var lengths []int
	for _, span := range g.CriticalSpans() {
		if at := s.log.firstOf(span.First); at < s.log.firstOf(span.End) {
			lengths = append(lengths, int(s.log.runs[s.log.runOf(at)].length))
		}
	}
	b = pack.AppendUint(b, len(lengths))
	for _, n := range lengths {
		b = pack.AppendUint(b, n)
	}
	return b
}

// Read reads what Append has written, into an empty sequence.
func (s *Sequence) Read(r *pack.Reader, g *causal.Graph) {
	s.length, s.before = r.UpTo(elementsMax), r.UpTo(elementsMax)
	s.log.elements = s.before
	next, ops := 0, 0
	for range r.Count(3) {
		m := made{at: ops, commit: int32(next + r.UpTo(g.Len()-next))}
		m.count = int32(r.UpTo(g.Len() - int(m.commit)))
		m.stride = int32(r.UpTo(elementsMax))
		next = int(m.commit) + int(m.count)
		ops += int(m.count) * int(m.stride)
		if m.count == 0 || m.stride == 0 {
			r.Fail("commits without operations")
			return
		}
		s.log.commits = append(s.log.commits, m)
	}
	s.readRuns(r)
	if s.log.n != ops {
		r.Fail("%d operations, of %d by commits", s.log.n, ops)
	}
	if ops == 0 && s.length != s.before {
		r.Fail("length %d, not %d", s.length, s.before)
	}
	if r.Err() != nil {
		return
	}
	s.readLengths(r, g)
	s.merged = s.log.n
}

func (s *Sequence) readRuns(r *pack.Reader) {
	l := &s.log
	n := r.Count(2)
	l.runs = make([]run, 0, n)
	cursor := 0
	for range n {
		head := r.UpTo(elementsMax * kinds)
		run := run{at: l.n, length: unknown, element: int32(l.elements), kind: Kind(head % kinds)}
		size, pos := head/kinds, int64(cursor)+r.Signed()
		if pos < 0 || pos > elementsMax || size == 0 || run.kind > backspace || run.kind == backspace && int64(size) > pos+1 {
			r.Fail("run of %d at %d", size, pos)
			return
		}
		run.pos = int32(pos)
		if run.kind == Insert {
			if l.elements += size; l.elements > elementsMax || int(pos)+size > elementsMax {
				r.Fail("%d elements", l.elements)
				return
			}
		}
		l.n += size
		cursor = run.after(size)
		l.runs = append(l.runs, run)
	}
}

// readLengths computes the lengths before all runs of critical chains.
func (s *Sequence) readLengths(r *pack.Reader, g *causal.Graph) {
	n := r.Count(1)
	length := 0
	for _, span := range g.CriticalSpans() {
		at, end := s.log.firstOf(span.First), s.log.firstOf(span.End)
		if at == end {
			continue
		}
		if n--; n < 0 {
			break
		}
		length = r.UpTo(elementsMax)
		for i := s.log.runOf(at); at < end; i++ {
			run := &s.log.runs[i]
			if run.at < at {
				r.Fail("a run leads into a critical chain")
				return
			}
			run.length = int32(length)
			// It is the whole run, or its beginning.
			p := piece{kind: run.kind, at: at, pos: int(run.pos), n: min(s.log.end(i), end) - at}
			at += p.n
			if p = p.within(length); p.kind == Insert {
				length += p.n
			} else {
				length -= p.n
			}
		}
	}
	if n != 0 {
		r.Fail("%d lengths too many", n)
	}
	if _, ok := g.Critical(g.Len() - 1); ok && s.log.firstOf(g.Len()) > s.log.firstOf(g.Len()-1) && length != s.length {
		r.Fail("length %d, not %d", s.length, length)
	}
}
