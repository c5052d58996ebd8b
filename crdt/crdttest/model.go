package crdttest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// model is all commits of a document, and computes from them, by the definitions and slowly,
// what it is.
type model struct {
	commits []*node
	byID    map[commit.ID]*node
}

// node is a commit, and all that came before it.
type node struct {
	*commit.Commit
	id      commit.ID
	parents []*node
	before  map[*node]bool // ancestors
	void    map[*node]bool // of those, who were removed at the same time
	role    commit.Role    // of the author, by then
	ops     []op
}

// op is an operation, with the path of what it is about.
type op struct {
	commit.Op
	node  *node
	index int
	path  []step
}

// step leads from a map to a child.
type step struct {
	key  string
	kind commit.Kind
}

func newModel() *model { return &model{byID: make(map[commit.ID]*node)} }

// add adds a commit of which all parents are there. It fails if the commit breaks a rule.
func (m *model) add(b block.Block) error {
	c, id, err := commit.Decode(b)
	if err != nil {
		return err
	}
	if m.byID[id] != nil {
		return nil
	}
	n := &node{Commit: c, id: id, before: make(map[*node]bool)}
	gen := uint64(0)
	for _, p := range c.Parents {
		parent := m.byID[p.ID]
		if parent == nil {
			return fmt.Errorf("commit %s was applied before its parent", id)
		}
		n.parents = append(n.parents, parent)
		gen = max(gen, parent.Gen)
		n.before[parent] = true
		for a := range parent.before {
			n.before[a] = true
		}
	}
	if c.Gen != gen+1 {
		return fmt.Errorf("commit %s has gen %d, after %d", id, c.Gen, gen)
	}
	n.void, n.role = m.void(n.before), commit.Manage
	if gen > 0 {
		n.role = m.role(c.Author, n.before, n.void)
	}
	if n.role < commit.Write {
		return fmt.Errorf("commit %s is by somebody who may not write", id)
	}
	data := c.Ops
	if gen == 0 {
		data = data[crdt.NonceSize:]
	}
	ops, err := commit.ParseOps(data)
	if err != nil {
		return err
	}
	for o := range ops.All() {
		n.ops = append(n.ops, op{Op: o, node: n, index: len(n.ops), path: pathOf(ops.Objects, o.Object)})
	}
	m.commits = append(m.commits, n)
	m.byID[id] = n
	return nil
}

func pathOf(objects []commit.Object, i int) []step {
	if i < 0 {
		return nil
	}
	o := objects[i]
	return append(pathOf(objects, o.Parent), step{o.Key, o.Kind})
}

// all is the version of all commits.
func (m *model) all() map[*node]bool {
	v := make(map[*node]bool)
	for _, n := range m.commits {
		v[n] = true
	}
	return v
}

// grant is an operation that gives a role to its author.
type grant struct {
	op
	to   commit.Author
	role commit.Role
}

// grants are those of a version, by managers.
func (m *model) grants(version map[*node]bool) []grant {
	var list []grant
	for _, n := range m.commits {
		if !version[n] {
			continue
		}
		if n.Gen == 1 {
			list = append(list, grant{op{node: n, index: -1}, n.Author, commit.Manage})
		}
		for _, o := range n.ops {
			if o.Code == commit.OpRole && n.role == commit.Manage {
				list = append(list, grant{o, commit.Author(o.Data), commit.Role(o.Count)})
			}
		}
	}
	return list
}

// role is what somebody may do in a version.
func (m *model) role(a commit.Author, version, void map[*node]bool) commit.Role {
	var mine []grant
	for _, g := range m.grants(version) {
		if g.to == a && (g.role < commit.Write || !void[g.node]) {
			mine = append(mine, g)
		}
	}
	role, found := commit.None, false
	for _, g := range mine {
		if !slices.ContainsFunc(mine, func(later grant) bool { return g.precedes(later.op) }) && (!found || g.role < role) {
			role, found = g.role, true
		}
	}
	return role
}

// void are the commits of a version whose authors were removed at the same time.
func (m *model) void(version map[*node]bool) map[*node]bool {
	void := make(map[*node]bool)
	for _, n := range m.commits {
		if !version[n] {
			continue
		}
		for _, o := range n.ops {
			if o.Code != commit.OpRole || commit.Role(o.Count) >= commit.Write || n.role < commit.Manage {
				continue
			}
			for other := range version {
				if other.Author == commit.Author(o.Data) && other != n && !n.before[other] && !other.before[n] {
					void[other] = true
				}
			}
		}
	}
	return void
}

