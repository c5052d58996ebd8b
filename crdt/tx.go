package crdt

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// opsMax is how many bytes of operations a commit may have: what is left beside parents with
// signatures, and refs.
const opsMax = commit.SizeMax - 16<<10

// opened is a commit that edits go into.
type opened struct {
	number  int
	parents []int
	writer  commit.Writer
	ops     int
	objects []*object   // by their index in writer
	others  []commit.Op // that have no object
	step    step
}

// Update makes the edits that f makes, all of them or, if f or an edit fails, none. They are
// part of a commit once Seal has been called. f must keep no part of the Tx.
func (d *Doc) Update(f func(*Tx) error) error {
	if d.broken != nil {
		return d.broken
	}
	if d.Role(d.author) < commit.Write {
		return fmt.Errorf("edit %s: by %s: %w", d.id, d.author, ErrRole)
	}
	if n := len(d.history.graph.Heads()); n > commit.ParentsMax {
		return fmt.Errorf("edit %s: %d heads: %w", d.id, n, ErrHeads)
	}
	tx := newTx(d)
	if err := f(tx); err != nil {
		return err
	}
	if tx.err != nil {
		return fmt.Errorf("edit %s: %w", d.id, tx.err)
	}
	return d.take(tx)
}

// take makes the operations of a Tx part of the open commit.
func (d *Doc) take(tx *Tx) error {
	if len(tx.edits) == 0 {
		return nil
	}
	have, objects := 0, 0
	if d.open != nil {
		have, objects = d.open.writer.Size(), len(d.open.objects)
	}
	if have+tx.size > opsMax || objects+tx.objects > commit.ObjectsMax {
		return fmt.Errorf("edit %s: %d bytes after %d, %d objects after %d: %w", d.id, tx.size, have, tx.objects, objects, ErrFull)
	}
	if d.open == nil {
		parents := slices.Clone(d.history.graph.Heads())
		n := d.history.add(d.author, parents)
		d.open = &opened{number: n, parents: parents, step: step{history: d.history, commit: n}}
	}
	o := d.open
	for _, e := range tx.edits {
		e.op.Object = d.index(e.target)
		o.writer.Add(e.op)
		if e.op.Object < 0 {
			o.others = append(o.others, e.op)
		}
		switch e.op.Code {
		default:
			d.do(&o.step, o.objects[e.op.Object], e.op)
		case commit.OpHorizon: // for Seal
		case commit.OpUndo:
			d.history.undo(o.number, commit.ID(e.op.Data))
		case commit.OpRole:
			// It makes nothing void: its author has seen all that is here.
			d.history.grant(grant{commit: o.number, index: o.ops, author: commit.Author(e.op.Data), role: commit.Role(e.op.Count)})
		}
		o.ops++
	}
	d.merge()
	return nil
}

// index is the index of an object in the open commit; the object is made if it is not there.
func (d *Doc) index(p *path) int {
	if p == nil {
		return -1
	}
	if p.index < 0 {
		o, parent, above := d.open, d.root, d.index(p.parent)
		if above >= 0 {
			parent = o.objects[above]
		}
		p.index = o.writer.Object(commit.Object{Parent: above, Kind: p.name.kind, Key: p.name.key})
		if p.index == len(o.objects) {
			o.objects = append(o.objects, parent.content.(*mapping).child(parent, p.name))
		}
	}
	return p.index
}

// Seal ends the open commit, and returns it and its head, signed with the author's key. wall
// is the time for readers, in milliseconds since 1970. If there were no edits, the block is
// the zero Block.
func (d *Doc) Seal(key ed25519.PrivateKey, wall uint64) (block.Block, Head, error) {
	o := d.open
	if o == nil {
		return block.Block{}, Head{}, nil
	}
	if commit.AuthorOf(key) != d.author {
		return block.Block{}, Head{}, fmt.Errorf("seal commit of %s: not the key of %s: %w", d.id, d.author, ErrRole)
	}
	h := d.history
	c := &commit.Commit{Gen: uint64(h.gens[o.number]), Wall: wall, Author: d.author, Refs: h.refs(o.parents), Ops: o.writer.Bytes()}
	for _, n := range h.byID(o.parents) {
		p := commit.Parent{ID: h.ids[n]}
		if h.authorOf(n) != d.author {
			p.Signature = d.signed[p.ID]
		}
		c.Parents = append(c.Parents, p)
	}
	b, err := c.Encode()
	if err != nil {
		return block.Block{}, Head{}, fmt.Errorf("seal commit of %s: %w", d.id, err)
	}
	id, _ := commit.IDOf(b.Cid())
	h.name(o.number, id)
	h.notice(d.id, o.number, o.parents, h.role(d.author, o.parents), &commit.Ops{Document: o.others})
	if err := d.witnessed(); err != nil {
		return block.Block{}, Head{}, fmt.Errorf("seal commit of %s: %w", d.id, err)
	}
	for _, w := range d.waiting.arrived(id) {
		d.waiting.completed(w)
	}
	d.open = nil
	o.step.prune(o.objects)
	head := Head{id, commit.Sign(key, d.id, id)}
	d.signed[id] = head.Signature
	d.forget()
	return b, head, nil
}

// Merge makes a commit without edits, if there are more heads than a commit can follow: it
// follows as many of them as it can. It is called until the block that it returns is the zero
// Block. Edits must be sealed.
func (d *Doc) Merge(key ed25519.PrivateKey, wall uint64) (block.Block, Head, error) {
	heads := d.history.graph.Heads()
	if len(heads) <= commit.ParentsMax {
		return block.Block{}, Head{}, nil
	}
	if d.Role(d.author) < commit.Write {
		return block.Block{}, Head{}, fmt.Errorf("merge heads of %s: by %s: %w", d.id, d.author, ErrRole)
	}
	return d.follows(heads[:commit.ParentsMax], key, wall)
}

// follows makes a commit without edits that follows some heads.
func (d *Doc) follows(heads []int, key ed25519.PrivateKey, wall uint64) (block.Block, Head, error) {
	parents := slices.Clone(heads)
	n := d.history.add(d.author, parents)
	d.open = &opened{number: n, parents: parents, step: step{history: d.history, commit: n}}
	return d.Seal(key, wall)
}
