package causal

import "slices"

// Sorted returns the commits of some spans with parents before children, as the graph and less
// decide, and not the numbers: what follows a commit comes after it as far as it can, the least
// child first. So a branch stays together, as in Order.
func (g *Graph) Sorted(spans []Span, less func(a, b int) bool) []int {
	s := sorter{graph: g, place: make(map[int]int32)}
	for _, span := range spans {
		for c := span.First; c < span.End; c++ {
			s.place[c] = int32(len(s.commits))
			s.commits = append(s.commits, c)
		}
	}
	order := func(a, b int) int {
		if less(a, b) {
			return 1
		}
		return -1
	}
	ready := s.link()
	slices.SortFunc(ready, order)
	sorted := make([]int, 0, len(s.commits))
	for len(ready) > 0 {
		c := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		sorted = append(sorted, c)
		n := len(ready)
		ready = s.done(c, ready)
		slices.SortFunc(ready[n:], order)
	}
	return sorted
}

// sorter knows commits by their place among those it sorts.
type sorter struct {
	graph    *Graph
	commits  []int
	place    map[int]int32
	waiting  []int32 // for how many parents each waits
	children []edge
	newest   []int32 // of each, the first of its edges in children, or -1
}

// link notes who waits for whom, and returns those that wait for nobody.
func (s *sorter) link() (ready []int) {
	s.waiting, s.newest = make([]int32, len(s.commits)), make([]int32, len(s.commits))
	for i := range s.newest {
		s.newest[i] = -1
	}
	var parents []int
	for i, c := range s.commits {
		parents = s.graph.Parents(parents[:0], c)
		for _, p := range parents {
			if parent, ok := s.place[p]; ok {
				s.children = append(s.children, edge{int32(i), s.newest[parent]})
				s.newest[parent] = int32(len(s.children) - 1)
				s.waiting[i]++
			}
		}
		if s.waiting[i] == 0 {
			ready = append(ready, c)
		}
	}
	return ready
}

// done appends to ready what waited for c alone.
func (s *sorter) done(c int, ready []int) []int {
	for e := s.newest[s.place[c]]; e >= 0; e = s.children[e].next {
		child := s.children[e].child
		if s.waiting[child]--; s.waiting[child] == 0 {
			ready = append(ready, s.commits[child])
		}
	}
	return ready
}
