package measure

import "slices"

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
	if r.onGraph != nil {
		r.onGraph(g)
	}
}

// Graphs returns the pictures that were noted.
func (r *Recorder) Graphs() []Graph {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.graphs)
}

// Follow calls value and graph for all that is noted from now on, one at a time, in
// the order of their noting: for a reader that must have it even if the process does
// not live to its end. They must not call the recorder.
func (r *Recorder) Follow(value func(name string, p Point), graph func(Graph)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onValue, r.onGraph = value, graph
}
