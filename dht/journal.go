package dht

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

// The journal holds every multihash that this node provides, once:
//
//	/journal/todo/<d>/<d>/<d>/<d>/<60 digits> → multihash
//	/journal/done/<d>/<d>/<d>/<d>/<60 digits> → time | reach | multihash
//
// The hex digits are the multihash's key in the key space, so that neighbours
// in the network are neighbours on disk; the first four stand alone because a
// datastore finds prefixes by whole path components. time is eight bytes of
// Unix seconds, big endian, of the first provide; reach is one byte: how many
// peers took the record.
//
// A multihash begins in todo. When its record has been sent it is put into done
// and then deleted from todo: a crash in between sends it once more, which does
// no harm.
const (
	journalTodo = "/journal/todo"
	journalDone = "/journal/done"

	pathDigits     = 4     // digits of a key that are path components
	doneHeaderSize = 8 + 1 // time and reach

	// journalBatchMax is how many changes go into one batch of the store. Stores
	// whose batches are transactions have limits of their own.
	journalBatchMax = 1024
	// scanMax is how many entries are asked of the store at once, since it may
	// answer from memory. What may be more is read in parts.
	scanMax = 8192
)

// EntryError is a journal entry that cannot be read.
type EntryError struct {
	Key  string
	What string
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("read provider journal entry %s: %s", e.Key, e.What)
}

// journal is what this node provides, on the node's store.
type journal struct {
	store ds.Batching

	// change is held across the store's I/O on purpose: the journal has one
	// writer at a time, so that its sizes are true.
	change sync.Mutex

	mu         sync.Mutex // guards the following
	loaded     bool
	todo, done int
	used       chan struct{} // closed once there is, or was, an entry
	isUsed     bool
}

func newJournal(store ds.Batching) *journal {
	return &journal{store: store, used: make(chan struct{})}
}

// grown notes a change of the sizes; mu is held.
func (j *journal) grown() {
	if j.todo+j.done > 0 && !j.isUsed {
		j.isUsed = true
		close(j.used)
	}
}

// entry is one multihash of the journal. A zero at means that it waits.
type entry struct {
	hash  multihash.Multihash
	at    time.Time
	reach int
}

func entryKey(root string, k keyspace.Key) ds.Key {
	digits := hex.EncodeToString(k[:])
	path := make([]byte, 0, len(root)+2*pathDigits+1+len(digits))
	path = append(path, root...)
	for i := range pathDigits {
		path = append(path, '/', digits[i])
	}
	path = append(path, '/')
	path = append(path, digits[pathDigits:]...)
	return ds.RawKey(string(path))
}

func todoKey(k keyspace.Key) ds.Key { return entryKey(journalTodo, k) }

func doneKey(k keyspace.Key) ds.Key { return entryKey(journalDone, k) }

func encodeDone(e entry) []byte {
	b := make([]byte, 0, doneHeaderSize+len(e.hash))
	b = binary.BigEndian.AppendUint64(b, uint64(e.at.Unix()))
	b = append(b, byte(min(e.reach, 255)))
	return append(b, e.hash...)
}

func decodeDone(key string, b []byte) (entry, error) {
	if len(b) < doneHeaderSize {
		return entry{}, &EntryError{key, "truncated"}
	}
	e, err := decodeTodo(key, b[doneHeaderSize:])
	e.at = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	e.reach = int(b[8])
	return e, err
}

func decodeTodo(key string, b []byte) (entry, error) {
	hash, err := multihash.Cast(b)
	if err != nil {
		return entry{}, &EntryError{key, err.Error()}
	}
	return entry{hash: hash}, nil
}

