// Package sequence merges concurrent insertions into, and deletions from, one order of
// elements: the characters of a text, the values of a list.
//
// It is the algorithm eg-walker (Gentle and Kleppmann, EuroSys 2025). What is kept is a
// log of operations with the positions at which their authors made them. While everybody
// has seen everything, a position is valid as it stands, and applying an operation is
// adding it to the log. Where operations are concurrent, a walker replays those since the
// last critical commit, with the state of a list CRDT that is thrown away afterwards, and
// finds out where each belongs now. Among insertions at the same place the order is that
// of FugueMax (Weidner and Kleppmann, "The Art of the Fugue", 2023), which does not mix what
// different people have typed, forwards or backwards.
//
// It does not hold the elements: it knows each by its number, which counts all that were
// ever inserted, in the order of the log. What is to be done to them it tells a Sink.
//
// Invariant: the order, and which operations are void because their position was never
// there, depend on the commits alone: not on the order in which these came, nor on where
// a replay began. A replay begins with the verified length of the sequence for that reason.
package sequence

import (
	"math"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/causal"
)

// Sink is told what happens to the elements, each position being valid after all that came
// before.
type Sink interface {
	// Insert puts the n elements from number first on before what is at pos.
	Insert(pos, first, n int)
	// Delete removes n elements from pos on.
	Delete(pos, n int)
}

// Judge knows what the numbers of commits do not tell. All replicas must judge alike, so not
// by the numbers.
type Judge interface {
	// Before tells which of two concurrent commits comes first where both insert at the same
	// place.
	Before(a, b int) bool
	// Void lists, in ascending order, the commits of a version that have no effect in it. Those
	// that it names of a version and are ancestors of a critical commit, it names of each
	// later one too.
	Void(version []int) []int
	// Voids tells whether Void lists any commit of any version.
	Voids() bool
}

// Sequence is the log and what is known about its present state. The zero value is empty.
// It is not safe for concurrent use.
type Sequence struct {
	before  int // elements that were there before the log
	log     log
	walker  *walker // of the last concurrent operations, or nil
	merged  int     // operations the sink knows about
	length  int     // of the sequence after them
	lengths []mark  // ascending
}

// mark is a length that the log does not tell: that of the version that is commit.
type mark struct{ commit, length int32 }

// Len is the length of the sequence, as the Sink knows it.
func (s *Sequence) Len() int { return s.length }

// Begin makes an empty sequence one that n elements were in before its log begins, with the
// numbers from 0 on. Their commits must be ancestors of all in the log.
func (s *Sequence) Begin(n int) { s.before, s.length, s.log.elements = n, n, n }

// Elements is how many elements were ever inserted; the next gets it as its number.
func (s *Sequence) Elements() int { return s.log.elements }

// Insert adds to the log that commit c inserts n elements before what is at pos, and tells
// the number of the first. ok is false if there has never been such a position, in which
// case nothing is added. Commits must come in the order of their numbers.
func (s *Sequence) Insert(g *causal.Graph, c, pos, n int) (first int, ok bool) {
	first = s.log.elements
	if n <= 0 || pos < 0 || pos > first || n > elementsMax-first {
		return first, false
	}
	s.log.add(g, c, Insert, pos, n)
	return first, true
}

// Delete adds to the log that commit c deletes up to n elements from pos on.
func (s *Sequence) Delete(g *causal.Graph, c, pos, n int) {
	// No version is longer than all that was ever inserted.
	if pos < 0 || pos >= s.log.elements || n <= 0 {
		return
	}
	s.log.add(g, c, Delete, pos, min(n, s.log.elements-pos))
}

// Known is how many elements were ever inserted by others than the commits of these spans: of
// all versions that do not hold those, none is longer.
func (s *Sequence) Known(except []causal.Span) int {
	n := s.log.elements
	for _, span := range except {
		n -= s.log.elementOf(s.log.firstOf(span.End)) - s.log.elementOf(s.log.firstOf(span.First))
	}
	return n
}

// Merge tells the sink what the operations mean that were added since the last Merge. g
// must hold their commits.
func (s *Sequence) Merge(g *causal.Graph, judge Judge, sink Sink) {
	s.merge(g, judge, sink, s.log.n)
}

// Replay is the one Merge of a sequence where commits from first on may be void though they are
// critical.
func (s *Sequence) Replay(g *causal.Graph, judge Judge, first int, sink Sink) {
	if s.merged > 0 {
		return
	}
	base, _ := g.Base(first)
	s.merge(g, judge, sink, s.log.firstOf(base+1))
	w := newWalker(g, &s.log, judge, base, s.length)
	w.follow(g.Len(), &measured{sink, &s.length})
	s.merged = s.log.n
}

