package crdt

import (
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/causal"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// objects finds the objects that a commit is about, making those that are not there.
func (d *Doc) objects(list []commit.Object) []*object {
	found := make([]*object, len(list))
	for i, o := range list {
		parent := d.root
		if o.Parent >= 0 {
			parent = found[o.Parent]
		}
		found[i] = parent.content.(*mapping).child(parent, name{o.Key, o.Kind})
	}
	return found
}

// do applies an operation to an object.
func (d *Doc) do(s *step, o *object, op commit.Op) {
	d.note(o, op)
	o.do(s, op)
	if m, ok := o.content.(*mapping); ok && op.Code == commit.OpClear {
		s.cleared = append(s.cleared, m)
		d.touchBelow(o)
	} else if m, ok := o.content.(merger); ok && (len(d.touched) == 0 || d.touched[len(d.touched)-1] != m) {
		d.touched = append(d.touched, m)
	}
}

func (d *Doc) touchBelow(o *object) {
	if m, ok := o.content.(merger); ok {
		d.touched = append(d.touched, m)
	}
	if m, ok := o.content.(*mapping); ok {
		for _, child := range m.children {
			d.touchBelow(child)
		}
	}
}

// apply applies the operations of a commit.
func (d *Doc) apply(s *step, ops *commit.Ops) {
	objects := d.objects(ops.Objects)
	for op := range ops.All() {
		if op.Object >= 0 {
			d.do(s, objects[op.Object], op)
		}
	}
	s.prune(objects)
}

// prune forgets those of a commit's objects of which nothing has to be remembered. Before its
// end they may be needed again.
func (s *step) prune(objects []*object) {
	for _, m := range s.cleared {
		m.sweep()
	}
	for _, o := range slices.Backward(objects) {
		o.prune()
	}
}

// parseOps reads the operations of a commit, in the first one after the nonce.
func parseOps(c *commit.Commit) (*commit.Ops, error) {
	data := c.Ops
	if c.Gen == 1 {
		if len(data) < NonceSize {
			return nil, fmt.Errorf("first commit without a nonce: %w", ErrInvalid)
		}
		data = data[NonceSize:]
	}
	return commit.ParseOps(data)
}

// source finds the commits that were applied: those of this Apply, and older ones.
type source struct {
	fresh  map[commit.ID]block.Block
	blocks Blocks
}

func (s *source) block(id commit.ID) (block.Block, error) {
	if b, ok := s.fresh[id]; ok {
		return b, nil
	}
	return s.blocks.Block(id)
}

func (s *source) commit(id commit.ID) (*commit.Commit, *commit.Ops, error) {
	b, err := s.block(id)
	if err != nil {
		return nil, nil, err
	}
	c, _, err := commit.Decode(b)
	if err != nil {
		return nil, nil, err
	}
	ops, err := parseOps(c)
	return c, ops, err
}

// rebuild computes the history from these commits, parents first, which were valid before,
// and the state. The first is what the history begins with. What is void in the end, or to be skipped, is void from the beginning.
func (d *Doc) rebuild(ids []commit.ID, from *source, skip map[commit.ID]bool) error {
	h, root, err := d.origin()
	if err != nil {
		return err
	}
	begun := h.graph.Len() // by the base
	for _, id := range ids[min(begun, len(ids)):] {
		c, ops, err := from.commit(id)
		if err != nil {
			return fmt.Errorf("compute history of %s: %w", d.id, err)
		}
		parents := h.parents(c)
		role := h.roleOf(c, parents)
		n := h.add(c.Author, parents)
		h.name(n, id)
		for _, g := range grants(c, n, role, ops) {
			h.grant(g)
		}
		h.undoes(n, ops)
		h.notice(d.id, n, parents, role, ops)
		if skip[id] {
			h.skipped = append(h.skipped, n)
		}
	}
	if d.notes != nil {
		d.noteAll(d.root)
		d.noteNone(root)
	}
	d.history = h
	d.root = root
	d.touched = nil
	void := h.Void(h.graph.Heads())
	heads := h.graph.Prefix(begun) // of the commits before n
	for n := begun; n < len(ids); n++ {
		_, ops, err := from.commit(ids[n])
		if err != nil {
			return fmt.Errorf("compute state of %s: %w", d.id, err)
		}
		parents := h.graph.Parents(nil, n)
		_, isVoid := slices.BinarySearch(void, n)
		d.apply(&step{history: h, commit: n, unseen: h.unseen(heads, parents), void: isVoid}, ops)
		heads = slices.DeleteFunc(heads, func(p int) bool { return slices.Contains(parents, p) })
		heads = append(heads, n)
	}
	return nil
}

// parents are the numbers of a commit's parents, ascending. All must be applied.
func (h *history) parents(c *commit.Commit) []int {
	parents := make([]int, len(c.Parents))
	for i, p := range c.Parents {
		parents[i], _ = h.number(p.ID)
	}
	slices.Sort(parents)
	return parents
}

// unseen is what is in a version and not among the ancestors of a commit with these parents.
func (h *history) unseen(version, parents []int) []causal.Span {
	unseen, _ := h.graph.Diff(version, parents)
	return unseen
}

// roleOf is what the author of a commit may do in it.
func (h *history) roleOf(c *commit.Commit, parents []int) commit.Role {
	if len(parents) == 0 {
		return commit.Manage // of a document that did not exist before
	}
	if slices.Equal(parents, h.graph.Heads()) {
		return h.roleNow(c.Author)
	}
	return h.role(c.Author, parents)
}

// undoes notes what commit n undoes.
func (h *history) undoes(n int, ops *commit.Ops) {
	for _, op := range ops.Document {
		if op.Code == commit.OpUndo {
			h.undo(n, commit.ID(op.Data))
		}
	}
}

// grants are those that commit n makes. Operations on roles by others than managers have no
// effect.
func grants(c *commit.Commit, n int, role commit.Role, ops *commit.Ops) []grant {
	var list []grant
	if c.Gen == 1 {
		list = append(list, grant{commit: n, index: -1, author: c.Author, role: commit.Manage})
	}
	for i, op := range ops.Document {
		if op.Code == commit.OpRole && role == commit.Manage {
			list = append(list, grant{commit: n, index: i, author: commit.Author(op.Data), role: commit.Role(op.Count)})
		}
	}
	return list
}
