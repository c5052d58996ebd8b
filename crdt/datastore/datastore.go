// Package datastore is a document as a datastore: keys and values that several nodes change, each
// on its own disk, for programs that know the interfaces of go-datastore. It takes the place of
// go-ds-crdt.
//
// The value of /a/b is the register b in the map a of the document. Of values that were put at the
// same time one wins, the same everywhere; a value that is put while somebody else deletes the key
// stays.
//
// It is no replica: package replica keeps the document, brings what others change, and closes it.
// Registers that hold something else than bytes are no keys of it, nor are those with names that
// cannot be namespaces, nor texts, lists and whatever else there may be in the document.
//
// Invariant: what Put, Delete and Commit have acknowledged is on disk, and what a query returns was
// all there at one moment.
package datastore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// Options says what a Datastore does beside. The zero value is nothing.
type Options struct {
	// PutHook is called when Get returns another value than before, whoever has put it: see
	// DeleteHook.
	PutHook func(ds.Key, []byte)
	// DeleteHook is called when a key that was there is not there any more. Hooks are called one
	// after the other, some time after the change, and may use the Datastore, but not Close it. Of
	// changes of one key that come before its hook was called, it tells the last.
	DeleteHook func(ds.Key)
}

// Datastore is a document as a datastore. It is safe for concurrent use.
type Datastore struct {
	doc     *replica.Doc
	stop    context.CancelFunc
	watcher sync.WaitGroup
}

var _ ds.Batching = (*Datastore)(nil)

// SizeError means a value that does not fit into a commit.
type SizeError struct {
	Key  ds.Key
	Size int // of the value, in bytes
	Max  int // that of the largest for this key
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("value of %d bytes for %s: at most %d fit into a commit", e.Size, e.Key, e.Max)
}

// Unwrap makes it a crdt.ErrFull.
func (e *SizeError) Unwrap() error { return crdt.ErrFull }

// New is a datastore of what is in a document. Hooks, if there are any, are told of what changes
// from now on; then it must be closed.
func New(ctx context.Context, doc *replica.Doc, o Options) (*Datastore, error) {
	d := &Datastore{doc: doc, stop: func() {}}
	if o.PutHook == nil && o.DeleteHook == nil {
		return d, nil
	}
	h, err := newHooks(ctx, doc, o)
	if err != nil {
		return nil, fmt.Errorf("open datastore of document %s: %w", doc.ID(), err)
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.watcher.Go(func() { h.watch(watching) })
	return d, nil
}

// Close ends hooks, after the one that is under way. The document stays open.
func (d *Datastore) Close() error {
	d.stop()
	d.watcher.Wait()
	return nil
}

// path is where the register of a key is.
func path(k ds.Key) []string {
	return strings.Split(strings.TrimPrefix(ds.NewKey(k.String()).String(), "/"), "/")
}

// keyOf is the key of the register at a path. ok is false if it has none: others may have used
// names that cannot be namespaces.
func keyOf(at []string) (k ds.Key, ok bool) {
	k = ds.NewKey("/" + strings.Join(at, "/"))
	return k, slices.Equal(path(k), at)
}

// entry is what a register says, if it is a key with a value.
func entry(f crdt.Field) (k ds.Key, value string, ok bool) {
	if value, ok = f.Bytes(); ok {
		k, ok = keyOf(f.Path)
	}
	return k, value, ok
}

// register is that of a key.
func register(tx *crdt.Tx, k ds.Key) crdt.Register {
	names, at := path(k), tx.Keys
	for _, name := range names[:len(names)-1] {
		at = at.Map(name)
	}
	return at.Register(names[len(names)-1])
}

// fits tells whether a value of a size can be put.
func fits(k ds.Key, size int) error {
	if most := crdt.ValueSizeMax(path(k)...); size > most {
		return &SizeError{k, size, most}
	}
	return nil
}

// Put sets the value of a key. It is on disk when Put returns; the others hear of it then. A value
// that is too large is a *SizeError; keys have up to 32 namespaces of up to 1 KiB of UTF-8.
func (d *Datastore) Put(ctx context.Context, k ds.Key, value []byte) error {
	return d.update(ctx, "put", k, edit{key: k, value: value})
}

// Delete removes the value of a key, as far as it is known here.
func (d *Datastore) Delete(ctx context.Context, k ds.Key) error {
	return d.update(ctx, "delete", k, edit{key: k, remove: true})
}

func (d *Datastore) update(ctx context.Context, verb string, k ds.Key, e edit) error {
	err := fits(k, len(e.value))
	if err == nil {
		_, err = d.doc.Update(ctx, func(tx *crdt.Tx) error { e.do(tx); return nil })
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, k, err)
	}
	return nil
}

// value finds the value of a key, or ds.ErrNotFound.
func (d *Datastore) value(ctx context.Context, k ds.Key) (string, error) {
	f, ok, err := d.doc.Field(ctx, path(k)...)
	if err != nil {
		return "", fmt.Errorf("get %s: %w", k, err)
	}
	if ok {
		if value, ok := f.Bytes(); ok {
			return value, nil
		}
	}
	return "", ds.ErrNotFound // as it is: there is code that compares
}

// Get returns the value of a key, as far as it is known here. The error is ds.ErrNotFound.
func (d *Datastore) Get(ctx context.Context, k ds.Key) ([]byte, error) {
	value, err := d.value(ctx, k)
	if err != nil {
		return nil, err
	}
	return []byte(value), nil
}

// Has tells whether a key has a value, as far as it is known here.
func (d *Datastore) Has(ctx context.Context, k ds.Key) (bool, error) {
	return ds.GetBackedHas(ctx, d, k)
}

// GetSize returns how many bytes the value of a key has, or -1 and ds.ErrNotFound.
func (d *Datastore) GetSize(ctx context.Context, k ds.Key) (int, error) {
	value, err := d.value(ctx, k)
	if err != nil {
		return -1, err
	}
	return len(value), nil
}

// Sync does nothing: what is acknowledged is on disk.
func (d *Datastore) Sync(context.Context, ds.Key) error { return nil }

// Query finds what is under a prefix, of which the cost is in proportion to what is there.
func (d *Datastore) Query(ctx context.Context, q query.Query) (query.Results, error) {
	var under []string
	if prefix := ds.NewKey(q.Prefix); prefix != ds.NewKey("") {
		under = path(prefix)
	}
	fields, err := d.doc.Fields(ctx, under...)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", q, err)
	}
	next := func() (query.Result, bool) {
		for len(fields) > 0 {
			k, value, ok := entry(fields[0])
			if fields = fields[1:]; !ok {
				continue
			}
			e := query.Entry{Key: k.String(), Size: len(value)}
			if !q.KeysOnly {
				e.Value = []byte(value)
			}
			return query.Result{Entry: e}, true
		}
		return query.Result{}, false
	}
	return query.NaiveQueryApply(q, query.ResultsFromIterator(q, query.Iterator{Next: next})), nil
}
