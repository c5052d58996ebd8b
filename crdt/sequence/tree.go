package sequence

// fan is how many children a node has at most. At 32 the sizes of a node's children fill
// two cache lines each.
const fan = 32

// none stands for no node and no item.
const none = -1

// node is a node of a tree, its kids being other nodes, or items in a leaf. Nodes and items
// are known by their index, as pointers would cost more memory and the garbage collector's
// time.
type node struct {
	parent int32
	next   int32 // of a leaf, the leaf after it
	n      int32
	leaf   bool
	kids   [fan]int32
	seen   [fan]int32 // by the version that the walker is at
	shown  [fan]int32 // in the sequence now
}

// tree keeps items in order, and finds them by how many elements come before them. Items
// are added and never removed.
type tree struct {
	nodes []node
	home  []int32 // the leaf of each item
	root  int32
	seen  int // by the version that the walker is at
}

func newTree() tree {
	return tree{nodes: []node{{parent: none, next: none, leaf: true}}}
}

// slot is the index of a kid.
func (n *node) slot(kid int32) int {
	for i, k := range n.kids[:n.n] {
		if k == kid {
			return i
		}
	}
	panic("sequence: a node does not know its kid")
}

// first is the first item, or none.
func (t *tree) first() int32 {
	n := &t.nodes[t.root]
	for !n.leaf {
		n = &t.nodes[n.kids[0]]
	}
	if n.n == 0 {
		return none
	}
	return n.kids[0]
}

// next is the item after this one, or none.
func (t *tree) next(item int32) int32 {
	n := &t.nodes[t.home[item]]
	if i := n.slot(item) + 1; i < int(n.n) {
		return n.kids[i]
	}
	if n.next == none {
		return none
	}
	return t.nodes[n.next].kids[0]
}

// find is the item with the element at pos of the version that the walker is at, and how
// many of the item's come before it.
func (t *tree) find(pos int) (item int32, offset int) {
	n, rest := &t.nodes[t.root], int32(pos)
	for {
		i := 0
		for ; rest >= n.seen[i]; i++ {
			rest -= n.seen[i]
		}
		if n.leaf {
			return n.kids[i], int(rest)
		}
		n = &t.nodes[n.kids[i]]
	}
}

// shownBefore is how many elements of the sequence as it is now come before the item.
func (t *tree) shownBefore(item int32) int {
	sum, kid := int32(0), item
	for at := t.home[item]; at != none; at = t.nodes[at].parent {
		n := &t.nodes[at]
		for i := 0; n.kids[i] != kid; i++ {
			sum += n.shown[i]
		}
		kid = at
	}
	return int(sum)
}

// precedes tells whether item a comes before item b.
func (t *tree) precedes(a, b int32) bool {
	up, vp := t.home[a], t.home[b]
	for up != vp {
		a, b = up, vp
		up, vp = t.nodes[up].parent, t.nodes[vp].parent
	}
	n := &t.nodes[up]
	return n.slot(a) < n.slot(b)
}

// resize changes how many elements of the item there are.
func (t *tree) resize(item, seen, shown int32) {
	t.seen += int(seen)
	kid := item
	for at := t.home[item]; at != none; at = t.nodes[at].parent {
		n := &t.nodes[at]
		i := n.slot(kid)
		n.seen[i] += seen
		n.shown[i] += shown
		kid = at
	}
}

// insert puts an item of no size after another, or first if that is none. Items must get
// their numbers in order.
func (t *tree) insert(after, item int32) {
	at, i := t.root, 0
	if after == none {
		for !t.nodes[at].leaf {
			at = t.nodes[at].kids[0]
		}
	} else {
		at = t.home[after]
		i = t.nodes[at].slot(after) + 1
	}
	t.home = append(t.home, at)
	t.put(at, i, item, 0, 0)
}

// put makes kid the i-th of node at.
func (t *tree) put(at int32, i int, kid, seen, shown int32) {
	if t.nodes[at].n == fan {
		right := t.split(at)
		if i > fan/2 {
			at, i = right, i-fan/2
		}
	}
	n := &t.nodes[at]
	copy(n.kids[i+1:n.n+1], n.kids[i:n.n])
	copy(n.seen[i+1:n.n+1], n.seen[i:n.n])
	copy(n.shown[i+1:n.n+1], n.shown[i:n.n])
	n.kids[i], n.seen[i], n.shown[i] = kid, seen, shown
	n.n++
	t.adopt(at, kid)
}

// adopt tells a kid who its parent is.
func (t *tree) adopt(at, kid int32) {
	if t.nodes[at].leaf {
		t.home[kid] = at
	} else {
		t.nodes[kid].parent = at
	}
}

// split moves the upper half of a full node to a new one, which it returns.
func (t *tree) split(at int32) int32 {
	if t.nodes[at].parent == none {
		top := int32(len(t.nodes))
		t.nodes = append(t.nodes, node{parent: none, next: none})
		seen, shown := t.nodes[at].sums(fan)
		n := &t.nodes[top]
		n.n, n.kids[0], n.seen[0], n.shown[0] = 1, at, seen, shown
		t.nodes[at].parent, t.root = top, top
	}
	right := int32(len(t.nodes))
	t.nodes = append(t.nodes, node{})
	l, r := &t.nodes[at], &t.nodes[right]
	r.leaf, r.next, r.n = l.leaf, l.next, fan/2
	l.n = fan / 2
	copy(r.kids[:], l.kids[fan/2:])
	copy(r.seen[:], l.seen[fan/2:])
	copy(r.shown[:], l.shown[fan/2:])
	if l.leaf {
		l.next = right
	} else {
		r.next = none
	}
	for _, kid := range r.kids[:fan/2] {
		t.adopt(right, kid)
	}
	seen, shown := r.sums(fan / 2)
	parent := l.parent
	p := &t.nodes[parent]
	i := p.slot(at)
	p.seen[i] -= seen
	p.shown[i] -= shown
	t.put(parent, i+1, right, seen, shown)
	return right
}

// sums adds up the first n kids.
func (n *node) sums(k int) (seen, shown int32) {
	for i := range k {
		seen += n.seen[i]
		shown += n.shown[i]
	}
	return seen, shown
}
