package shard

import (
	"cmp"
	"slices"
)

// Node is a HAMT node to be written.
type Node struct {
	Slots []int   // in use, ascending
	Items []int   // per slot, the entry there, or -1 if Nodes has a node
	Nodes []*Node // per slot, or nil
}

// Build places the names, which must differ, and returns the root node. Items
// count the names as given.
func (w Width) Build(names []string) (*Node, error) {
	items := make([]hashed, len(names))
	for i, name := range names {
		items[i] = hashed{Hash(name), i}
	}
	slices.SortFunc(items, func(a, b hashed) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.item, b.item))
	})
	return w.build(items, 0)
}

type hashed struct {
	hash uint64
	item int
}

// build makes the node for items, which agree on all levels above. They are
// sorted by hash, so those of one slot are neighbours.
func (w Width) build(items []hashed, level int) (*Node, error) {
	if level >= w.Depth() {
		return nil, ErrDepth
	}
	n := &Node{}
	for len(items) > 0 {
		slot := w.Slot(items[0].hash, level)
		end := 1
		for end < len(items) && w.Slot(items[end].hash, level) == slot {
			end++
		}
		item, below := items[0].item, (*Node)(nil)
		if end > 1 {
			var err error
			if below, err = w.build(items[:end], level+1); err != nil {
				return nil, err
			}
			item = -1
		}
		n.Slots = append(n.Slots, slot)
		n.Items = append(n.Items, item)
		n.Nodes = append(n.Nodes, below)
		items = items[end:]
	}
	return n, nil
}