// precedes tells whether whoever did o had seen p.
func (p op) precedes(o op) bool {
	return o.node.before[p.node] || o.node == p.node && p.index < o.index
}

// covers tells whether o, if whoever did it had seen p, takes away what p did.
func (o op) covers(p op) bool {
	switch o.Code {
	case commit.OpClear:
		return len(o.path) <= len(p.path) && slices.Equal(o.path, p.path[:len(o.path)])
	case commit.OpSet:
		return p.Code == commit.OpSet && slices.Equal(o.path, p.path)
	case commit.OpRemove:
		return p.Code == commit.OpAdd && slices.Equal(o.path, p.path) && bytes.Equal(o.Data, p.Data)
	}
	return false
}

// object is something in the document.
type object struct {
	path []step
	made bool
	ops  []op // that have an effect still
}

// View is what crdt.Doc.View should be.
func (m *model) view() map[string]any {
	void := m.void(m.all())
	var ops []op
	for _, n := range m.commits {
		if !void[n] {
			ops = append(ops, n.ops...)
		}
	}
	objects := make(map[string]*object)
	for _, p := range ops {
		if p.path == nil || p.Code == commit.OpClear || p.Code == commit.OpRemove || slices.ContainsFunc(ops, func(o op) bool { return p.precedes(o) && o.covers(p) }) {
			continue
		}
		name := fmt.Sprint(p.path)
		o := objects[name]
		if o == nil {
			o = &object{path: p.path}
			objects[name] = o
		}
		o.made = o.made || p.Code == commit.OpMake
		o.ops = append(o.ops, p)
	}
	return m.mapAt(nil, objects, m.sequences(void))
}

// mapAt is the map at a path.
func (m *model) mapAt(path []step, objects map[string]*object, seqs map[string][]string) map[string]any {
	v := make(map[string]any)
	seen := make(map[string]bool)
	for _, n := range m.commits {
		for _, o := range n.ops {
			if len(o.path) <= len(path) || !slices.Equal(o.path[:len(path)], path) || seen[o.path[len(path)].key] {
				continue
			}
			key := o.path[len(path)].key
			seen[key] = true
			for k := commit.Map; k <= commit.Set; k++ {
				below := append(slices.Clone(path), step{key, k})
				value, there := m.valueAt(below, objects, seqs)
				if there {
					v[key] = value
					break
				}
			}
		}
	}
	return v
}

// valueAt is the object at a path, and whether it is there.
func (m *model) valueAt(path []step, objects map[string]*object, seqs map[string][]string) (any, bool) {
	o := objects[fmt.Sprint(path)]
	if o == nil {
		o = new(object)
	}
	switch kind := path[len(path)-1].kind; kind {
	case commit.Map:
		v := m.mapAt(path, objects, seqs)
		return v, o.made || len(v) > 0
	case commit.Text:
		elements := seqs[fmt.Sprint(path)]
		return strings.Join(elements, ""), o.made || len(elements) > 0
	case commit.List:
		values := []any{}
		for _, e := range seqs[fmt.Sprint(path)] {
			values = append(values, commit.Value([]byte(e)))
		}
		return values, o.made || len(values) > 0
	default:
		return o.value(kind)
	}
}

// value is the value of an object without order.
func (o *object) value(kind commit.Kind) (any, bool) {
	var sum int64
	var elements []string
	var values []any
	there := o.made
	slices.SortFunc(o.ops, func(p, q op) int {
		return -cmp.Or(cmp.Compare(p.node.Gen, q.node.Gen), slices.Compare(p.node.Author[:], q.node.Author[:]), p.node.id.Compare(q.node.id))
	})
	for _, p := range o.ops {
		if p.Code == commit.OpMake {
			continue
		}
		there = true
		sum += p.Delta
		if kind == commit.Set {
			elements = append(elements, string(p.Data))
		} else if p.Code == commit.OpSet {
			values = append(values, commit.Value(p.Data))
		}
	}
	switch kind {
	case commit.Register:
		if len(values) == 0 {
			return nil, there
		}
		return values[0], there
	case commit.MultiRegister:
		return append([]any{}, values...), there
	case commit.Set:
		slices.Sort(elements)
		values = []any{}
		for _, e := range slices.Compact(elements) {
			values = append(values, commit.Value([]byte(e)))
		}
		return values, there
	}
	return sum, there
}
