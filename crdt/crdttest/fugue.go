package crdttest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// leaf is an element of a text or list in the tree that FugueMax is defined by: what comes
// before it and hangs on it, itself, and what comes after it.
type leaf struct {
	element       string
	node          *node // who inserted it
	right         *leaf // right origin; nil at the end
	lefts, rights []*leaf
	deleted       []*node
}

// fugue is one text or list.
type fugue struct{ roots []*leaf }

// walk lists all elements in order.
func walk(list []*leaf, siblings []*leaf) []*leaf {
	for _, l := range siblings {
		list = walk(list, l.lefts)
		list = append(list, l)
		list = walk(list, l.rights)
	}
	return list
}

// shown are the elements of a version that are neither deleted nor void in it.
func (f *fugue) shown(version, void map[*node]bool) []*leaf {
	return slices.DeleteFunc(walk(nil, f.roots), func(l *leaf) bool {
		return !version[l.node] || void[l.node] || slices.ContainsFunc(l.deleted, func(n *node) bool { return version[n] && !void[n] })
	})
}

// sequences are the elements of all texts and lists, by path, when some commits are void.
func (m *model) sequences(void map[*node]bool) map[string][]string {
	trees := make(map[string]*fugue)
	for _, n := range m.commits {
		version := map[*node]bool{n: true}
		for a := range n.before {
			version[a] = true
		}
		for _, o := range n.ops {
			if o.Code == commit.OpClear {
				prefix := fmt.Sprint(o.path)
				for path, f := range trees {
					if path == prefix || len(path) >= len(prefix) && path[:len(prefix)-1] == prefix[:len(prefix)-1] {
						f.clear(n, version, n.void)
					}
				}
				continue
			}
			if o.Code != commit.OpInsert && o.Code != commit.OpDelete {
				continue
			}
			path := fmt.Sprint(o.path)
			if trees[path] == nil {
				trees[path] = new(fugue)
			}
			trees[path].do(o, version, n.void)
		}
	}
	out := make(map[string][]string)
	for path, f := range trees {
		for _, l := range f.shown(m.all(), void) {
			out[path] = append(out[path], l.element)
		}
	}
	return out
}

func (f *fugue) clear(n *node, version, void map[*node]bool) {
	for _, l := range f.shown(version, void) {
		l.deleted = append(l.deleted, n)
	}
}

// do applies an operation, element by element.
func (f *fugue) do(o op, version, void map[*node]bool) {
	if o.Code == commit.OpDelete {
		if shown := f.shown(version, void); o.Pos < len(shown) {
			for _, l := range shown[o.Pos:min(o.Pos+o.Count, len(shown))] {
				l.deleted = append(l.deleted, o.node)
			}
		}
		return
	}
	for i, e := range elements(o) {
		f.insert(&leaf{element: e, node: o.node}, o.Pos+i, version, void)
	}
}

// elements are the code points or values of an insertion.
func elements(o op) []string {
	var list []string
	if o.path[len(o.path)-1].kind == commit.List {
		for _, v := range commit.Values(o.Data) {
			list = append(list, string(v))
		}
		return list
	}
	for _, r := range string(o.Data) {
		list = append(list, string(r))
	}
	return list
}

// insert puts x at pos of a version, if there is such a position.
func (f *fugue) insert(x *leaf, pos int, version, void map[*node]bool) {
	shown := f.shown(version, void)
	if pos > len(shown) {
		return
	}
	all := walk(nil, f.roots)
	siblings, after := &f.roots, -1
	if pos > 0 {
		after = slices.Index(all, shown[pos-1])
		siblings = &all[after].rights
	}
	for _, l := range all[after+1:] {
		if version[l.node] {
			x.right = l
			break
		}
	}
	onRight := true
	if slices.ContainsFunc(*siblings, func(l *leaf) bool { return version[l.node] }) {
		siblings, onRight = &x.right.lefts, false
	}
	at := slices.IndexFunc(*siblings, func(s *leaf) bool {
		if onRight && x.right != s.right {
			return x.right == nil || s.right != nil && slices.Index(all, x.right) > slices.Index(all, s.right)
		}
		return cmp.Or(slices.Compare(x.node.Author[:], s.node.Author[:]), x.node.id.Compare(s.node.id)) < 0
	})
	if at < 0 {
		at = len(*siblings)
	}
	*siblings = slices.Insert(*siblings, at, x)
}