// merge tells the sink what the operations mean up to end, which is none or that after a critical
// commit.
func (s *Sequence) merge(g *causal.Graph, judge Judge, sink Sink, end int) {
	for s.merged < end {
		c := s.log.commitOf(s.merged)
		if span, ok := g.Critical(c); ok {
			s.direct(min(end, s.log.firstOf(span.End)), sink)
			s.release()
			continue
		}
		s.concurrent(g, judge, c, sink)
	}
}

// direct does the operations up to end as they stand: their authors knew all the others.
func (s *Sequence) direct(end int, sink Sink) {
	for i := s.log.runOf(s.merged); s.merged < end; i++ {
		r := &s.log.runs[i]
		if s.merged == r.at {
			r.length = int32(s.length)
		}
		piece := s.log.cut(i, s.merged, end)
		s.merged += piece.n
		switch piece = piece.within(s.length); {
		case piece.n == 0:
		case piece.kind == Insert:
			sink.Insert(piece.pos, piece.element, piece.n)
			s.length += piece.n
		default:
			sink.Delete(piece.start(), piece.n)
			s.length -= piece.n
		}
	}
}

// concurrent does the operations from commit c to the next critical one.
func (s *Sequence) concurrent(g *causal.Graph, judge Judge, c int, sink Sink) {
	base, end := g.Base(c)
	// A walker that has stopped can go on, if there is less for it to catch up with than a new
	// one would have to replay.
	if w := s.walker; w == nil || w.next <= base+1 || !isCritical(g, w.base) {
		from, length := s.begin(g, base)
		s.walker = newWalker(g, &s.log, judge, from, length)
	}
	s.walker.follow(c, nil)
	s.walker.follow(end, &measured{sink, &s.length})
	s.merged = s.log.firstOf(end)
}

func isCritical(g *causal.Graph, c int) bool {
	_, ok := g.Critical(c)
	return ok || c < 0
}

// release lets the walker go when as much has come after it as it has done: whoever forks
// from there makes a new one replay no more than that again.
func (s *Sequence) release() {
	if w := s.walker; w != nil && s.merged-s.log.firstOf(w.next) > w.done {
		s.walker = nil
	}
}

// begin chooses where a replay begins, if possible at base.
func (s *Sequence) begin(g *causal.Graph, base int) (from, length int) {
	if base >= 0 && s.log.firstOf(base+1) == s.merged {
		if _, ok := s.lengthAt(base); !ok {
			s.lengths = append(s.lengths, mark{int32(base), int32(s.length)})
		}
		return base, s.length
	}
	return s.known(g, base)
}

// known is the newest critical commit up to base of which the length is known.
func (s *Sequence) known(g *causal.Graph, base int) (from, length int) {
	for base >= 0 {
		if length, ok := s.lengthAt(base); ok {
			return base, length
		}
		base, _ = g.Base(base)
	}
	return -1, 0
}

// lengthAt is the length at a critical commit.
func (s *Sequence) lengthAt(c int) (length int, ok bool) {
	end := s.log.firstOf(c + 1)
	if end == 0 {
		return s.before, true
	}
	i := s.log.runOf(end - 1)
	if r := s.log.runs[i]; r.length != unknown {
		piece := s.log.cut(i, r.at, end).within(int(r.length))
		if piece.kind == Insert {
			return int(r.length) + piece.n, true
		}
		return int(r.length) - piece.n, true
	}
	for i := len(s.lengths) - 1; i >= 0; i-- {
		if m := s.lengths[i]; int(m.commit) <= c {
			return int(m.length), s.log.firstOf(int(m.commit)+1) == end
		}
	}
	return 0, false
}

// Shift tells where a gap between two elements of an old version is now. The gap is at pos,
// which is brought within the version's length. It follows the element after it, or, if
// left is set, the one before it. Everything in the log must have been merged.
func (s *Sequence) Shift(g *causal.Graph, judge Judge, version []int, pos int, left bool) int {
	newest := -1
	for _, v := range version {
		newest = max(newest, v)
	}
	if slices.Equal(version, g.Heads()) {
		return min(max(pos, 0), s.length)
	}
	base, _ := g.Base(newest + 1)
	base, length := s.known(g, base)
	w := newWalker(g, &s.log, judge, base, length)
	w.follow(g.Len(), nil)
	w.move(version)
	return w.gap(pos, left)
}

// measured keeps count of the length.
type measured struct {
	Sink
	length *int
}

func (m *measured) Insert(pos, first, n int) {
	m.Sink.Insert(pos, first, n)
	*m.length += n
}

func (m *measured) Delete(pos, n int) {
	m.Sink.Delete(pos, n)
	*m.length -= n
}

// elementsMax is how many elements one sequence may ever have had.
const elementsMax = math.MaxInt32 - 2
