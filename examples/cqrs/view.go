package main

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/p2pnode/p2pnode/crdt/replica"
)

// View is the stock of each item: what the log says, as one wants to ask it. It is in memory, it
// can be thrown away at any time, and any number of other views can be made of the same log.
type View struct {
	mu      sync.Mutex // guards the following
	seen    map[string]bool
	stock   map[string]int64
	changed chan struct{} // closed when there is more to see, and replaced
}

// NewView is a view in which nothing has happened yet.
func NewView() *View {
	return &View{seen: make(map[string]bool), stock: make(map[string]int64), changed: make(chan struct{})}
}

// Follow keeps the view up to date with a log until ctx ends.
//
// A delta with a path names the event that has come, and each event is counted once, however
// often it is named. A delta without a path says that anything may have changed: the first one
// does, and one for who was slow. An event that is voided, because its writer was removed, may
// have been counted. In these cases the view is built again.
func (v *View) Follow(ctx context.Context, doc *replica.Doc) error {
	for delta, err := range doc.Watch(ctx) {
		if err != nil {
			return err
		}
		if len(delta.Path) != 2 || delta.Voided {
			err = v.rebuild(ctx, doc)
		} else {
			err = v.add(ctx, doc, delta.Path[1])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rebuild forgets everything and reads the whole log.
func (v *View) rebuild(ctx context.Context, doc *replica.Doc) error {
	log, _, err := doc.Get(ctx, "events")
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.seen)
	clear(v.stock)
	events, _ := log.(map[string]any)
	for id, data := range events {
		v.count(id, data)
	}
	v.wake()
	return nil
}

// add reads one event.
func (v *View) add(ctx context.Context, doc *replica.Doc, id string) error {
	data, _, err := doc.Get(ctx, "events", id)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count(id, data)
	v.wake()
	return nil
}

// count counts an event, unless it was counted or is none. mu is held.
func (v *View) count(id string, data any) {
	event, ok := decode(data)
	if !ok || v.seen[id] {
		return
	}
	v.seen[id] = true
	v.stock[event.Item] += event.Change
}

// wake wakes who waits. mu is held.
func (v *View) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// Stock tells how much there is of each item.
func (v *View) Stock() map[string]int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.stock)
}

// Low lists the items of which there are fewer than n, by name.
func (v *View) Low(n int64) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var items []string
	for item, have := range v.stock {
		if have < n {
			items = append(items, item)
		}
	}
	slices.Sort(items)
	return items
}

// Await waits until so many events have been counted.
func (v *View) Await(ctx context.Context, events int) error {
	for {
		v.mu.Lock()
		have, changed := len(v.seen), v.changed
		v.mu.Unlock()
		if have >= events {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
