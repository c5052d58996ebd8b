// Package causal says which commit of a document came before which.
//
// It numbers commits in the order in which they were added, so parents have smaller
// numbers than their children. Numbers are local: two replicas number the same commits
// differently, so nothing that replicas must agree on may be decided by them. A version
// is a set of commits, given by some of its members of which all others are ancestors;
// the empty version is that before the first commit.
//
// A commit is critical if every other one is its ancestor or its descendant. What was
// written after a critical commit can be understood without what was written before
// (Gentle and Kleppmann, "Collaborative Text Editing with Eg-walker", EuroSys 2025, §3.5).
//
// Invariant: memory is in proportion to the branches and merges, not to the commits: a run
// of commits, each the only child of the one before when it was added, is one entry.
package causal

import (
	"fmt"
	"iter"
	"slices"
	"sort"
)

// Span is the commits First to End-1.
type Span struct{ First, End int }

// Len is how many commits it holds.
func (s Span) Len() int { return s.End - s.First }

// run is commits of which each but the first has the one before as its only parent. It
// ends where the next begins.
type run struct {
	first   int32
	parents int32 // where those of the first begin in Graph.parents
}

// CommitsMax is how many commits a graph may hold.
const CommitsMax = 1<<31 - 1

// Graph is the commits of one document. The zero value is empty and ready; it is not safe
// for concurrent use.
type Graph struct {
	runs     []run
	parents  []int32 // of the first commits of all runs
	heads    []int   // ascending
	critical []Span  // ascending, apart from each other
	n        int
}

// Len is the number of commits; the next one added gets it as its number.
func (g *Graph) Len() int { return g.n }

// Heads are the commits without children, ascending. They are the version that holds
// every commit. The slice must not be changed.
func (g *Graph) Heads() []int { return g.heads }

// Add adds a commit with these parents, which must be in the graph, and returns its
// number. None means that it is a root.
func (g *Graph) Add(parents ...int) int {
	c := g.n
	if c == CommitsMax {
		panic("causal: too many commits") // documents are bounded long before
	}
	newest := -1
	for _, p := range parents {
		if p < 0 || p >= c {
			panic(fmt.Sprintf("causal: commit %d has parent %d", c, p))
		}
		newest = max(newest, p)
	}
	if len(parents) != 1 || newest != c-1 {
		g.runs = append(g.runs, run{first: int32(c), parents: int32(len(g.parents))})
		for _, p := range parents {
			g.parents = append(g.parents, int32(p))
		}
	}
	g.n++
	g.retract(newest)
	if len(g.heads) == 1 && newest == g.heads[0] {
		g.heads[0] = c
	} else {
		g.heads = slices.DeleteFunc(g.heads, func(h int) bool { return slices.Contains(parents, h) })
		g.heads = append(g.heads, c)
	}
	if len(g.heads) == 1 {
		g.extend(c)
	}
	return c
}

// AddChain adds n commits, the first with these parents, each other with the one before. It
// returns the number of the last.
func (g *Graph) AddChain(n int, parents ...int) int {
	c := g.Add(parents...)
	g.n += n - 1
	last := c + n - 1
	g.heads[len(g.heads)-1] = last
	if len(g.heads) == 1 {
		g.critical[len(g.critical)-1].End = last + 1
	}
	return last
}

// retract takes from the critical commits those that are no ancestors of a commit with
// this newest parent. All that came after a critical commit descends from it, so numbers
// tell.
func (g *Graph) retract(newest int) {
	for len(g.critical) > 0 {
		last := &g.critical[len(g.critical)-1]
		last.End = min(last.End, newest+1)
		if last.First < last.End {
			return
		}
		g.critical = g.critical[:len(g.critical)-1]
	}
}

func (g *Graph) extend(c int) {
	if k := len(g.critical) - 1; k >= 0 && g.critical[k].End == c {
		g.critical[k].End++
		return
	}
	g.critical = append(g.critical, Span{c, c + 1})
}

// runOf is the index of the run that holds c.
func (g *Graph) runOf(c int) int {
	if k := len(g.runs) - 1; k >= 0 && int(g.runs[k].first) <= c {
		return k
	}
	return sort.Search(len(g.runs), func(i int) bool { return int(g.runs[i].first) > c }) - 1
}

// runEnd is the commit after the last of run i.
func (g *Graph) runEnd(i int) int {
	if i+1 < len(g.runs) {
		return int(g.runs[i+1].first)
	}
	return g.n
}

func (g *Graph) runParents(i int) []int32 {
	end := len(g.parents)
	if i+1 < len(g.runs) {
		end = int(g.runs[i+1].parents)
	}
	return g.parents[g.runs[i].parents:end]
}

// Parents appends the parents of c to buf, as they were added.
func (g *Graph) Parents(buf []int, c int) []int {
	i := g.runOf(c)
	if c > int(g.runs[i].first) {
		return append(buf, c-1)
	}
	for _, p := range g.runParents(i) {
		buf = append(buf, int(p))
	}
	return buf
}

// Critical tells whether c is critical, and the span of commits that are as critical as
// it and have no others between them: from First on they are a chain.
func (g *Graph) Critical(c int) (Span, bool) {
	i := g.criticalAfter(c)
	if i < len(g.critical) && g.critical[i].First <= c {
		return g.critical[i], true
	}
	return Span{}, false
}

// CriticalSpans are all critical commits: spans that have others between them, ascending. They
// must not be changed.
func (g *Graph) CriticalSpans() []Span { return g.critical }

// Runs are all commits, cut into chains: of each the first, the last and the parents of the
// first, as they were added.
func (g *Graph) Runs() iter.Seq2[Span, []int32] {
	return func(yield func(Span, []int32) bool) {
		for i, r := range g.runs {
			if !yield(Span{int(r.first), g.runEnd(i)}, g.runParents(i)) {
				return
			}
		}
	}
}

// Base is the newest critical commit before c, or -1, and the first one after it, or Len.
func (g *Graph) Base(c int) (before, after int) {
	i := g.criticalAfter(c)
	before, after = -1, g.n
	if i < len(g.critical) {
		if after = max(c+1, g.critical[i].First); after == g.critical[i].End {
			after = g.n
			if i+1 < len(g.critical) {
				after = g.critical[i+1].First
			}
		}
		if g.critical[i].First < c {
			return c - 1, after
		}
	}
	if i > 0 {
		before = g.critical[i-1].End - 1
	}
	return before, after
}

// criticalAfter is the index of the first span of critical commits that ends after c.
func (g *Graph) criticalAfter(c int) int {
	return sort.Search(len(g.critical), func(i int) bool { return g.critical[i].End > c })
}

// Chain tells whether all commits from a to b, but a, have the one before as their only
// parent.
func (g *Graph) Chain(a, b int) bool { return g.runOf(a) == g.runOf(b) }

// First is the first commit of the longest chain that ends in c and has no gaps in its
// numbers.
func (g *Graph) First(c int) int { return int(g.runs[g.runOf(c)].first) }

// Prefix is the version that holds the first n commits, ascending. It takes time in
// proportion to the runs.
func (g *Graph) Prefix(n int) []int {
	var version []int
	for i := range g.runs {
		first := int(g.runs[i].first)
		if first >= n {
			break
		}
		for _, p := range g.runParents(i) {
			if k, found := slices.BinarySearch(version, int(p)); found {
				version = slices.Delete(version, k, k+1)
			}
		}
		version = append(version, min(n, g.runEnd(i))-1)
	}
	return version
}
