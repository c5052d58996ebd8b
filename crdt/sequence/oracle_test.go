package sequence_test

import (
	"slices"

	"github.com/p2pnode/p2pnode/crdt/causal"
)

// oracle is FugueMax as its paper defines it: a tree of all characters, in which each
// operation is applied to the tree that its author has seen. It is slow and has no state
// but the tree.
type oracle struct {
	graph  causal.Graph
	before func(a, b int) bool // commits
	void   func(version []int) []int
	nodes  []*leaf
	roots  []*leaf
}

// leaf is a character: what comes before it and hangs on it, itself, and what comes after.
type leaf struct {
	char        rune
	commit      int
	right       *leaf // right origin; nil at the end
	lefts       []*leaf
	rights      []*leaf
	deletedBy   []int // commits
	parent      *leaf
	isRightSide bool
}

// walk lists the characters of a version, deleted ones too, in order.
func (o *oracle) walk(version []int) []*leaf {
	var list []*leaf
	var visit func(list []*leaf, l *leaf) []*leaf
	visit = func(list []*leaf, l *leaf) []*leaf {
		for _, c := range l.lefts {
			list = visit(list, c)
		}
		if o.graph.Contains(version, l.commit) {
			list = append(list, l)
		}
		for _, c := range l.rights {
			list = visit(list, c)
		}
		return list
	}
	for _, l := range o.roots {
		list = visit(list, l)
	}
	return list
}

// visible lists the characters of a version that are to be read, some commits having no
// effect.
func (o *oracle) visible(version, void []int) []*leaf {
	return slices.DeleteFunc(o.walk(version), func(l *leaf) bool {
		return slices.Contains(void, l.commit) || slices.ContainsFunc(l.deletedBy, func(c int) bool {
			return o.graph.Contains(version, c) && !slices.Contains(void, c)
		})
	})
}

// read is what is to be read at a version.
func (o *oracle) read(version []int) []*leaf { return o.visible(version, o.void(version)) }

// commit applies operations of one character each.
func (o *oracle) commit(parents []int, ops []patch) int {
	c := o.graph.Add(parents...)
	version := []int{c}
	for _, op := range ops {
		list := o.walk(version)
		// The author has not seen yet what the commit makes void.
		shown := o.visible(version, o.void(parents))
		switch {
		case op.deleted > 0:
			if op.pos < len(shown) {
				l := shown[op.pos]
				l.deletedBy = append(l.deletedBy, c)
			}
		case op.pos <= len(shown):
			i := -1
			if op.pos > 0 {
				i = slices.Index(list, shown[op.pos-1])
			}
			o.insert(version, list, i, &leaf{char: []rune(op.inserted)[0], commit: c})
		}
	}
	return c
}

// insert puts x behind the i-th of the list, which its author saw.
func (o *oracle) insert(version []int, list []*leaf, i int, x *leaf) {
	if i+1 < len(list) {
		x.right = list[i+1]
	}
	siblings := &o.roots
	if i >= 0 {
		siblings = &list[i].rights
		x.parent = list[i]
	}
	x.isRightSide = true
	seen := func(l *leaf) bool { return o.graph.Contains(version, l.commit) }
	if slices.ContainsFunc(*siblings, seen) {
		siblings = &x.right.lefts
		x.parent, x.isRightSide = x.right, false
	}
	all := o.walk(o.graph.Heads())
	at := slices.IndexFunc(*siblings, func(s *leaf) bool {
		if x.isRightSide && x.right != s.right {
			// The one with the farther right origin comes first.
			return x.right == nil || s.right != nil && slices.Index(all, x.right) > slices.Index(all, s.right)
		}
		return o.before(x.commit, s.commit)
	})
	if at < 0 {
		at = len(*siblings)
	}
	*siblings = slices.Insert(*siblings, at, x)
	o.nodes = append(o.nodes, x)
}
