package sequence

// insert does an insertion: it finds the elements between which its author put it, and
// among those that others put there, which the author did not see, its place. It is void if
// it has no effect in the end.
func (w *walker) insert(p piece, void bool, sink Sink) {
	x := item{first: int32(p.element - w.origin), n: int32(p.n), left: front, right: back, state: present, gone: void}
	after := int32(none)
	var next int32
	if p.pos == 0 {
		next = w.tree.first()
	} else {
		i, offset := w.tree.find(p.pos - 1)
		x.left = w.items[i].first + int32(offset)
		if offset+1 < int(w.items[i].n) {
			w.split(i, x.left+1)
		}
		after, next = i, w.tree.next(i)
	}
	known := next
	for known != none && w.items[known].state == absent {
		known = w.tree.next(known)
	}
	if known != none {
		x.right = w.items[known].first
	}
	if next != known {
		after = w.integrate(&x, after, next)
	} else if w.extends(after, &x) {
		w.grow(after, &x, sink)
		return
	}
	k := int32(len(w.items))
	w.items = append(w.items, x)
	w.tree.insert(after, k)
	w.own(x.first, x.n, k)
	if void {
		w.tree.resize(k, x.n, 0)
		return
	}
	w.tree.resize(k, x.n, x.n)
	if sink != nil {
		sink.Insert(w.tree.shownBefore(k), p.element, p.n)
	}
}

// extends tells whether x can be made part of item i, after the end of which it belongs.
func (w *walker) extends(i int32, x *item) bool {
	if i == none {
		return false
	}
	it := &w.items[i]
	return it.end() == x.first && x.left == x.first-1 && it.right == x.right && it.state == present && !it.gone && !x.gone
}

// grow makes x part of item i.
func (w *walker) grow(i int32, x *item, sink Sink) {
	it := &w.items[i]
	if sink != nil {
		sink.Insert(w.tree.shownBefore(i)+int(it.n), int(x.first)+w.origin, int(x.n))
	}
	it.n += x.n
	w.own(x.first, x.n, i)
	w.tree.resize(i, x.n, x.n)
}

// integrate finds the item after which x belongs: after, or one of those from next to x's
// right origin, all of which are concurrent to x. The order is that of FugueMax: what has
// the same left origin is ordered by right origins, the farthest first, and then by commit;
// what has another left origin stays with that.
func (w *walker) integrate(x *item, after, next int32) int32 {
	dst := after
	waiting := false // what comes after dst so far may be what x must come before
	for next != none && w.items[next].first != x.right {
		o := &w.items[next]
		if o.left != x.left {
			if w.precedes(o.left, x.left) {
				break
			}
		} else if o.right == x.right {
			if w.judge.Before(w.commit(x.first), w.commit(o.first)) {
				break
			}
			waiting = false
		} else {
			waiting = w.precedes(o.right, x.right)
		}
		if !waiting {
			dst = next
		}
		next = w.tree.next(next)
	}
	return dst
}

// precedes tells whether element a comes before element b.
func (w *walker) precedes(a, b int32) bool {
	if a == b || a == back || b == front {
		return false
	}
	if a == front || b == back {
		return true
	}
	i, k := w.itemOf(a), w.itemOf(b)
	if i == k {
		return a < b
	}
	return w.tree.precedes(i, k)
}

// commit is the one that inserted an element.
func (w *walker) commit(e int32) int { return w.log.commitOfElement(int(e) + w.origin) }

// gap tells where a gap of the version that the walker is at is in the sequence.
func (w *walker) gap(pos int, left bool) int {
	pos = min(max(pos, 0), w.tree.seen)
	switch {
	case left && pos == 0:
		return 0
	case left:
		pos--
	case pos == w.tree.seen:
		return w.shown()
	}
	i, offset := w.tree.find(pos)
	at := w.tree.shownBefore(i)
	if w.items[i].gone {
		return at
	}
	if left {
		offset++
	}
	return at + offset
}

// shown is the length of the sequence.
func (w *walker) shown() int {
	n := &w.tree.nodes[w.tree.root]
	_, shown := n.sums(int(n.n))
	return int(shown)
}
