package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func baseKey(doc commit.ID, first uint64) string {
	return fmt.Sprintf("%s/%s/%010x", basesPrefix, doc, first)
}

// keepBase writes the base that a log follows from its commit first on, and returns how many parts it
// has. It means nothing until a tip says so.
func (s *store) keepBase(ctx context.Context, doc commit.ID, first uint64, b *crdt.Base) (parts uint64, err error) {
	for part := range slices.Chunk(b.Encode(), batchSizeMax) {
		b, err := s.ds.Batch(ctx)
		if err != nil {
			return 0, err
		}
		if err := b.Put(ctx, key(baseKey(doc, first), fmt.Sprintf("%03x", parts)), part); err != nil {
			return 0, err
		}
		if err := b.Commit(ctx); err != nil {
			return 0, err
		}
		parts++
	}
	return parts, nil
}

// base reads the base that a log follows.
func (s *store) base(ctx context.Context, doc commit.ID, t tip) (crdt.Base, error) {
	var data []byte
	for i := range t.parts {
		part, err := s.ds.Get(ctx, key(baseKey(doc, t.first), fmt.Sprintf("%03x", i)))
		if errors.Is(err, ds.ErrNotFound) {
			err = ErrDamaged
		}
		if err != nil {
			return crdt.Base{}, fmt.Errorf("read part %d of base: %w", i, err)
		}
		data = append(data, part...)
	}
	return crdt.DecodeBase(data)
}

// cut begins a log anew with the commits from t.first on, of which the last may be in the batch. Before
// it began with commit from.
func (s *store) cut(ctx context.Context, b ds.Batch, doc commit.ID, from uint64, t tip) error {
	before, cut, err := s.pendingCut(ctx, doc)
	if err != nil {
		return err
	}
	if cut {
		from = min(from, before)
	}
	err = errors.Join(
		b.Put(ctx, key(tipsPrefix, doc.String()), t.encode()),
		b.Put(ctx, key(cutsPrefix, doc.String()), binary.AppendUvarint(nil, from)),
		b.Delete(ctx, ds.RawKey(snapshotKey(doc))))
	if err != nil {
		return err
	}
	return b.Commit(ctx)
}

// pendingCut tells whether there is something left of a log from before it was cut, and from which
// commit on.
func (s *store) pendingCut(ctx context.Context, doc commit.ID) (from uint64, ok bool, err error) {
	b, err := s.ds.Get(ctx, key(cutsPrefix, doc.String()))
	if errors.Is(err, ds.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read cut of %s: %w", doc, err)
	}
	from, n := binary.Uvarint(b)
	if n != len(b) {
		return 0, false, fmt.Errorf("read cut of %s: %w", doc, ErrDamaged)
	}
	return from, true, nil
}

// pendingCuts are the documents whose log was cut, and of which something is left from before.
func (s *store) pendingCuts(ctx context.Context) (ids []commit.ID, err error) {
	for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: cutsPrefix, KeysOnly: true}) {
		if err != nil {
			return nil, fmt.Errorf("list cut documents: %w", err)
		}
		id, err := ParseID(ds.RawKey(e.Key).BaseNamespace())
		if err != nil {
			return nil, fmt.Errorf("list cut documents: %s: %w", e.Key, ErrDamaged)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// outsider is an entry of a log that is outside of a horizon.
type outsider struct {
	number uint64
	id     commit.ID
}

// empty removes commits from a log that are outside of a horizon. Those come first that follow others: so
// what is left is always a log.
func (s *store) empty(ctx context.Context, doc commit.ID, list []outsider) error {
	for part := range slices.Chunk(list, forgetMax) {
		b, err := s.ds.Batch(ctx)
		if err != nil {
			return err
		}
		for _, o := range part {
			if err := errors.Join(b.Put(ctx, entryKey(doc, o.number), nil), b.Delete(ctx, key(commitsPrefix, o.id.String()))); err != nil {
				return err
			}
		}
		if err := b.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// removeBefore removes the entries first to end-1 of a log, of one page, and where to find them.
func (s *store) removeBefore(ctx context.Context, doc commit.ID, first, end uint64) error {
	for n := first; n < end; n += forgetMax {
		until := min(end, n+forgetMax)
		b, err := s.ds.Batch(ctx)
		if err != nil {
			return err
		}
		blocks, err := s.few(ctx, doc, n, until)
		if err != nil {
			return err
		}
		for i := n; i < until; i++ {
			c, ok := blocks[i&(1<<pageBits-1)]
			if !ok {
				continue
			}
			if id, ok := commit.IDOf(c.Cid()); ok {
				err = b.Delete(ctx, key(commitsPrefix, id.String()))
			}
			if err := errors.Join(err, b.Delete(ctx, entryKey(doc, i))); err != nil {
				return err
			}
		}
		if err := b.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// removeOld removes the marks and bases from before a log was cut.
func (s *store) removeOld(ctx context.Context, doc commit.ID, t tip) error {
	var old []string
	for _, prefix := range []string{marksPrefix, basesPrefix} {
		for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: prefix + "/" + doc.String(), KeysOnly: true}) {
			if err != nil {
				return err
			}
			// Numbers have as many digits each.
			if prefix == marksPrefix && e.Key <= markKey(doc, t.first).String() || prefix == basesPrefix && e.Key < baseKey(doc, t.first) {
				old = append(old, e.Key)
			}
		}
	}
	for part := range slices.Chunk(old, forgetMax) {
		b, err := s.ds.Batch(ctx)
		if err != nil {
			return err
		}
		for _, k := range part {
			if err := b.Delete(ctx, ds.RawKey(k)); err != nil {
				return err
			}
		}
		if err := b.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}
