package causal_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/crdt/causal"
)

// naive is the same graph, with the ancestors of each commit as a set that holds itself.
type naive struct {
	parents   [][]int
	ancestors []map[int]bool
}

func (n *naive) add(parents ...int) {
	set := map[int]bool{len(n.parents): true}
	for _, p := range parents {
		for a := range n.ancestors[p] {
			set[a] = true
		}
	}
	n.parents = append(n.parents, parents)
	n.ancestors = append(n.ancestors, set)
}

func (n *naive) members(version []int) map[int]bool {
	set := make(map[int]bool)
	for _, v := range version {
		for a := range n.ancestors[v] {
			set[a] = true
		}
	}
	return set
}

func (n *naive) critical(c int) bool {
	for d := range n.parents {
		if !n.ancestors[c][d] && !n.ancestors[d][c] {
			return false
		}
	}
	return true
}

// minus is what is in a and not in b, in descending order.
func minus(a, b map[int]bool) []int {
	var out []int
	for c := range a {
		if !b[c] {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

func flatten(spans []causal.Span) []int {
	var out []int
	for _, s := range spans {
		for c := s.End - 1; c >= s.First; c-- {
			out = append(out, c)
		}
	}
	return out
}

// grow makes a graph of up to size commits in which branches are made and merged, long runs
// and zig-zag alike.
func grow(rng *rand.Rand, size int) (*causal.Graph, *naive) {
	g, n := new(causal.Graph), new(naive)
	tips := [][]int{nil}
	linear, roots := rng.Float64(), rng.IntN(4) == 0
	for range 1 + rng.IntN(size) {
		i := rng.IntN(len(tips))
		switch x := rng.Float64(); {
		case x < linear:
		case x < linear+(1-linear)/2 && len(tips) < 5:
			t := slices.Clone(tips[i])
			if rng.IntN(3) == 0 && g.Len() > 0 {
				t = []int{rng.IntN(g.Len())}
			}
			if roots && rng.IntN(4) == 0 {
				t = nil
			}
			tips = append(tips, t)
			i = len(tips) - 1
		case len(tips) > 1:
			j := rng.IntN(len(tips))
			if i != j {
				tips[i] = append(tips[i], tips[j]...)
				tips = slices.Delete(tips, j, j+1)
				i -= map[bool]int{true: 1}[j < i]
			}
		}
		slices.Sort(tips[i])
		parents := slices.Compact(tips[i])
		if rng.IntN(2) == 0 {
			parents = g.Reduce(parents)
		}
		n.add(slices.Clone(parents)...)
		tips[i] = []int{g.Add(parents...)}
	}
	return g, n
}

func someVersion(rng *rand.Rand, g *causal.Graph) []int {
	var v []int
	for range rng.IntN(4) {
		v = append(v, rng.IntN(g.Len()))
	}
	return v
}

func TestGraphAgreesWithSets(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g, n := grow(rng, 40)
		for range 10 {
			a, b := someVersion(rng, g), someVersion(rng, g)
			inA, inB := n.members(a), n.members(b)
			onlyA, onlyB := g.Diff(a, b)
			if got, want := flatten(onlyA), minus(inA, inB); !slices.Equal(got, want) {
				t.Fatalf("seed %d: in %v and not in %v: got %v, want %v", seed, a, b, got, want)
			}
			if got, want := flatten(onlyB), minus(inB, inA); !slices.Equal(got, want) {
				t.Fatalf("seed %d: in %v and not in %v: got %v, want %v", seed, b, a, got, want)
			}
			c := rng.IntN(g.Len())
			if got := g.Contains(a, c); got != inA[c] {
				t.Fatalf("seed %d: %v contains %d: got %v", seed, a, c, got)
			}
			reduced := g.Reduce(slices.Clone(a))
			if !reflect.DeepEqual(n.members(reduced), inA) {
				t.Fatalf("seed %d: %v reduced to %v", seed, a, reduced)
			}
			for i, x := range reduced {
				for _, y := range reduced[i+1:] {
					if n.ancestors[x][y] || n.ancestors[y][x] {
						t.Fatalf("seed %d: %v reduced to %v", seed, a, reduced)
					}
				}
			}
		}
		checkHeads(t, seed, g, n)
		checkPrefix(t, seed, g, n)
		checkCritical(t, seed, g, n)
		checkOrder(t, seed, rng, g, n)
	}
}

func checkHeads(t *testing.T, seed uint64, g *causal.Graph, n *naive) {
	t.Helper()
	var want []int
	for c := range n.parents {
		if !slices.ContainsFunc(n.parents, func(ps []int) bool { return slices.Contains(ps, c) }) {
			want = append(want, c)
		}
		if got := g.Parents(nil, c); !slices.Equal(got, n.parents[c]) {
			t.Fatalf("seed %d: parents of %d: got %v, want %v", seed, c, got, n.parents[c])
		}
	}
	if !slices.Equal(g.Heads(), want) {
		t.Fatalf("seed %d: heads %v, want %v", seed, g.Heads(), want)
	}
}

// checkPrefix checks the versions of all prefixes: their members that no other one follows.
func checkPrefix(t *testing.T, seed uint64, g *causal.Graph, n *naive) {
	t.Helper()
	for size := range g.Len() + 1 {
		var want []int
		for c := range size {
			if !slices.ContainsFunc(n.parents[:size], func(parents []int) bool { return slices.Contains(parents, c) }) {
				want = append(want, c)
			}
		}
		if got := g.Prefix(size); !slices.Equal(got, want) {
			t.Fatalf("seed %d: first %d: got %v, want %v", seed, size, got, want)
		}
	}
}

func checkCritical(t *testing.T, seed uint64, g *causal.Graph, n *naive) {
	t.Helper()
	critical := make([]bool, g.Len())
	for c := range critical {
		critical[c] = n.critical(c)
	}
	for c := range critical {
		span, got := g.Critical(c)
		if got != critical[c] {
			t.Fatalf("seed %d: %d of %v critical: got %v", seed, c, n.parents, got)
		}
		if got && (c < span.First || c >= span.End || slices.Contains(critical[span.First:span.End], false)) {
			t.Fatalf("seed %d: %d is among %v", seed, c, span)
		}
		before, after := -1, g.Len()
		for d := range critical {
			if critical[d] && d < c {
				before = d
			}
			if critical[d] && d > c {
				after = min(after, d)
			}
		}
		if b, a := g.Base(c); b != before || a != after {
			t.Fatalf("seed %d: around %d: got %d and %d, want %d and %d", seed, c, b, a, before, after)
		}
	}
}

func checkOrder(t *testing.T, seed uint64, rng *rand.Rand, g *causal.Graph, n *naive) {
	t.Helper()
	first := rng.IntN(g.Len())
	end := first + rng.IntN(g.Len()-first+1)
	seen := make(map[int]bool)
	for _, s := range g.Order(first, end) {
		for c := s.First; c < s.End; c++ {
			if c < first || c >= end || seen[c] {
				t.Fatalf("seed %d: %d in the order of [%d,%d)", seed, c, first, end)
			}
			if c > s.First && !slices.Equal(n.parents[c], []int{c - 1}) {
				t.Fatalf("seed %d: span %v is no chain", seed, s)
			}
			for _, p := range n.parents[c] {
				if p >= first && !seen[p] {
					t.Fatalf("seed %d: %d before its parent %d", seed, c, p)
				}
			}
			seen[c] = true
		}
	}
	if len(seen) != end-first {
		t.Fatalf("seed %d: order of [%d,%d) has %d", seed, first, end, len(seen))
	}
}

// Sorted depends on the names of commits, and not on their numbers: it is the same in a graph to
// which they were added in another order.
func TestSorted(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		g, n := grow(rng, 60)
		names := rng.Perm(g.Len())
		less := func(a, b int) bool { return names[a] < names[b] }
		sorted := g.Sorted([]causal.Span{{End: g.Len()}}, less)
		var other causal.Graph
		number := make(map[int]int) // there, of those here
		var here []int
		for _, c := range g.Sorted([]causal.Span{{End: g.Len()}}, func(a, b int) bool { return less(b, a) }) {
			var parents []int
			for _, p := range n.parents[c] {
				at, ok := number[p]
				if !ok {
					t.Fatalf("seed %d: %d before its parent %d", seed, c, p)
				}
				parents = append(parents, at)
			}
			number[c] = other.Add(parents...)
			here = append(here, c)
		}
		again := other.Sorted([]causal.Span{{End: g.Len()}}, func(a, b int) bool { return less(here[a], here[b]) })
		for i := range again {
			again[i] = here[again[i]]
		}
		if len(sorted) != g.Len() || !slices.Equal(again, sorted) {
			t.Fatalf("seed %d: %v, in another graph %v", seed, sorted, again)
		}
	}
}

// Branches that were added in turns are followed one after the other.
func TestOrderKeepsBranchesTogether(t *testing.T) {
	var g causal.Graph
	root := g.Add()
	a, b := root, root
	for range 100 {
		a, b = g.Add(a), g.Add(b)
	}
	merge := g.Add(a, b)
	var moves int
	at := root
	for _, s := range g.Order(root+1, merge+1) {
		for c := s.First; c < s.End; c++ {
			if !slices.Contains(g.Parents(nil, c), at) {
				moves++
			}
			at = c
		}
	}
	if moves != 1 {
		t.Errorf("moved %d times from branch to branch, want once", moves)
	}
}

func ExampleGraph() {
	var g causal.Graph
	draft := g.Add()
	ann := g.Add(draft)
	bob := g.Add(draft)
	fmt.Println(g.Heads())
	onlyAnn, onlyBob := g.Diff([]int{ann}, []int{bob})
	fmt.Println(onlyAnn, onlyBob)
	merge := g.Add(ann, bob)
	_, critical := g.Critical(ann)
	fmt.Println(g.Heads(), g.Contains([]int{merge}, ann), critical)
	// Output:
	// [1 2]
	// [{1 2}] [{2 3}]
	// [3] true false
}

func BenchmarkDiff(b *testing.B) {
	var g causal.Graph
	root := g.Add()
	x, y := root, root
	for range 1000 {
		for range 10 {
			x = g.Add(x)
		}
		y = g.Add(y)
		if g.Len()%77 == 0 {
			x = g.Add(x, y)
		}
	}
	for b.Loop() {
		g.Diff([]int{x}, []int{y})
	}
}
