package crdttest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// retire names a horizon, if the replica may.
func (n *network) retire(r *replica) error {
	if n.rng.IntN(2) > 0 {
		return nil
	}
	blocks, head, err := r.doc.Retire(r.key, n.rng.Uint64N(1<<41))
	if errors.Is(err, crdt.ErrRole) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	r.keep(blocks...)
	n.publish(r, blocks, []crdt.Head{head})
	return nil
}

// compact forgets what is before the horizon, if there is one.
func (r *replica) compact() error {
	gone, err := r.doc.Compact()
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	r.drop(gone)
	return nil
}

// drop forgets commits.
func (r *replica) drop(ids []commit.ID) {
	for _, id := range ids {
		delete(r.blocks, id)
	}
	if len(ids) > 0 {
		r.applied = slices.DeleteFunc(r.applied, func(b block.Block) bool {
			id, _ := commit.IDOf(b.Cid())
			_, there := r.blocks[id]
			return !there
		})
	}
}

// offer is the base that a replica must be given to begin with what another one has; nil if it
// needs none.
func (r *replica) offer(to *replica) (*crdt.Base, error) {
	at, ok := r.doc.Horizon()
	_, has := to.doc.Horizon()
	if !ok || to.doc.Has(at) || !r.doc.Compacted() && !has {
		return nil, nil
	}
	base, err := r.doc.Base()
	if err != nil {
		return nil, fmt.Errorf("replica %d: %w", r.number, err)
	}
	return &base, nil
}

// adopt makes a replica begin with a base, if that is proven, and in effect for it too.
func (r *replica) adopt(base *crdt.Base, blocks []block.Block, heads []crdt.Head) error {
	begun := &replica{number: r.number, key: r.key, blocks: make(map[commit.ID]block.Block), all: r.all}
	var err error
	if begun.doc, err = crdt.Begin(r.doc.ID(), *base, commit.AuthorOf(r.key), begun); err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	if _, err := begun.receive(blocks, heads); err != nil {
		return err
	}
	if at, _ := begun.doc.Horizon(); r.doc.Has(at) || !begun.doc.Proven() || !begun.doc.Outranks(r.doc) {
		return nil
	}
	r.doc, r.applied, r.blocks, r.shadow = begun.doc, begun.applied, begun.blocks, nil
	return nil
}

// history is all commits that a replica's heads follow, parents first, of which it may have
// forgotten the older ones.
func (r *replica) history() ([]block.Block, error) {
	heads, err := r.doc.Heads()
	if err != nil {
		return nil, err
	}
	var list []block.Block
	seen := make(map[commit.ID]bool)
	var visit func(id commit.ID) error
	visit = func(id commit.ID) error {
		if seen[id] {
			return nil
		}
		seen[id] = true
		c, _, err := commit.Decode(r.all[id])
		if err != nil {
			return err
		}
		for _, p := range c.Parents {
			if err := visit(p.ID); err != nil {
				return err
			}
		}
		list = append(list, r.all[id])
		return nil
	}
	for _, h := range heads {
		if err := visit(h.ID); err != nil {
			return nil, fmt.Errorf("replica %d: %w", r.number, err)
		}
	}
	return list, nil
}
