package crdt

import (
	"slices"

	"github.com/p2pnode/p2pnode/crdt/causal"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// step is a commit that is being applied, and what its author had not seen.
type step struct {
	history *history
	commit  int
	unseen  []causal.Span // commits that are here, and no ancestors
	void    bool          // only its place in texts and lists counts
	cleared []*mapping    // maps of which it has removed everything
}

// saw tells whether the author had seen what a commit did.
func (s *step) saw(c int) bool {
	return !slices.ContainsFunc(s.unseen, func(u causal.Span) bool { return u.First <= c && c < u.End })
}

// dot is something that a commit has put there and nobody who saw it has taken away. What
// is taken away leaves nothing behind: a dot that comes later was put there by somebody who
// had not seen it being taken away, or its taker would have been applied after it.
type dot struct {
	commit int
	value  string // or none
	delta  int64
}

// unseen keeps the dots that the author of the step had not seen.
func (s *step) unseenDots(dots []dot) []dot {
	kept := slices.DeleteFunc(dots, func(d dot) bool { return s.saw(d.commit) })
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// content is what an object holds. Each kind is one.
type content interface {
	// do applies an operation of the kind.
	do(*step, commit.Op)
	// clear takes away what the author had seen.
	clear(*step)
	// live tells whether there is anything.
	live() bool
	// spent tells whether nothing is lost if the object is forgotten.
	spent() bool
	// view is it as plain values.
	view(*history) any
	// dump appends all that replicas must agree on.
	dump(*history, []byte) []byte
}

// sum is a Counter and a GrowCounter: the sum of its dots.
type sum struct{ dots []dot }

func (c *sum) do(s *step, op commit.Op) {
	if k := len(c.dots) - 1; k >= 0 && c.dots[k].commit == s.commit {
		c.dots[k].delta += op.Delta
		return
	}
	c.dots = append(c.dots, dot{commit: s.commit, delta: op.Delta})
}

func (c *sum) clear(s *step) { c.dots = s.unseenDots(c.dots) }
func (c *sum) live() bool    { return len(c.dots) > 0 }
func (c *sum) spent() bool   { return !c.live() }

func (c *sum) view(*history) any { return c.total() }

func (c *sum) total() int64 {
	var n int64
	for _, d := range c.dots {
		n += d.delta
	}
	return n
}

func (c *sum) dump(h *history, b []byte) []byte { return dumpDots(h, b, c.fold(h, h.floor).dots) }

// register is a Register and a MultiRegister: its dots are the values that were set at the
// same time.
type register struct {
	dots  []dot
	multi bool
}

func (r *register) do(s *step, op commit.Op) {
	r.clear(s)
	r.dots = append(r.dots, dot{commit: s.commit, value: string(op.Data)})
}

func (r *register) clear(s *step) { r.dots = s.unseenDots(r.dots) }
func (r *register) live() bool    { return len(r.dots) > 0 }
func (r *register) spent() bool   { return !r.live() }

// sorted are the dots, that which wins first.
func (r *register) sorted(h *history) []dot {
	return slices.SortedStableFunc(slices.Values(r.dots), func(a, b dot) int {
		switch {
		case a.commit == b.commit:
			return 0 // of the horizon: they are in order
		case h.beats(a.commit, b.commit):
			return -1
		}
		return 1
	})
}

// winner is the value that wins, in bytes, of a register that is live.
func (r *register) winner(h *history) string {
	best := r.dots[0]
	for _, d := range r.dots[1:] {
		if h.beats(d.commit, best.commit) {
			best = d
		}
	}
	return best.value
}

// view is the value that wins, or of a MultiRegister all, the winner first.
func (r *register) view(h *history) any {
	if !r.multi {
		if !r.live() {
			return nil
		}
		return commit.Value([]byte(r.winner(h)))
	}
	dots := r.sorted(h)
	values := make([]any, len(dots))
	for i, d := range dots {
		values[i] = commit.Value([]byte(d.value))
	}
	return values
}

func (r *register) dump(h *history, b []byte) []byte { return dumpDots(h, b, r.fold(h, h.floor).dots) }

// set is a Set: each element is there as long as it has dots, so who adds it wins over who
// removes it at the same time.
type set struct{ elements map[string][]dot }

func (e *set) do(s *step, op commit.Op) {
	dots := s.unseenDots(e.elements[string(op.Data)])
	if op.Code == commit.OpAdd {
		dots = append(dots, dot{commit: s.commit})
	}
	e.put(string(op.Data), dots)
}

func (e *set) put(element string, dots []dot) {
	if len(dots) == 0 {
		delete(e.elements, element)
		return
	}
	e.elements[element] = dots
}

func (e *set) clear(s *step) {
	for element, dots := range e.elements {
		e.put(element, s.unseenDots(dots))
	}
}

func (e *set) live() bool  { return len(e.elements) > 0 }
func (e *set) spent() bool { return !e.live() }

// sorted are the elements in the order of their bytes.
func (e *set) sorted() []string {
	var elements []string
	for v := range e.elements {
		elements = append(elements, v)
	}
	slices.Sort(elements)
	return elements
}

func (e *set) view(*history) any {
	values := make([]any, 0, len(e.elements))
	for _, v := range e.sorted() {
		values = append(values, commit.Value([]byte(v)))
	}
	return values
}

func (e *set) dump(h *history, b []byte) []byte {
	for _, v := range e.sorted() {
		b = dumpString(b, v)
		b = dumpDots(h, b, h.first(e.elements[v], h.floor))
	}
	return b
}
