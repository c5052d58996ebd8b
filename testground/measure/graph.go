package measure

import (
	"math"
	"slices"
)

// EdgesMax is how many connections a graph keeps.
const EdgesMax = 200_000

// Graph is who is connected to whom at one moment.
type Graph struct {
	Name  string   `json:"name"`
	TimeS float64  `json:"time_s"`
	Group []int    `json:"group"` // of each peer, by number; -1 where it does not run
	Edges [][2]int `json:"edges"` // pairs of peers, by number
}

// AddGraph notes a picture of the network. Reports show them in the order of their
// noting.
func (r *Recorder) AddGraph(g Graph) {
	g.Edges = slices.Clone(g.Edges[:min(len(g.Edges), EdgesMax)])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.graphs = append(r.graphs, g)
	if r.follower != nil {
		r.follower.Graph(g)
	}
}

// Graphs returns the pictures that were noted.
func (r *Recorder) Graphs() []Graph {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.graphs)
}

// Bound is what theory, or a promise, says of a series: plots draw it beside what
// was measured.
type Bound struct {
	Series string  `json:"series"`
	Label  string  `json:"label"` // short: "log6 N", "one uplink"
	Value  float64 `json:"value"`
}

// AddBound notes a bound. What is no number is left out.
func (r *Recorder) AddBound(b Bound) {
	if math.IsNaN(b.Value) || math.IsInf(b.Value, 0) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bounds = append(r.bounds, b)
	if r.follower != nil {
		r.follower.Bound(b)
	}
}

// Bounds returns the bounds that were noted.
func (r *Recorder) Bounds() []Bound {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bounds)
}

// Follower gets what is noted, one at a time, in the order of its noting. It must not
// call the recorder.
type Follower interface {
	Value(name string, p Point)
	Graph(Graph)
	Bound(Bound)
}

// Follow gives f all that is noted from now on: for a reader that must have it even
// if the process does not live to its end.
func (r *Recorder) Follow(f Follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follower = f
}
