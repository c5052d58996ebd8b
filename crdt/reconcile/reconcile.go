// Package reconcile finds out which of one's commits somebody else has, by questions about
// ranges of them: so that replicas whose heads tell each other nothing need not send each other
// all that those heads follow.
//
// Commits are in the order of their gens and then of their IDs. A question is a range. Whoever
// has few commits in it answers with a list of them; whoever has many cuts it into parts with
// about as many commits each, and gives a print of each part. A part with the print of one's own
// is the same on both sides; the others are the next questions. So of n commits of which d
// differ, about d·log n ranges are asked about, in log n rounds of questions (Meyer,
// "Range-Based Set Reconciliation", SRDS 2023).
//
// A print is a SHA-256 of the IDs in their order. It is computed anew for each question, from
// memory, at the speed of hashing: no tree is kept, and no other commits with the same print can
// be made, as they could if prints of commits were added up. Prints, and the IDs in lists, are
// cut short: whoever makes two that are alike gains that their own commit is thought to be known.
//
// It is not a transfer, and knows no peers: packages crdt/wire and crdt/replica bring the
// questions to somebody.
//
// Invariant: a Survey ends, after at most questionsMax questions, whatever the answers are.
package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Limits on questions and answers.
const (
	// RangesMax is how many ranges are asked about at a time.
	RangesMax = 256
	// PartsMax is into how many parts a range is cut.
	PartsMax = 16
	// ListMax is how many commits of a range are listed.
	ListMax = 32

	// questionsMax is about how many ranges a Survey asks in all. Sets that need more have
	// thousands of differences all over, and no use for it.
	questionsMax = 64 * RangesMax
)

// Errors of a Survey.
var (
	// ErrMalformed means answers to other questions, or that contradict themselves.
	ErrMalformed = errors.New("answers do not fit the questions")
	// ErrEndless means that there is no end of questions.
	ErrEndless = errors.New("too many questions")
)

// Commit is a commit of a set.
type Commit struct {
	Gen uint64
	ID  commit.ID
}

func (c Commit) compare(o Commit) int {
	return cmp.Or(cmp.Compare(c.Gen, o.Gen), c.ID.Compare(o.ID))
}

// Point is a point in the order, before the commits with this gen whose IDs begin with this
// prefix, big end first, or are greater.
type Point struct{ Gen, Prefix uint64 }

func (c Commit) point() Point { return Point{c.Gen, prefixOf(c.ID)} }

func prefixOf(id commit.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// Compare orders points.
func (p Point) Compare(o Point) int {
	return cmp.Or(cmp.Compare(p.Gen, o.Gen), cmp.Compare(p.Prefix, o.Prefix))
}

// last is behind all commits.
var last = Point{Gen: math.MaxUint64}

// Range is the commits between two points.
type Range struct{ From, To Point }

// Print tells sets of commits apart.
type Print [16]byte

// Part is a part of a range, from the end of the part before it.
type Part struct {
	To    Point
	Print Print
}

// Answer is what somebody has in a range: a list of the prefixes of IDs, or two or more parts.
type Answer struct {
	Prefixes []uint64
	Parts    []Part
}

// Set is commits in their order. The zero Set has none.
type Set struct{ commits []Commit }

// NewSet makes a set of commits that are all different. It keeps the slice.
func NewSet(commits []Commit) *Set {
	slices.SortFunc(commits, Commit.compare)
	return &Set{commits}
}

// in lists the commits in a range.
func (s *Set) in(r Range) []Commit {
	at := func(p Point) int {
		n, _ := slices.BinarySearchFunc(s.commits, p, func(c Commit, p Point) int { return c.point().Compare(p) })
		return n
	}
	from := at(r.From)
	return s.commits[from:max(from, at(r.To))]
}

// Answer tells what is in a range.
func (s *Set) Answer(r Range) (a Answer) {
	commits := s.in(r)
	if len(commits) > ListMax {
		a.Parts = s.parts(r, commits)
	}
	if len(a.Parts) > 1 {
		return a
	}
	// More than fit into a list, and not to be cut: somebody has made IDs that begin alike.
	a.Parts = nil
	for _, c := range commits[:min(len(commits), ListMax)] {
		a.Prefixes = append(a.Prefixes, prefixOf(c.ID))
	}
	return a
}

// parts cuts a range.
func (s *Set) parts(r Range, commits []Commit) (parts []Part) {
	from := r.From
	for i := range PartsMax {
		to := r.To
		if i < PartsMax-1 {
			to = commits[(i+1)*len(commits)/PartsMax].point()
		}
		if from.Compare(to) < 0 {
			parts = append(parts, Part{to, printOf(s.in(Range{from, to}))})
			from = to
		}
	}
	return parts
}

func printOf(commits []Commit) (p Print) {
	h := sha256.New()
	for i := range commits {
		h.Write(commits[i].ID[:])
	}
	copy(p[:], h.Sum(nil))
	return p
}

// Survey asks somebody about one's own commits.
type Survey struct {
	own   *Set
	open  []Range // to be asked about, in order
	asked int
	lacks []commit.ID
}

// NewSurvey asks about a set, which must stay as it is.
func NewSurvey(own *Set) *Survey {
	return &Survey{own: own, open: []Range{{To: last}}}
}

// Questions are those to be asked next, in their order, at most RangesMax. None means that all
// is known.
func (s *Survey) Questions() []Range { return s.open[:min(len(s.open), RangesMax)] }

// Take takes the answers to Questions, one to each.
func (s *Survey) Take(answers []Answer) error {
	asked := s.Questions()
	if len(answers) != len(asked) {
		return fmt.Errorf("%d answers to %d questions: %w", len(answers), len(asked), ErrMalformed)
	}
	if s.asked += len(asked); s.asked > questionsMax {
		return ErrEndless
	}
	var next []Range
	for i, a := range answers {
		if len(a.Parts) == 0 {
			s.list(asked[i], a.Prefixes)
			continue
		}
		different, err := s.compare(asked[i], a.Parts)
		if err != nil {
			return err
		}
		next = append(next, different...)
	}
	s.open = append(next, s.open[len(asked):]...)
	return nil
}

// list takes all that somebody has in a range.
func (s *Survey) list(r Range, prefixes []uint64) {
	for _, c := range s.own.in(r) {
		if !slices.Contains(prefixes, prefixOf(c.ID)) {
			s.lacks = append(s.lacks, c.ID)
		}
	}
}

// compare finds the parts of a range that differ. Where there is nothing of one's own, there is
// nothing to ask.
func (s *Survey) compare(r Range, parts []Part) (different []Range, err error) {
	if len(parts) == 1 || len(parts) > PartsMax {
		return nil, fmt.Errorf("a range in %d parts: %w", len(parts), ErrMalformed)
	}
	from := r.From
	for i, p := range parts {
		if from.Compare(p.To) >= 0 || i == len(parts)-1 && p.To != r.To {
			return nil, fmt.Errorf("part %d of a range ends elsewhere: %w", i, ErrMalformed)
		}
		part := Range{from, p.To}
		if own := s.own.in(part); len(own) > 0 && printOf(own) != p.Print {
			different = append(different, part)
		}
		from = p.To
	}
	return different, nil
}

// Lacks are those of the set that the other does not have, as far as the answers tell.
func (s *Survey) Lacks() []commit.ID { return s.lacks }
