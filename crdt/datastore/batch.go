package datastore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	ds "github.com/ipfs/go-datastore"

	"github.com/p2pnode/p2pnode/crdt"
)

// edit is a value that is put, or a key that is deleted.
type edit struct {
	key    ds.Key
	value  []byte
	remove bool
}

func (e edit) do(tx *crdt.Tx) {
	r := register(tx, e.key)
	if !e.remove {
		r.Set(e.value)
	} else if _, ok := r.Value(); ok {
		r.Clear()
	}
}

// batch is edits that are gathered.
type batch struct {
	datastore *Datastore
	edits     []edit
	index     map[ds.Key]int // of the edit of each key
}

// Batch gathers edits. Those that fit into one commit, of 240 KiB and 4,096 keys and namespaces, are
// there all or none, here and everywhere; more become several commits, in the order of the edits.
func (d *Datastore) Batch(context.Context) (ds.Batch, error) {
	return &batch{datastore: d, index: make(map[ds.Key]int)}, nil
}

// Put gathers a Put. A value that is too large is a *SizeError.
func (b *batch) Put(_ context.Context, k ds.Key, value []byte) error {
	if err := fits(k, len(value)); err != nil {
		return fmt.Errorf("put %s: %w", k, err)
	}
	b.add(edit{key: k, value: bytes.Clone(value)})
	return nil
}

// Delete gathers a Delete.
func (b *batch) Delete(_ context.Context, k ds.Key) error {
	b.add(edit{key: k, remove: true})
	return nil
}

func (b *batch) add(e edit) {
	if i, ok := b.index[e.key]; ok {
		b.edits[i] = e
		return
	}
	b.index[e.key] = len(b.edits)
	b.edits = append(b.edits, e)
}

// errCut means that not all of the edits fit.
var errCut = errors.New("batch is cut")

// Commit makes the edits. They are on disk when it returns. If it fails, those that went into
// commits before are made.
func (b *batch) Commit(ctx context.Context) error {
	for len(b.edits) > 0 {
		n, err := b.commit(ctx, len(b.edits))
		if errors.Is(err, errCut) {
			n, err = b.commit(ctx, n)
		}
		if err != nil {
			return fmt.Errorf("commit batch: %w", err)
		}
		b.edits = b.edits[n:]
	}
	clear(b.index)
	return nil
}

// commit makes the first n edits. If they do not fit into one commit, the error is errCut, and n is
// how many do.
func (b *batch) commit(ctx context.Context, n int) (int, error) {
	_, err := b.datastore.doc.Update(ctx, func(tx *crdt.Tx) error {
		for i, e := range b.edits[:n] {
			if e.do(tx); tx.Full() && i > 0 {
				n = i
				return errCut
			}
		}
		return nil
	})
	return n, err
}
