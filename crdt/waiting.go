package crdt

import (
	"maps"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Limits on what waits to be applied.
const (
	// WaitingMax is how many bytes may wait from one Apply to the next. When it is too much,
	// what has waited longest is forgotten; it can be fetched again.
	WaitingMax = 64 << 20
	// waiterSize is what a commit takes besides its block, about.
	waiterSize = 512 // bytes
	// MissingMax is how many missing commits a Report names: parents of those that have waited
	// longest.
	MissingMax = 1024
	// mapsMin is up to how many commits the maps of what waits may have had room for, and keep it.
	mapsMin = 1024
)

// waiter is a commit that is not applied yet.
type waiter struct {
	id        commit.ID
	block     block.Block
	commit    *commit.Commit
	signature *commit.Signature // verified, or nil
	vouched   []bool            // for which parents the signature was verified
	lacks     int               // parents that are neither applied nor complete
}

// complete tells whether all ancestors are applied or here.
func (w *waiter) complete() bool { return w.lacks == 0 }

// vouches tells whether the signature of the i-th parent was verified.
func (w *waiter) vouches(i int) bool { return w.vouched != nil && w.vouched[i] }

func (w *waiter) vouch(i int) {
	if w.vouched == nil {
		w.vouched = make([]bool, len(w.commit.Parents))
	}
	w.vouched[i] = true
}

func (w *waiter) size() int { return w.block.Size() + waiterSize }

// waiting is commits that were received and not applied yet. What an Apply costs depends on
// what becomes complete by it, and not on what else waits.
type waiting struct {
	applied  func(commit.ID) bool
	commits  map[commit.ID]*waiter
	children map[commit.ID][]*waiter // by parent, be it waiting, applied or missing
	absent   map[commit.ID]bool      // parents that are neither applied nor here
	order    []*waiter               // as they came; some do not wait any more
	ready    []*waiter               // complete and signed; some do not wait any more
	size     int                     // bytes
	peak     int                     // how many commits the maps have had
}

func newWaiting(applied func(commit.ID) bool) waiting {
	return waiting{
		applied:  applied,
		commits:  make(map[commit.ID]*waiter),
		children: make(map[commit.ID][]*waiter),
		absent:   make(map[commit.ID]bool),
	}
}

// add makes a commit wait, if it does not wait already.
func (q *waiting) add(w *waiter) {
	if _, ok := q.commits[w.id]; ok {
		return
	}
	if q.put(w); w.complete() {
		q.completed(w)
	}
}

// undo makes a commit wait again that was applied a moment ago. To those that wait for it, it has
// arrived already.
func (q *waiting) undo(w *waiter) {
	if q.put(w); w.complete() && w.signature != nil {
		q.ready = append(q.ready, w)
	}
}

// put notes a commit, and what it lacks.
func (q *waiting) put(w *waiter) {
	q.commits[w.id] = w
	q.peak = max(q.peak, len(q.commits))
	q.order = append(q.order, w)
	q.size += w.size()
	delete(q.absent, w.id)
	w.lacks = 0
	for _, p := range w.commit.Parents {
		q.children[p.ID] = append(q.children[p.ID], w)
		if parent := q.commits[p.ID]; parent == nil && !q.applied(p.ID) {
			q.absent[p.ID] = true
			w.lacks++
		} else if parent != nil && !parent.complete() {
			w.lacks++
		}
	}
}

// completed notes that a commit has become complete, and who else by that.
func (q *waiting) completed(w *waiter) {
	for list := []*waiter{w}; len(list) > 0; {
		w := list[len(list)-1]
		list = list[:len(list)-1]
		if w.signature != nil {
			q.ready = append(q.ready, w)
		}
		list = append(list, q.arrived(w.id)...)
	}
}

// arrived tells who is complete now that a commit is, or is applied without having waited.
func (q *waiting) arrived(id commit.ID) (complete []*waiter) {
	delete(q.absent, id)
	for _, child := range q.children[id] {
		if child.lacks--; child.complete() {
			complete = append(complete, child)
		}
	}
	return complete
}

// sign notes that the author of a commit has signed it as a head.
func (q *waiting) sign(w *waiter, s *commit.Signature) {
	w.signature = s
	if w.complete() {
		q.ready = append(q.ready, w)
	}
}

// proven are the commits that were signed and have become complete since it was asked last,
// and what they follow, parents before children, and what is in one branch together.
func (q *waiting) proven() []*waiter {
	var list, stack []*waiter
	seen := make(map[*waiter]bool) // true once it is on the list
	for _, w := range q.ready {
		if q.commits[w.id] != w || !w.complete() {
			continue
		}
		stack = append(stack, w)
		for len(stack) > 0 {
			w := stack[len(stack)-1]
			if done, ok := seen[w]; ok {
				stack = stack[:len(stack)-1]
				if seen[w] = true; !done {
					list = append(list, w)
				}
				continue
			}
			seen[w] = false
			for _, p := range w.commit.Parents {
				if parent := q.commits[p.ID]; parent != nil {
					if _, ok := seen[parent]; !ok {
						stack = append(stack, parent)
					}
				}
			}
		}
	}
	q.ready = nil
	return list
}

// remove forgets a commit, but not who waits for it. It tells whether it was there.
func (q *waiting) remove(w *waiter) bool {
	if q.commits[w.id] != w {
		return false
	}
	delete(q.commits, w.id)
	q.size -= w.size()
	for _, p := range w.commit.Parents {
		siblings := slices.DeleteFunc(q.children[p.ID], func(s *waiter) bool { return s == w })
		if q.children[p.ID] = siblings; len(siblings) == 0 {
			delete(q.children, p.ID)
			delete(q.absent, p.ID)
		}
	}
	if q.applied(w.id) {
		return true
	}
	if len(q.children[w.id]) > 0 {
		q.absent[w.id] = true
	}
	for list := []*waiter{w}; len(list) > 0; {
		w := list[len(list)-1]
		list = list[:len(list)-1]
		if w.complete() || q.commits[w.id] == w {
			for _, child := range q.children[w.id] {
				if child.lacks++; child.lacks == 1 {
					list = append(list, child)
				}
			}
		}
	}
	return true
}

// tidy forgets what waits beyond the limit, and in which order those came that do not wait any
// more.
func (q *waiting) tidy() {
	for i := 0; q.size > WaitingMax; i++ {
		q.remove(q.order[i])
	}
	if len(q.order) > 2*len(q.commits) {
		q.order = slices.DeleteFunc(q.order, func(w *waiter) bool { return q.commits[w.id] != w })
	}
	if q.peak > mapsMin && q.peak > 4*len(q.commits) { // a map never gives room back
		q.commits, q.children, q.absent = again(q.commits), again(q.children), again(q.absent)
		q.order, q.peak = slices.Clone(q.order), len(q.commits)
	}
}

// again is a map with the same in it, and no room for more.
func again[K comparable, V any](m map[K]V) map[K]V {
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
}

// missing are parents that are neither applied nor here, in order; all, or MissingMax.
func (q *waiting) missing() []commit.ID {
	found := make(map[commit.ID]bool)
	for _, w := range q.order {
		if len(found) == min(len(q.absent), MissingMax) {
			break
		}
		if q.commits[w.id] != w {
			continue
		}
		for _, p := range w.commit.Parents {
			if q.absent[p.ID] && len(found) < MissingMax {
				found[p.ID] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), commit.ID.Compare)
}

// Waiting is how many bytes of commits wait for others, or for a signature. Who makes a new
// Doc of what was applied forgets them.
func (d *Doc) Waiting() int { return d.waiting.size }
