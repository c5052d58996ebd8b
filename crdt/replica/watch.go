package replica

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Delta says that something in a document has changed.
type Delta struct {
	// Path is where: keys, from the document down. None means anywhere, or roles.
	Path []string
	// Kind is what is there, or 0 without a path. What is in a map may have changed with it.
	Kind commit.Kind
	// Author is who changed it, or the zero Author for several.
	Author commit.Author
	// Local tells that it was changed by this node.
	Local bool
	// Voided tells that what the author did there has no effect any more, because the author
	// was removed before others knew of it, or as it is outside of a horizon.
	Voided bool
}

// deltasMax is how many deltas wait for a watcher. When there are more, they become one.
const deltasMax = 256

// watcher is somebody who wants to know of changes.
type watcher struct {
	wake chan struct{} // a token when there is something
	// The following are guarded by the document's mu.
	order []Delta
	seen  map[string]bool
	any   bool // something has changed anywhere
}

// put adds deltas. The document's mu is held.
func (w *watcher) put(deltas []Delta) {
	if len(deltas) == 0 {
		return
	}
	for _, x := range deltas {
		if w.any || w.seen[x.key()] {
			continue
		}
		if len(w.order) == deltasMax {
			w.order, w.any = []Delta{{}}, true
			clear(w.seen)
			continue
		}
		w.order = append(w.order, x)
		w.seen[x.key()] = true
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// key is the same for deltas that say the same.
func (x Delta) key() string {
	b := []byte{0, byte(x.Kind)}
	if x.Local {
		b[0] |= 1
	}
	if x.Voided {
		b[0] |= 2
	}
	b = append(b, x.Author[:]...)
	for _, k := range x.Path {
		b = append(append(b, 0), strings.ReplaceAll(k, "\x00", "\x00\x01")...)
	}
	return string(b)
}

// Watch yields what changes, from the beginning of the iteration until ctx ends, or with
// ErrClosed, or ErrUnknown if the document is forgotten. The first delta comes at once and has no path: whoever looks at the document only
// then misses nothing. Who is slow gets what has changed meanwhile once, and if it is too much
// a delta without a path; the document does not wait.
func (d *Doc) Watch(ctx context.Context) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		w := &watcher{wake: make(chan struct{}, 1), seen: make(map[string]bool)}
		d.mu.Lock()
		d.watchers[w] = struct{}{}
		w.put([]Delta{{}})
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			delete(d.watchers, w)
			d.mu.Unlock()
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case <-d.replica.closed:
				yield(Delta{}, ErrClosed)
				return
			case <-d.gone:
				yield(Delta{}, ErrUnknown)
				return
			case <-w.wake:
			}
			for _, x := range d.drain(w) {
				if ctx.Err() != nil || !yield(x, nil) {
					return
				}
			}
		}
	}
}

// drain takes what waits for a watcher.
func (d *Doc) drain(w *watcher) []Delta {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := w.order
	w.order, w.any = nil, false
	clear(w.seen)
	return list
}

// deltas are what a step has changed, if anybody wants to know.
func (d *Doc) deltas(ctx context.Context, c *change) []Delta {
	d.mu.Lock()
	watched := len(d.watchers) > 0
	d.mu.Unlock()
	if !watched {
		return nil
	}
	var list []Delta
	for _, b := range c.own {
		list = appendDeltas(list, b, Delta{Local: true})
	}
	for _, b := range c.report.Applied {
		list = appendDeltas(list, b, Delta{})
	}
	for _, id := range slices.Concat(c.report.Void, c.report.Outside) {
		b, err := d.replica.store.block(ctx, id)
		if err != nil {
			return []Delta{{}} // look at everything
		}
		list = appendDeltas(list, b, Delta{Voided: true})
	}
	return list
}

// appendDeltas adds those of a commit, one for each object that it changes.
func appendDeltas(list []Delta, b block.Block, like Delta) []Delta {
	c, _, err := commit.Decode(b)
	if err != nil {
		return list // it could not have been applied
	}
	like.Author = c.Author
	data := c.Ops
	if c.Gen == 1 {
		data = data[min(crdt.NonceSize, len(data)):]
	}
	ops, err := commit.ParseOps(data)
	if err != nil {
		return list
	}
	paths := make([][]string, len(ops.Objects))
	for i, o := range ops.Objects {
		if o.Parent >= 0 {
			paths[i] = append(paths[i], paths[o.Parent]...)
		}
		paths[i] = append(paths[i], o.Key)
	}
	said := make(map[int]bool)
	for op := range ops.All() {
		if said[op.Object] {
			continue
		}
		said[op.Object] = true
		x := like
		if op.Object >= 0 {
			x.Path, x.Kind = paths[op.Object], ops.Objects[op.Object].Kind
		}
		list = append(list, x)
	}
	return list
}
