package crdt

import (
	"slices"
	"sort"
)

// hunksMax is how many places of change are told apart. Where there would be more, neighbours
// become one, with what is between them.
const hunksMax = 1 << 10

// hunk is a place in a text or list where elements were replaced.
type hunk[E comparable] struct {
	pos int // in the present order
	n   int // present elements that were not there
	// Those that were there: front backwards, then back. So they can grow at both ends.
	front, back []E
}

func (k *hunk[E]) end() int { return k.pos + k.n }

// old are the elements that were there.
func (k *hunk[E]) old() []E {
	old := make([]E, 0, len(k.front)+len(k.back))
	for _, e := range slices.Backward(k.front) {
		old = append(old, e)
	}
	return append(old, k.back...)
}

// edits is how a text or list differs from what it was.
//
// Invariant: between two hunks there is an element that was there and is, and no hunk is empty.
type edits[E comparable] struct {
	list []hunk[E]            // in order
	read func(pos, n int) []E // of the present elements
}

// touching is the first hunk that ends at pos or after it.
func (e *edits[E]) touching(pos int) int {
	return sort.Search(len(e.list), func(i int) bool { return e.list[i].end() >= pos })
}

// insert notes that n elements have been inserted at pos.
func (e *edits[E]) insert(pos, n int) {
	i := e.touching(pos)
	if i == len(e.list) || e.list[i].pos > pos {
		e.list = slices.Insert(e.list, i, hunk[E]{pos: pos})
	}
	e.list[i].n += n
	e.shift(i+1, n)
	e.join()
}

// shift moves the hunks from the i-th on.
func (e *edits[E]) shift(i, by int) {
	for ; i < len(e.list); i++ {
		e.list[i].pos += by
	}
}

// delete notes that n elements from pos on will be deleted.
func (e *edits[E]) delete(pos, n int) {
	e.join()
	i, end := e.touching(pos), pos+n
	gone := e.read(pos, n)
	if i == len(e.list) || e.list[i].pos > end {
		e.list = slices.Insert(e.list, i, hunk[E]{pos: pos, back: gone})
		e.shift(i+1, -n)
		return
	}
	k := &e.list[i]
	if pos < k.pos {
		for _, x := range slices.Backward(gone[:k.pos-pos]) {
			k.front = append(k.front, x)
		}
	}
	at, kept := k.end(), k.n-max(0, min(end, k.end())-max(pos, k.pos))
	last := i + 1
	for ; last < len(e.list) && e.list[last].pos <= end; last++ {
		next := &e.list[last]
		k.back = append(append(k.back, gone[at-pos:next.pos-pos]...), next.old()...)
		at = next.end()
		kept += next.n - (min(end, at) - next.pos)
	}
	if at < end {
		k.back = append(k.back, gone[at-pos:]...)
	}
	k.pos, k.n = min(k.pos, pos), kept
	if i++; k.n+len(k.front)+len(k.back) == 0 {
		i-- // what was inserted is gone
	}
	e.list = slices.Delete(e.list, i, last)
	e.shift(i, -n)
}

// join makes one hunk of every two, if there are too many.
func (e *edits[E]) join() {
	if len(e.list) <= hunksMax {
		return
	}
	var list []hunk[E]
	for pair := range slices.Chunk(e.list, 2) {
		k := pair[0]
		if len(pair) == 2 {
			next := &pair[1]
			k.back = append(append(k.back, e.read(k.end(), next.pos-k.end())...), next.old()...)
			k.n = next.end() - k.pos
		}
		list = append(list, k)
	}
	e.list = list
}

// whole is all that was there, of what has n elements now.
func (e *edits[E]) whole(n int) []E {
	var all []E
	at := 0
	for i := range e.list {
		k := &e.list[i]
		all = append(append(all, e.read(at, k.pos-at)...), k.old()...)
		at = k.end()
	}
	return append(all, e.read(at, n-at)...)
}
