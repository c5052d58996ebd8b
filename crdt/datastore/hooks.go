package datastore

import (
	"context"
	"hash/maphash"

	ds "github.com/ipfs/go-datastore"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// hooks tell what changes. They know of each key that is there what they have told, so that nothing
// is told twice, and nothing is missed when the document says that anything may have changed.
type hooks struct {
	o    Options
	doc  *replica.Doc
	seed maphash.Seed
	told map[ds.Key]uint64 // hashes of values
}

// newHooks are hooks that know what is there.
func newHooks(ctx context.Context, doc *replica.Doc, o Options) (*hooks, error) {
	if o.PutHook == nil {
		o.PutHook = func(ds.Key, []byte) {}
	}
	if o.DeleteHook == nil {
		o.DeleteHook = func(ds.Key) {}
	}
	h := &hooks{o: o, doc: doc, seed: maphash.MakeSeed(), told: make(map[ds.Key]uint64)}
	fields, err := doc.Fields(ctx)
	for _, f := range fields {
		if k, value, ok := entry(f); ok {
			h.told[k] = maphash.String(h.seed, value)
		}
	}
	return h, err
}

// watch tells what changes until ctx ends, or the document is closed.
func (h *hooks) watch(ctx context.Context) {
	for delta, err := range h.doc.Watch(ctx) {
		switch {
		case err != nil:
			return
		case delta.Kind == commit.Register:
			if h.look(ctx, delta.Path) != nil {
				return
			}
		case len(delta.Path) == 0 || delta.Kind == commit.Map: // which may have been removed
			if h.compare(ctx) != nil {
				return
			}
		}
	}
}

// look tells of a register if it has changed.
func (h *hooks) look(ctx context.Context, path []string) error {
	k, ok := keyOf(path)
	if !ok {
		return nil
	}
	f, ok, err := h.doc.Field(ctx, path...)
	if err != nil {
		return err
	}
	if !ok {
		h.remove(k)
	} else if value, ok := f.Bytes(); ok {
		h.put(k, value)
	} else {
		h.remove(k)
	}
	return nil
}

// compare tells of all that has changed.
func (h *hooks) compare(ctx context.Context) error {
	fields, err := h.doc.Fields(ctx)
	if err != nil {
		return err
	}
	there := make(map[ds.Key]bool, len(fields))
	for _, f := range fields {
		if k, value, ok := entry(f); ok {
			there[k] = true
			h.put(k, value)
		}
	}
	var gone []ds.Key
	for k := range h.told {
		if !there[k] {
			gone = append(gone, k)
		}
	}
	for _, k := range gone {
		h.remove(k)
	}
	return nil
}

// put tells what a key holds, if it is something else than before.
func (h *hooks) put(k ds.Key, value string) {
	hash := maphash.String(h.seed, value)
	if before, ok := h.told[k]; !ok || before != hash {
		h.told[k] = hash
		h.o.PutHook(k, []byte(value))
	}
}

// remove tells that a key is gone, if it was there.
func (h *hooks) remove(k ds.Key) {
	if _, ok := h.told[k]; ok {
		delete(h.told, k)
		h.o.DeleteHook(k)
	}
}
