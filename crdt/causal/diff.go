package causal

import "slices"

// side says from which of two versions a commit was reached.
type side uint8

const (
	left side = 1 << iota
	right
	both = left | right
)

type visit struct {
	commit int
	from   side
}

// frontier is what a walk towards the roots has reached and not passed, ascending, each
// commit once.
type frontier struct {
	list  []visit
	apart int // how many were reached from one side only
}

func (f *frontier) push(c int, s side) {
	i := len(f.list)
	for i > 0 && f.list[i-1].commit > c {
		i--
	}
	if i > 0 && f.list[i-1].commit == c {
		v := &f.list[i-1]
		if v.from != both && v.from|s == both {
			f.apart--
		}
		v.from |= s
		return
	}
	f.list = slices.Insert(f.list, i, visit{c, s})
	if s != both {
		f.apart++
	}
}

// pop takes the newest.
func (f *frontier) pop() visit {
	v := f.list[len(f.list)-1]
	f.list = f.list[:len(f.list)-1]
	if v.from != both {
		f.apart--
	}
	return v
}

// Diff returns what is in version a and not in b, and the other way round, in descending
// order. It takes time in proportion to the runs of the difference.
func (g *Graph) Diff(a, b []int) (onlyA, onlyB []Span) {
	g.diff(a, b, func(s Span, from side) bool {
		switch from {
		case left:
			onlyA = appendSpan(onlyA, s)
		case right:
			onlyB = appendSpan(onlyB, s)
		}
		return true
	})
	return onlyA, onlyB
}

// appendSpan joins a span to the one that follows it in order.
func appendSpan(list []Span, s Span) []Span {
	if k := len(list) - 1; k >= 0 && list[k].First == s.End {
		list[k].First = s.First
		return list
	}
	return append(list, s)
}

// diff visits the difference of two versions, newest first, until visit returns false.
func (g *Graph) diff(a, b []int, visit func(Span, side) bool) {
	if slices.Equal(a, b) {
		return
	}
	var f frontier
	for _, c := range a {
		f.push(c, left)
	}
	for _, c := range b {
		f.push(c, right)
	}
	for f.apart > 0 {
		v := f.pop()
		i := g.runOf(v.commit)
		first := int(g.runs[i].first)
		if k := len(f.list) - 1; k >= 0 && f.list[k].commit >= first {
			next := f.list[k].commit
			if !visit(Span{next + 1, v.commit + 1}, v.from) {
				return
			}
			f.push(next, v.from)
			continue
		}
		if !visit(Span{first, v.commit + 1}, v.from) {
			return
		}
		for _, p := range g.runParents(i) {
			f.push(int(p), v.from)
		}
	}
}

// Contains tells whether c is in the version.
func (g *Graph) Contains(version []int, c int) bool {
	newest := -1
	for _, v := range version {
		if v == c {
			return true
		}
		newest = max(newest, v)
	}
	if newest < c {
		return false
	}
	// Whatever is not older than a critical commit contains all that is not newer.
	if before, _ := g.Base(newest + 1); before >= c {
		return true
	}
	found := true
	g.diff([]int{c}, version, func(s Span, from side) bool {
		if from == left && s.First <= c && c < s.End {
			found = false
		}
		return found && s.First > c
	})
	return found
}

// Reduce removes from the version, in place, what is there twice or is an ancestor of
// another member, and sorts it.
func (g *Graph) Reduce(version []int) []int {
	slices.Sort(version)
	version = slices.Compact(version)
	for i := len(version) - 2; i >= 0; i-- {
		if g.Contains(version[i+1:], version[i]) {
			version = slices.Delete(version, i, i+1)
		}
	}
	return version
}
