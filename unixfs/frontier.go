package unixfs

import "container/heap"

// position is where a node stands: child number index of up.
type position struct {
	up    *position
	index int
	depth int
}

// before compares in depth-first order. Neither place may be above the other.
func (p *position) before(q *position) bool {
	for p.depth > q.depth {
		p = p.up
	}
	for q.depth > p.depth {
		q = q.up
	}
	for p.up != q.up {
		p, q = p.up, q.up
	}
	return p.index < q.index
}

type state uint8

const (
	inFlight state = iota
	ready
	gone // taken off the list; a late block for it is dropped
	marker
)

// item is an element of the list: a block that is in flight or has arrived, or
// a marker for children that have not been asked for.
type item struct {
	left, right *item
	pos         position // of a marker: that of its next child
	kind        kind     // of a marker: that of its children
	state       state
	hurried     bool  // in flight, and the getter knows that the consumer waits for it
	bytes       int64 // counted against the window
	place       place // of a marker: its next child, if peeked
	grown       grown
	err         error // of a marker: what came with place

	// Markers only.
	next   func() (place, error)
	rest   int // children that have not been asked for
	peeked bool

	slot int // in the heap that it is in
}

// peek looks at the next child of a marker.
func (m *item) peek() *place {
	if !m.peeked {
		m.place, m.err = m.next()
		m.peeked = true
	}
	return &m.place
}

// frontier is the list of what lies ahead, with its markers by position, and
// the blocks in flight that may turn out to have children.
type frontier struct {
	ring    item // ring.right is nearest to the consumer
	markers itemHeap
	nodes   itemHeap
}

func (f *frontier) init() { f.ring.left, f.ring.right = &f.ring, &f.ring }

// first returns the element nearest to the consumer, or nil.
func (f *frontier) first() *item {
	if f.ring.right == &f.ring {
		return nil
	}
	return f.ring.right
}

// insert puts it to the right of at, where nil means the near end.
func (f *frontier) insert(it, at *item) {
	if at == nil {
		at = &f.ring
	}
	it.left, it.right = at, at.right
	it.left.right, it.right.left = it, it
	switch {
	case it.state == marker:
		heap.Push(&f.markers, it)
	case it.place.mayBranch():
		heap.Push(&f.nodes, it)
	}
}

// landed says that the block of it is no longer in flight.
func (f *frontier) landed(it *item) {
	if it.place.mayBranch() {
		heap.Remove(&f.nodes, it.slot)
	}
}

// settled tells whether nothing can come up any more in front of marker m.
func (f *frontier) settled(m *item) bool {
	return len(f.nodes) == 0 || m.pos.before(&f.nodes[0].pos)
}

func (f *frontier) remove(it *item) {
	it.left.right, it.right.left = it.right, it.left
	it.left, it.right = nil, nil
	if it.state == marker {
		heap.Remove(&f.markers, it.slot)
	}
}

// itemHeap orders items by position (container/heap).
type itemHeap []*item

func (h itemHeap) Len() int           { return len(h) }
func (h itemHeap) Less(i, j int) bool { return h[i].pos.before(&h[j].pos) }
func (h itemHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

func (h *itemHeap) Push(x any) {
	it := x.(*item)
	it.slot = len(*h)
	*h = append(*h, it)
}

func (h *itemHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
