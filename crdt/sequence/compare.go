package sequence

import "github.com/p2pnode/p2pnode/crdt/causal"

// Compare tells how the sequence would be if another Judge had judged: it goes through the
// elements in order, and tells of how many it comes to next whether they are in the sequence as
// it is, and whether they would be in the other. The Judges must agree about whatever is before
// commit first. Everything in the log must have been merged.
func (s *Sequence) Compare(g *causal.Graph, judge, other Judge, first int, visit func(n int, is, would bool)) {
	base, _ := g.Base(first)
	base, length := s.known(g, base)
	a, b := newWalker(g, &s.log, judge, base, length), newWalker(g, &s.log, other, base, length)
	a.follow(g.Len(), nil)
	b.follow(g.Len(), nil)
	// Both have the same elements in the same order, but cut them into items differently.
	i, k := a.tree.first(), b.tree.first()
	var seenA, seenB int32 // of these items
	for i != none && k != none {
		x, y := &a.items[i], &b.items[k]
		n := min(x.n-seenA, y.n-seenB)
		visit(int(n), !x.gone, !y.gone)
		if seenA += n; seenA == x.n {
			i, seenA = a.tree.next(i), 0
		}
		if seenB += n; seenB == y.n {
			k, seenB = b.tree.next(k), 0
		}
	}
}
