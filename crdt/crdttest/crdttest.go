// Package crdttest tries to make replicas of a document differ.
//
// Run plays one schedule, which a seed decides: replicas edit, and send each other what they
// did over a network that delays, repeats, reorders and loses it, and falls into parts;
// replicas start anew from their blocks, or from snapshots, and forget what is before a horizon; writers undo what they did, are
// removed and come back; some use their key twice, and up to half as many as there are honest
// ones send commits that break every rule. In the end the network is whole, and then all must
// have the same state, log and snapshot, and versions of the past that have not changed. The
// state must be what a model says: that knows the definitions alone, and computes everything
// from all commits.
//
// It is no test of the network: there are neither peers nor a wire, only blocks and heads.
//
// Invariant: the same seed and Options make the same schedule, so every failure can be
// played again.
package crdttest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Options say what a schedule is like. The zero value is usable.
type Options struct {
	// Replicas is how many honest ones there are; 0 is two to four.
	Replicas int
	// Steps is how many things happen; 0 is 20 to 80.
	Steps int
	// Kinds are the kinds of objects that are edited; none is all.
	Kinds []commit.Kind
	// Honest leaves out liars, forks and removals.
	Honest bool
}

// Run plays a schedule. An error says what went wrong, and when.
func Run(seed uint64, o Options) error {
	n, err := newNetwork(seed, o)
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	for i := range n.steps {
		if err := n.step(); err != nil {
			return fmt.Errorf("seed %d, step %d: %w", seed, i, err)
		}
	}
	if err := n.heal(); err != nil {
		return fmt.Errorf("seed %d, healed: %w", seed, err)
	}
	return nil
}

// check compares a replica with the model of what it has applied.
func (n *network) check(r *replica) error {
	m := newModel()
	history, err := r.history()
	if err != nil {
		return err
	}
	for _, b := range history {
		if id, _ := commit.IDOf(b.Cid()); n.forged[id] {
			return fmt.Errorf("replica %d: commit %s is forged", r.number, id)
		}
		if err := m.add(b); err != nil {
			return fmt.Errorf("replica %d: %w", r.number, err)
		}
	}
	got, err := json.Marshal(r.doc.View())
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	want, err := json.Marshal(m.view())
	if err != nil {
		return fmt.Errorf("replica %d: model: %w", r.number, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("replica %d: state %s, the model says %s", r.number, got, want)
	}
	return r.checkHeads(m)
}

// checkHeads checks that the heads are those commits that no other follows, and are signed.
func (r *replica) checkHeads(m *model) error {
	heads, err := r.doc.Heads()
	if err != nil {
		return err
	}
	followed := make(map[commit.ID]bool)
	for _, n := range m.commits {
		for _, p := range n.Parents {
			followed[p.ID] = true
		}
	}
	if len(heads) != len(m.commits)-len(followed) {
		return fmt.Errorf("replica %d: %d heads, the model has %d", r.number, len(heads), len(m.commits)-len(followed))
	}
	for _, h := range heads {
		n := m.byID[h.ID]
		if n == nil || followed[h.ID] || !commit.Verify(n.Author, r.doc.ID(), h.ID, h.Signature) {
			return fmt.Errorf("replica %d: %s is no head, or not signed", r.number, h.ID)
		}
	}
	return nil
}
