package causal

// Order returns the commits from first to end-1 with parents before children, so that
// what belongs to one branch stays together: who follows it moves seldom from one version
// to another that is far away.
func (g *Graph) Order(first, end int) []Span {
	if first >= end {
		return nil
	}
	base := g.runOf(first)
	if g.runEnd(base) >= end {
		return []Span{{first, end}}
	}
	o := orderer{graph: g, base: base, first: first}
	last := g.runOf(end - 1)
	o.link(last)
	var order []Span
	for len(o.ready) > 0 {
		i := o.ready[len(o.ready)-1]
		o.ready = o.ready[:len(o.ready)-1]
		s := Span{max(first, int(g.runs[base+i].first)), min(end, g.runEnd(base+i))}
		if k := len(order) - 1; k >= 0 && order[k].End == s.First && len(g.runParents(base+i)) == 1 && int(g.runParents(base + i)[0]) == order[k].End-1 {
			order[k].End = s.End
		} else {
			order = append(order, s)
		}
		o.done(i)
	}
	return order
}

// orderer sorts runs. It knows them by their index less that of the first.
type orderer struct {
	graph    *Graph
	base     int
	first    int
	waiting  []int32 // for how many parents each run waits
	children []edge
	newest   []int32 // of each run, the first of its edges in children, or -1
	ready    []int   // a stack
}

// edge is a child of a run, and the next edge of the same run.
type edge struct{ child, next int32 }

// link notes who waits for whom.
func (o *orderer) link(last int) {
	n := last - o.base + 1
	o.waiting, o.newest = make([]int32, n), make([]int32, n)
	for i := range o.newest {
		o.newest[i] = -1
	}
	for i := n - 1; i >= 0; i-- {
		if i > 0 {
			for _, p := range o.graph.runParents(o.base + i) {
				if int(p) < o.first {
					continue
				}
				parent := o.graph.runOf(int(p)) - o.base
				o.children = append(o.children, edge{int32(i), o.newest[parent]})
				o.newest[parent] = int32(len(o.children) - 1)
				o.waiting[i]++
			}
		}
		if o.waiting[i] == 0 {
			o.ready = append(o.ready, i)
		}
	}
}

// done makes ready what waited for run i alone.
func (o *orderer) done(i int) {
	for e := o.newest[i]; e >= 0; e = o.children[e].next {
		child := o.children[e].child
		if o.waiting[child]--; o.waiting[child] == 0 {
			o.ready = append(o.ready, int(child))
		}
	}
}
