package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	badgeropts "github.com/dgraph-io/badger/v4/options"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
)

// Sizes in bytes.
const (
	// stateTableSize is the size of one badger memtable. Three of them are the
	// ceiling of what the state costs in memory.
	stateTableSize = 8 << 20
	// What must be free on disk for a write, and for the last table at the end:
	// less, so that what could be opened can be closed.
	stateWriteSpaceMin = stateTableSize
	stateCloseSpaceMin = stateTableSize / 2
)

// state is a datastore over badger for what is small and must not be lost:
// pins, the provider journal, settings. Every write is on disk when it
// returns, and a batch is one transaction.
type state struct {
	db      *badger.DB
	scratch string                 // folder to be removed at the end; "" for none
	room    func(need int64) error // refuses what the disk could not take; nil: nobody does
}

var _ ds.Batching = (*state)(nil)

func openState(dir string) (*state, error) {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(stateTableSize).
		WithNumMemtables(2).
		WithValueThreshold(1 << 20). // everything inline: the value log swallows sync errors
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(4 << 20).
		WithIndexCacheSize(4 << 20).
		WithCompression(badgeropts.None).
		WithNumCompactors(2).
		WithNumVersionsToKeep(1).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(badgeropts.OnTableRead).
		WithLogger(nil)
	db, err := badgerdb.Open(o)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return &state{db: db}, nil
}

// openStateCopy opens a temporary copy of the database in dir, which is on a
// file system that takes no writes, or is full: badger must write to replay its
// log.
func openStateCopy(dir string) (*state, error) {
	scratch, err := os.MkdirTemp("", "p2pnode-state-*")
	if err != nil {
		return nil, fmt.Errorf("copy state: %w", err)
	}
	err = os.CopyFS(filepath.Join(scratch, "state"), os.DirFS(dir))
	var s *state
	if err == nil {
		s, err = openState(filepath.Join(scratch, "state"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy state: %w", err), os.RemoveAll(scratch))
	}
	s.scratch = scratch
	return s, nil
}

func (s *state) Get(_ context.Context, key ds.Key) (value []byte, err error) {
	err = s.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key.Bytes())
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ds.ErrNotFound
	}
	return value, err
}

func (s *state) Has(ctx context.Context, key ds.Key) (bool, error) {
	_, err := s.GetSize(ctx, key)
	if errors.Is(err, ds.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *state) GetSize(_ context.Context, key ds.Key) (size int, err error) {
	err = s.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key.Bytes())
		if err == nil {
			size = int(item.ValueSize())
		}
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return -1, ds.ErrNotFound
	}
	return size, err
}

// update runs f in a transaction. Badger writes through maps of sparse files, so
// a write that the disk cannot take is not an error but the end of the process:
// hence the question before.
func (s *state) update(f func(*badger.Txn) error) error {
	if s.room != nil {
		if err := s.room(stateWriteSpaceMin); err != nil {
			return fmt.Errorf("write state: %w", err)
		}
	}
	return s.db.Update(f)
}

func (s *state) Put(_ context.Context, key ds.Key, value []byte) error {
	return s.update(func(tx *badger.Txn) error { return tx.Set(key.Bytes(), value) })
}

func (s *state) Delete(_ context.Context, key ds.Key) error {
	return s.update(func(tx *badger.Txn) error { return tx.Delete(key.Bytes()) })
}

// Sync has nothing to do: every write is synced when it returns.
func (s *state) Sync(context.Context, ds.Key) error { return nil }

// Close closes the database. Badger then writes a table: where there is no room
// for that, it is left as a kill would leave it.
func (s *state) Close() error {
	if s.room != nil && s.scratch == "" {
		if err := s.room(stateCloseSpaceMin); err != nil {
			return fmt.Errorf("close state: %w", err)
		}
	}
	err := s.db.Close()
	if s.scratch != "" {
		err = errors.Join(err, os.RemoveAll(s.scratch))
	}
	return err
}

// Query answers from one snapshot. Results are read into memory: the state is small.
func (s *state) Query(ctx context.Context, q query.Query) (query.Results, error) {
	var entries []query.Entry
	prefix := ds.NewKey(q.Prefix).Bytes()
	if len(prefix) > 1 { // "/pins" must not match "/pinsummary"
		prefix = append(prefix, '/')
	}
	err := s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: !q.KeysOnly, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			e := query.Entry{Key: string(it.Item().KeyCopy(nil)), Size: int(it.Item().ValueSize())}
			if !q.KeysOnly {
				v, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				e.Value = v
			}
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query state %s: %w", q.Prefix, err)
	}
	q.Prefix = "" // done above
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

// Batch collects writes for one transaction.
func (s *state) Batch(context.Context) (ds.Batch, error) {
	return &stateBatch{state: s}, nil
}

type stateBatch struct {
	state *state
	ops   []func(*badger.Txn) error
}

func (b *stateBatch) Put(_ context.Context, key ds.Key, value []byte) error {
	b.ops = append(b.ops, func(tx *badger.Txn) error { return tx.Set(key.Bytes(), value) })
	return nil
}

func (b *stateBatch) Delete(_ context.Context, key ds.Key) error {
	b.ops = append(b.ops, func(tx *badger.Txn) error { return tx.Delete(key.Bytes()) })
	return nil
}

// Commit writes everything or nothing; a batch that is larger than a badger
// transaction can be is refused with badger.ErrTxnTooBig.
func (b *stateBatch) Commit(context.Context) error {
	return b.state.update(func(tx *badger.Txn) error {
		for _, op := range b.ops {
			if err := op(tx); err != nil {
				return err
			}
		}
		return nil
	})
}
