package replica

import (
	"context"
	"errors"
	"fmt"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// forgetMax is how many keys of a document that is forgotten are removed at once.
const forgetMax = 64

// Forget leaves the topic of a document and removes all of it from the store, own commits that
// nobody else has included. At once the document is not here any more, whatever happens; the rest is
// removed in parts, and Forget returns when that is done. If ctx ends before, it goes on; if the
// replica is closed, or the process dies, it goes on when the replica is opened again. Who opens the
// document then anew gets what others have.
func (r *Replica) Forget(ctx context.Context, nameOrID string) error {
	d, _, err := r.find(nameOrID)
	if err == nil && d == nil {
		err = ErrUnknown
	}
	if err == nil {
		err = d.leave(ctx)
	}
	if err != nil {
		return fmt.Errorf("forget document %q: %w", nameOrID, err)
	}
	d.running.Wait()
	swept := make(chan error, 1)
	if !r.spawn(func() { swept <- r.sweep(d.id) }) {
		return fmt.Errorf("forget document %q: %w", nameOrID, ErrClosed)
	}
	select {
	case err = <-swept:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("forget document %q: %w", nameOrID, err)
	}
	return nil
}

// leave makes the document unknown here, on disk and then in memory.
func (d *Doc) leave(ctx context.Context) error {
	r := d.replica
	if err := d.turn.take(ctx); err != nil {
		return err
	}
	defer d.turn.release()
	r.change.Lock()
	defer r.change.Unlock()
	if d.forgotten() {
		return ErrUnknown
	}
	if err := r.store.disown(ctx, d.id); err != nil {
		return err
	}
	close(d.gone)
	r.mu.Lock()
	delete(r.docs, d.id)
	delete(r.topics, wire.Topic(d.id))
	if d.name != "" {
		delete(r.names, d.name)
	}
	r.leaving[d.id] = struct{}{}
	r.mu.Unlock()
	d.mu.Lock()
	s := d.state
	d.mu.Unlock()
	if s != nil {
		d.fail(s, nil, ErrUnknown)
	}
	return nil
}

// forgotten tells whether the document is not here any more.
func (d *Doc) forgotten() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// sweep removes what is left of a document that was forgotten, unless the replica is closed before.
func (r *Replica) sweep(id commit.ID) error {
	for done := false; !done; {
		select {
		case <-r.closed:
			return ErrClosed
		default:
		}
		var err error
		if done, err = r.store.remove(context.Background(), id); err != nil { // each part is short
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leaving, id)
	return nil
}

// resume goes on with what was being forgotten when the replica was closed.
func (r *Replica) resume(ctx context.Context) error {
	ids, err := r.store.disowned(ctx)
	for _, id := range ids {
		r.leaving[id] = struct{}{}
	}
	for _, id := range ids {
		r.spawn(func() {
			if err := r.sweep(id); err != nil && !errors.Is(err, ErrClosed) {
				r.log.Warn("remove forgotten document", "doc", id, "err", err)
			}
		})
	}
	return err
}

// disown makes a document unknown, and notes that it is to be removed.
func (s *store) disown(ctx context.Context, doc commit.ID) error {
	b, err := s.ds.Batch(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(
		b.Put(ctx, key(forgottenPrefix, doc.String()), nil),
		b.Delete(ctx, key(docsPrefix, doc.String())),
		b.Delete(ctx, key(tipsPrefix, doc.String())))
	if err != nil {
		return err
	}
	return b.Commit(ctx)
}

// disowned are the documents that are to be removed.
func (s *store) disowned(ctx context.Context) (ids []commit.ID, err error) {
	for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: forgottenPrefix, KeysOnly: true}) {
		if err != nil {
			return nil, fmt.Errorf("list forgotten documents: %w", err)
		}
		id, err := ParseID(ds.RawKey(e.Key).BaseNamespace())
		if err != nil {
			return nil, fmt.Errorf("list forgotten documents: %s: %w", e.Key, ErrDamaged)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// remove removes a part of a document that was disowned, and tells whether it was the last.
func (s *store) remove(ctx context.Context, doc commit.ID) (done bool, err error) {
	b, err := s.ds.Batch(ctx)
	if err != nil {
		return false, err
	}
	n := 0
	for _, prefix := range []string{logPrefix, marksPrefix, basesPrefix, snapshotsPrefix, ticketsPrefix} {
		q := query.Query{Prefix: prefix + "/" + doc.String(), KeysOnly: prefix != logPrefix, Limit: forgetMax - n}
		for e, err := range ds.QueryIter(ctx, s.ds, q) {
			if err != nil {
				return false, fmt.Errorf("remove document %s: %w", doc, err)
			}
			if c, err := commit.Block(e.Value); err == nil && prefix == logPrefix {
				id, _ := commit.IDOf(c.Cid())
				if err := b.Delete(ctx, key(commitsPrefix, id.String())); err != nil {
					return false, err
				}
			}
			if err := b.Delete(ctx, ds.RawKey(e.Key)); err != nil {
				return false, err
			}
			n++
		}
		if n == forgetMax {
			return false, b.Commit(ctx)
		}
	}
	if err := errors.Join(b.Delete(ctx, ds.RawKey(snapshotKey(doc))), b.Delete(ctx, key(cutsPrefix, doc.String())), b.Delete(ctx, key(forgottenPrefix, doc.String()))); err != nil {
		return false, err
	}
	return true, b.Commit(ctx)
}