// load counts what is there, once.
func (j *journal) load(ctx context.Context) error {
	j.change.Lock()
	defer j.change.Unlock()
	j.mu.Lock()
	loaded := j.loaded
	j.mu.Unlock()
	if loaded {
		return nil
	}
	var n [2]int
	for i, root := range []string{journalTodo, journalDone} {
		for _, part := range parts(root, 1) {
			q := query.Query{Prefix: part, KeysOnly: true}
			for _, err := range ds.QueryIter(ctx, j.store, q) {
				if err != nil {
					return err
				}
				n[i]++
			}
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.todo, j.done, j.loaded = n[0], n[1], true
	j.grown()
	return nil
}

// sizes are zero until the journal was loaded.
func (j *journal) sizes() (done, todo int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.done, j.todo
}

// add makes the hashes durable as work to do.
func (j *journal) add(ctx context.Context, hashes []multihash.Multihash) error {
	return j.applyDurably(ctx, len(hashes), func(b *change, i int) error {
		return b.put(ctx, todoKey(keyspace.Of(hashes[i])), hashes[i])
	})
}

// finish notes that the entries' records have been sent, except of those that
// were removed meanwhile. It need not be durable: what is forgotten is sent
// again.
func (j *journal) finish(ctx context.Context, entries []entry) error {
	j.change.Lock()
	defer j.change.Unlock()
	var kept []entry
	for _, e := range entries {
		waits, err := j.store.Has(ctx, todoKey(keyspace.Of(e.hash)))
		if err != nil {
			return err
		}
		if waits {
			kept = append(kept, e)
		}
	}
	err := j.apply(ctx, len(kept), func(b *change, i int) error {
		return b.put(ctx, doneKey(keyspace.Of(kept[i].hash)), encodeDone(kept[i]))
	})
	if err != nil {
		return err
	}
	return j.apply(ctx, len(kept), func(b *change, i int) error {
		return b.delete(ctx, todoKey(keyspace.Of(kept[i].hash)))
	})
}

// remove durably forgets the hashes.
func (j *journal) remove(ctx context.Context, hashes []multihash.Multihash) error {
	return j.applyDurably(ctx, len(hashes), func(b *change, i int) error {
		k := keyspace.Of(hashes[i])
		return errors.Join(b.delete(ctx, todoKey(k)), b.delete(ctx, doneKey(k)))
	})
}

// pending yields what waits for its first provide.
func (j *journal) pending(ctx context.Context) iter.Seq2[entry, error] {
	_, n := j.sizes()
	return j.scan(ctx, journalTodo, n, decodeTodo)
}

// provided yields what has been provided. path is journalDone or below it.
func (j *journal) provided(ctx context.Context, path string) iter.Seq2[entry, error] {
	n, _ := j.sizes()
	return j.scan(ctx, path, n, decodeDone)
}

// scan yields the entries below path, of which there are at most n. An entry
// that cannot be read is one error among the entries: it must not keep the
// others from being provided.
func (j *journal) scan(ctx context.Context, path string, n int, decode func(string, []byte) (entry, error)) iter.Seq2[entry, error] {
	depth := 0
	for ; n > scanMax && depth < pathDigits; n /= 16 { // keys are spread evenly
		depth++
	}
	return func(yield func(entry, error) bool) {
		for _, part := range parts(path, depth) {
			for r, err := range ds.QueryIter(ctx, j.store, query.Query{Prefix: part}) {
				var e entry
				if err == nil {
					e, err = decode(r.Key, r.Value)
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

// parts lists the subtrees of path that begin depth digits below the journal's
// root, or path itself if it lies as deep.
func parts(path string, depth int) []string {
	const rootComponents = 2
	if strings.Count(path, "/")-rootComponents >= depth {
		return []string{path}
	}
	var all []string
	for _, digit := range "0123456789abcdef" {
		all = append(all, parts(path+"/"+string(digit), depth)...)
	}
	return all
}

// applyDurably takes the journal for itself, and returns when the changes are
// on durable storage.
func (j *journal) applyDurably(ctx context.Context, n int, step func(*change, int) error) error {
	if n == 0 {
		return nil
	}
	j.change.Lock()
	defer j.change.Unlock()
	if err := j.apply(ctx, n, step); err != nil {
		return err
	}
	return j.store.Sync(ctx, ds.NewKey("/journal"))
}

// apply runs step for 0…n-1 in batches of bounded size. j.change is held.
func (j *journal) apply(ctx context.Context, n int, step func(*change, int) error) error {
	for begin := 0; begin < n; begin += journalBatchMax {
		batch, err := j.store.Batch(ctx)
		if err != nil {
			return err
		}
		b := &change{store: j.store, batch: batch, seen: make(map[ds.Key]bool)}
		for i := begin; i < min(n, begin+journalBatchMax); i++ {
			if err := step(b, i); err != nil {
				return err
			}
		}
		if err := batch.Commit(ctx); err != nil {
			return err
		}
		j.mu.Lock()
		j.todo += b.todo
		j.done += b.done
		j.grown()
		j.mu.Unlock()
	}
	return nil
}

// change is one batch and what it does to the journal's sizes.
type change struct {
	store      ds.Batching
	batch      ds.Batch
	seen       map[ds.Key]bool // what this batch makes of a key: there or not
	todo, done int
}

func (c *change) put(ctx context.Context, k ds.Key, value []byte) error {
	if err := c.count(ctx, k, true); err != nil {
		return err
	}
	return c.batch.Put(ctx, k, value)
}

func (c *change) delete(ctx context.Context, k ds.Key) error {
	if err := c.count(ctx, k, false); err != nil {
		return err
	}
	return c.batch.Delete(ctx, k)
}

func (c *change) count(ctx context.Context, k ds.Key, after bool) error {
	before, known := c.seen[k]
	if !known {
		var err error
		if before, err = c.store.Has(ctx, k); err != nil {
			return err
		}
	}
	c.seen[k] = after
	n := 0
	switch {
	case after && !before:
		n = 1
	case before && !after:
		n = -1
	}
	if strings.HasPrefix(k.String(), journalTodo) {
		c.todo += n
	} else {
		c.done += n
	}
	return nil
}
