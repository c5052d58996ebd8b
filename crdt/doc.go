// Package crdt is documents that merge: many people edit one, online or not, and whoever has
// the same commits has the same document.
//
// A Doc is a map of keys to texts, lists, counters, registers, sets and maps. What changes it
// are commits (package commit), which are blocks: each names those that its author had seen,
// so that the history is a DAG, and the first one's hash is the name of the document.
//
// The state is a function of the DAG and of nothing else: not of the order in which commits
// came, nor of clocks, nor of what arrived twice. Four rules make it so.
//
//   - A commit is applied when all its parents are. Until then it waits, in bounded memory.
//   - What an operation takes away is what its author had seen, which is what its commit's
//     ancestors have put there. So nothing has to be remembered of what is gone, and a removal
//     is as short as its key.
//   - Where concurrent operations contradict each other, gen, author and ID decide, which nobody
//     can choose freely: gen is one more than that of the newest parent, or the commit is
//     rejected. Clocks decide nothing.
//   - Who may do what is in the DAG too. When somebody is removed, what they committed without
//     being known to who removed them has no effect any more, wherever it was already applied.
//
// The history need not be kept for ever: a manager names a horizon (Retire), and when all who may
// write have seen that, what is before it can be forgotten (Compact). The state is the same
// wherever it was forgotten and wherever not.
//
// It is no network and no database: it is given blocks, and says which it applied and which it
// lacks. It starts no goroutine and reads no clock.
//
// Invariant: commits that are applied are authentic. For each there is a chain of signatures,
// from a signed head, over those that authors pass on of the parents by others, to it.
package crdt

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Errors that callers decide on.
var (
	// ErrRole means a commit, or an edit, by somebody who may not make it.
	ErrRole = errors.New("not allowed")
	// ErrOpen means that there are edits that were not sealed yet.
	ErrOpen = errors.New("edits are not sealed")
	// ErrFull means that the edits do not fit into the open commit, which must be sealed first,
	// or that they fit into none.
	ErrFull = errors.New("commit is full")
	// ErrHeads means that there are more heads than a commit can follow: Merge must be called.
	ErrHeads = errors.New("too many heads")
	// ErrPosition means an edit at a position that is not there.
	ErrPosition = errors.New("no such position")
	// ErrMissing means commits that are not here.
	ErrMissing = errors.New("commits are not here")
	// ErrSnapshot means bytes that are no snapshot, or a damaged one.
	ErrSnapshot = errors.New("no good snapshot")
	// ErrPast means that a version of the past cannot be changed.
	ErrPast = errors.New("of the past")
	// ErrBeforeHorizon means what is before the horizon, or concurrent to it, and no part of the
	// document any more: see Compact.
	ErrBeforeHorizon = errors.New("before the horizon")
	// ErrInvalid means a commit that breaks a rule, and will on every replica.
	ErrInvalid = errors.New("invalid commit")
)

// Blocks are the blocks of the commits that were applied.
type Blocks interface {
	// Block finds one. It is asked for those alone that Apply or Seal have returned before.
	Block(id commit.ID) (block.Block, error)
}

// Head is a commit with its author's signature.
type Head struct {
	ID        commit.ID
	Signature *commit.Signature
}

// Doc is one replica of a document. It is not safe for concurrent use.
type Doc struct {
	id      commit.ID
	blocks  Blocks
	author  commit.Author // who edits here
	history *history
	root    *object
	signed  map[commit.ID]*commit.Signature // of heads
	waiting waiting
	touched []merger         // texts and lists that are not up to date
	open    *opened          // the commit that edits go into, or nil
	broken  error            // why the state could not be computed
	base    *base            // as which the history begins, or nil
	judged  map[claim]bool   // whether what horizons say is right
	notes   map[string]*note // what objects were when Deltas was called, by key; nil if it was not
}

// merger is a text or a list.
type merger interface{ merge(*history) }

// New is a replica of a document of which nothing is known yet but its name. Edits here are
// by the author.
func New(id commit.ID, author commit.Author, blocks Blocks) *Doc {
	d := &Doc{
		id:      id,
		blocks:  blocks,
		author:  author,
		history: newHistory(),
		root:    newObject(nil, name{kind: commit.Map}),
		signed:  make(map[commit.ID]*commit.Signature),
		judged:  make(map[claim]bool),
	}
	d.waiting = newWaiting(d.Has)
	return d
}

// NonceSize is how many bytes the operations of a first commit begin with, which make its
// document another one than those of the same author and time.
const NonceSize = 16

// Genesis is a first commit.
type Genesis struct {
	Nonce   [NonceSize]byte               // random
	Wall    uint64                        // milliseconds since 1970
	Members map[commit.Author]commit.Role // besides the creator, who manages
	From    []commit.ID                   // the document of which this is a copy, and its heads; or nothing
}

// Create makes the first commit of a document, by the author with this key.
func Create(key ed25519.PrivateKey, g Genesis) (block.Block, Head, error) {
	author := commit.AuthorOf(key)
	var w commit.Writer
	for _, m := range sortedAuthors(g.Members) {
		if m != author {
			w.Add(commit.Op{Code: commit.OpRole, Object: -1, Count: int(g.Members[m]), Data: m[:]})
		}
	}
	for _, id := range g.From {
		w.Add(commit.Op{Code: commit.OpFrom, Object: -1, Data: id[:]})
	}
	c := &commit.Commit{Gen: 1, Wall: g.Wall, Author: author, Ops: append(g.Nonce[:], w.Bytes()...)}
	b, err := c.Encode()
	if err != nil {
		return block.Block{}, Head{}, fmt.Errorf("create document: %w", err)
	}
	id, _ := commit.IDOf(b.Cid())
	return b, Head{id, commit.Sign(key, id, id)}, nil
}

// ID names the document: it is that of its first commit.
func (d *Doc) ID() commit.ID { return d.id }

// Len is how many commits are here, of those that were applied.
func (d *Doc) Len() int {
	if d.base != nil {
		return d.count() - 1
	}
	return d.count()
}

// Has tells whether a commit was applied.
func (d *Doc) Has(id commit.ID) bool {
	_, ok := d.history.number(id)
	return ok
}

// Heads are the applied commits that no other one follows, by ID. While edits are not sealed,
// there are none to tell.
func (d *Doc) Heads() ([]Head, error) {
	if d.open != nil {
		return nil, fmt.Errorf("heads of %s: %w", d.id, ErrOpen)
	}
	var heads []Head
	for _, n := range d.history.byID(d.history.graph.Heads()) {
		id := d.history.ids[n]
		heads = append(heads, Head{id, d.signed[id]})
	}
	return heads, nil
}

// Role is what an author may do, as far as this replica knows.
func (d *Doc) Role(author commit.Author) commit.Role {
	return d.history.roleNow(author)
}

// merge brings texts and lists up to date.
func (d *Doc) merge() {
	for _, m := range d.touched {
		m.merge(d.history)
	}
	d.touched = d.touched[:0]
}
