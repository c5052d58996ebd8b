package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	badgeropts "github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/ipld/merkledag"
	ds "github.com/ipfs/go-datastore"
	badgerds "github.com/ipfs/go-ds-badger4"
	dscrdt "github.com/ipfs/go-ds-crdt"
	logging "github.com/ipfs/go-log/v2"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

const (
	putWarm = 500 * time.Millisecond
	putTime = 3 * time.Second
)

// puts is who puts values under new keys, how many do so at the same time, of how many keys at
// once, and whether these are on disk when they are acknowledged.
type puts struct {
	Who            string
	Writers, Batch int
	Durable        bool
}

// String is what parsePuts reads.
func (p puts) String() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // it can be marshalled
	}
	return string(b)
}

func parsePuts(text string) (p puts, err error) {
	err = json.Unmarshal([]byte(text), &p)
	if err == nil && (p.Writers < 1 || p.Batch < 1) {
		err = errors.New("no writers, or nothing to put")
	}
	return p, err
}

// badgerOptions are those of a node's state, for whoever has a database here.
func badgerOptions(sync bool) *badgerds.Options {
	o := badger.DefaultOptions("").
		WithSyncWrites(sync).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(4 << 20).
		WithIndexCacheSize(4 << 20).
		WithCompression(badgeropts.None).
		WithNumCompactors(2).
		WithNumVersionsToKeep(1).
		WithMetricsEnabled(false).
		WithLogger(nil)
	return &badgerds.Options{Options: o}
}

// keyed is what puts are made of: a document of ours, or a go-ds-crdt.
type keyed interface {
	put(ctx context.Context, keys, values []string) error
	get(ctx context.Context, key string) (string, error)
	Close() error
}

// opened is a document and whose it is.
type opened struct {
	*replica.Replica
	doc *replica.Doc
}

func openDoc(ctx context.Context, store ds.Batching) (keyed, error) {
	r, err := replica.Open(ctx, replica.Options{Store: store, Key: keyOf(1)})
	if err != nil {
		return nil, err
	}
	d, err := r.Create(ctx, docName)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return opened{r, d}, nil
}

func (o opened) put(ctx context.Context, keys, values []string) error {
	_, err := o.doc.Update(ctx, func(tx *crdt.Tx) error {
		for i, k := range keys {
			tx.Set(k, values[i])
		}
		return nil
	})
	return err
}

func (o opened) get(ctx context.Context, key string) (string, error) {
	v, _, err := o.doc.Get(ctx, key)
	text, _ := v.(string) // else it is not the value that was put
	return text, err
}

// datastore is a go-ds-crdt.
type datastore struct{ *dscrdt.Datastore }

// openDatastore opens one with its blocks in the same store, as its users have it, and nobody
// else there.
func openDatastore(store ds.Batching) (keyed, error) {
	blocks := blockstore.NewBlockstore(store)
	dag := merkledag.NewDAGService(blockservice.New(blocks, offline.Exchange(blocks)))
	d, err := dscrdt.New(store, ds.NewKey("/crdt"), dag, nil, quiet())
	if err != nil {
		return nil, err
	}
	return datastore{d}, nil
}

// quiet are go-ds-crdt's options, but it logs nothing.
func quiet() *dscrdt.Options {
	logging.SetAllLoggers(logging.LevelFatal)
	return dscrdt.DefaultOptions()
}

func (d datastore) put(ctx context.Context, keys, values []string) error {
	if len(keys) == 1 {
		return d.Put(ctx, ds.NewKey(keys[0]), []byte(values[0]))
	}
	b, err := d.Batch(ctx)
	if err != nil {
		return err
	}
	for i, k := range keys {
		if err := b.Put(ctx, ds.NewKey(k), []byte(values[i])); err != nil {
			return err
		}
	}
	return b.Commit(ctx)
}

func (d datastore) get(ctx context.Context, key string) (string, error) {
	b, err := d.Get(ctx, ds.NewKey(key))
	return string(b), err
}

// putting puts for a while, and looks whether all is there.
func putting(ctx context.Context, about, dir string) (r result, err error) {
	p, err := parsePuts(about)
	if err != nil {
		return r, err
	}
	repo, err := os.MkdirTemp(dir, "put")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(repo)) }()
	store, err := badgerds.NewDatastore(repo, badgerOptions(p.Durable))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var k keyed
	switch p.Who {
	case ours:
		k, err = openDoc(ctx, store)
	case goDSCRDT:
		k, err = openDatastore(store)
	default:
		err = fmt.Errorf("nobody is called %q", p.Who)
	}
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	if _, err = p.run(ctx, k, "warm", putWarm); err != nil {
		return r, err
	}
	start := time.Now()
	counts, err := p.run(ctx, k, "key", putTime)
	if err != nil {
		return r, err
	}
	took := time.Since(start)
	r.Keys, err = verify(ctx, k, "key", counts)
	r.Rate = float64(r.Keys) / took.Seconds()
	return r, err
}

// run has writers put, each one thing after the other, until a time is over. It returns how many
// values each has put.
func (p puts) run(ctx context.Context, k keyed, prefix string, limit time.Duration) ([]int, error) {
	counts, errs := make([]int, p.Writers), make([]error, p.Writers)
	var tasks sync.WaitGroup
	end := time.Now().Add(limit)
	for w := range p.Writers {
		tasks.Go(func() {
			for errs[w] == nil && time.Now().Before(end) {
				var keys, values []string
				for i := range p.Batch {
					keys, values = append(keys, keyName(prefix, w, counts[w]+i)), append(values, valueOf(w, counts[w]+i))
				}
				if errs[w] = k.put(ctx, keys, values); errs[w] == nil {
					counts[w] += p.Batch
				}
			}
		})
	}
	tasks.Wait()
	return counts, errors.Join(errs...)
}

func keyName(prefix string, w, i int) string { return fmt.Sprintf("%s-%d-%d", prefix, w, i) }

// valueOf is a value of 64 bytes.
func valueOf(w, i int) string { return fmt.Sprintf("%032d%032d", w, i) }

// verify looks for all values that were put, and returns how many there are.
func verify(ctx context.Context, k keyed, prefix string, counts []int) (total int, err error) {
	for w, n := range counts {
		for i := range n {
			got, err := k.get(ctx, keyName(prefix, w, i))
			if err == nil && got != valueOf(w, i) {
				err = errWrong
			}
			if err != nil {
				return total, fmt.Errorf("get %s: %w", keyName(prefix, w, i), err)
			}
			total++
		}
	}
	return total, nil
}
