package crdttest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// memory is a version that some replica had, and what the document was then.
type memory struct {
	heads []commit.ID
	dump  []byte
}

// remember compares some version with a replica that was sent nothing else, and keeps it.
func (n *network) remember(r *replica) error {
	if r.doc.Compacted() || len(r.applied) == 0 {
		return nil
	}
	var heads []commit.ID
	for range 1 + n.rng.IntN(2) {
		id, _ := commit.IDOf(r.applied[n.rng.IntN(len(r.applied))].Cid())
		heads = append(heads, id)
	}
	past, err := r.doc.At(heads...)
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	alone, err := n.alone(r, heads)
	if err != nil {
		return err
	}
	if !bytes.Equal(past.Dump(), alone.doc.Dump()) || !reflect.DeepEqual(past.View(), alone.doc.View()) {
		return fmt.Errorf("replica %d: at %v the document was %v, who has nothing else has %v", r.number, heads, past.View(), alone.doc.View())
	}
	n.memories = append(n.memories, memory{heads, past.Dump()})
	return r.tell(past, heads)
}

// alone is a replica that was sent the ancestors of some commits of another one, and nothing else.
func (n *network) alone(r *replica, heads []commit.ID) (*replica, error) {
	alone := &replica{number: r.number, key: r.key, all: r.all}
	alone.start(r.doc.ID())
	var blocks []block.Block
	var signed []crdt.Head
	seen := make(map[commit.ID]bool)
	for list := slices.Clone(heads); len(list) > 0; {
		id := list[0]
		list = list[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		c, _, err := commit.Decode(r.blocks[id])
		if err != nil {
			return nil, err
		}
		if slices.Contains(heads, id) {
			signed = append(signed, crdt.Head{ID: id, Signature: commit.Sign(n.keys[c.Author], r.doc.ID(), id)})
		}
		blocks = append(blocks, r.blocks[id])
		for _, p := range c.Parents {
			list = append(list, p.ID)
		}
	}
	report, err := alone.receive(blocks, signed)
	if err == nil && len(report.Applied) != len(blocks) {
		err = fmt.Errorf("replica %d: %d commits at %v, of which %d are applied: %v", r.number, len(blocks), heads, len(report.Applied), report.Rejected)
	}
	return alone, err
}

// tell checks that the deltas from nothing to a version, and from there to the present, make
// the document; and so do those of all commits.
func (r *replica) tell(past *crdt.Doc, heads []commit.ID) error {
	first, err := past.Diff()
	if err != nil {
		return err
	}
	then, err := r.doc.Diff(heads...)
	if err != nil {
		return err
	}
	s := make(shadow)
	for _, d := range append(first, then...) {
		if err := s.apply(d); err != nil {
			return fmt.Errorf("replica %d: since %v: %w", r.number, heads, err)
		}
	}
	if got := s.view(nil); !reflect.DeepEqual(got, r.doc.View()) {
		return fmt.Errorf("replica %d: state %v, by the deltas since %v %v", r.number, r.doc.View(), heads, got)
	}
	return nil
}

// log is all commits of the replica with their deltas, which make the document.
func (r *replica) log() ([]crdt.Entry, error) {
	var list []crdt.Entry
	s := make(shadow)
	for e, err := range r.doc.Log() {
		if err != nil {
			return nil, fmt.Errorf("replica %d: %w", r.number, err)
		}
		for _, d := range e.Deltas {
			if err := s.apply(d); err != nil {
				return nil, fmt.Errorf("replica %d: commit %s: %w", r.number, e.ID, err)
			}
		}
		list = append(list, e)
	}
	if got := s.view(nil); len(list) != r.doc.Len() || !reflect.DeepEqual(got, r.doc.View()) {
		return nil, fmt.Errorf("replica %d: state %v, by its log of %d commits %v", r.number, r.doc.View(), len(list), got)
	}
	return list, nil
}

// reopen restores the replica from a snapshot, with which it goes on.
func (r *replica) reopen() error {
	snapshot, err := r.doc.Snapshot()
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	heads, err := r.doc.Heads()
	if err != nil {
		return err
	}
	doc, err := crdt.Restore(snapshot, heads, commit.AuthorOf(r.key), r)
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	again, err := doc.Snapshot()
	if err != nil || !bytes.Equal(again, snapshot) || !bytes.Equal(doc.Dump(), r.doc.Dump()) {
		return fmt.Errorf("replica %d: %v was restored as %v: %w", r.number, r.doc.View(), doc.View(), err)
	}
	if err := r.watch(); err != nil {
		return err
	}
	r.doc = doc
	r.doc.Deltas()
	return nil
}

// recall checks that all replicas have the same log, and that no version has changed.
func (n *network) recall() error {
	r := n.replicas[n.rng.IntN(len(n.replicas))]
	if r.doc.Compacted() || n.replicas[0].doc.Compacted() {
		return nil
	}
	want, err := n.replicas[0].log()
	if err != nil {
		return err
	}
	got, err := r.log()
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the logs of replicas 0 and %d differ", r.number)
	}
	for _, m := range n.memories {
		past, err := r.doc.At(m.heads...)
		if _, ok := r.doc.Horizon(); ok && errors.Is(err, crdt.ErrMissing) {
			continue // it is outside of the horizon now
		}
		if err != nil {
			return fmt.Errorf("replica %d: %w", r.number, err)
		}
		if !bytes.Equal(past.Dump(), m.dump) {
			return fmt.Errorf("replica %d: another document at %v than it was", r.number, m.heads)
		}
	}
	return nil
}
