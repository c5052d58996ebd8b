package scenario

import (
	"context"
	"fmt"
	"sync"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// member is a peer and what it must not lose.
type member struct {
	mixed *mixed
	p     *sim.Peer
	home  fabric.Line // its line when nothing is wrong

	mu      sync.Mutex // guards the following
	moving  bool       // it is about to leave or to return
	kept    []file     // added or pinned, and acknowledged
	changes map[int]context.CancelFunc
	next    int
	changed sync.WaitGroup
	topic   *newsTopic // nil while it does not run
}

// How a peer may leave.
type leaving int

const (
	inOrder  leaving = iota
	byCrash          // without a goodbye
	diskLost         // the same, and it has nothing any more
)

func (w *member) String() string { return w.p.String() }

// start opens the peer's node and has it listen to the news.
func (w *member) start(ctx context.Context) error {
	if err := w.p.Start(ctx); err != nil {
		return err
	}
	topic, err := w.mixed.listen(ctx, w)
	if err != nil {
		return fmt.Errorf("%s listens: %w", w, err)
	}
	w.mu.Lock()
	w.topic = topic
	w.mu.Unlock()
	return nil
}

// claim takes the peer for leaving or returning; only one may.
func (w *member) claim(up bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moving || up != (w.p.Node() != nil) {
		return false
	}
	w.moving = true
	return true
}

func (w *member) unclaim() {
	w.mu.Lock()
	w.moving = false
	w.mu.Unlock()
}

// here tells whether the peer runs, and is to run on for now.
func (w *member) here() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.moving && w.p.Node() != nil
}

// change begins something that alters what the peer keeps. A process that is gone
// writes no more, so leave ends ctx and waits for done; ok is false if it is leaving.
func (w *member) change(ctx context.Context) (_ context.Context, done func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moving || w.p.Node() == nil {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	if w.changes == nil {
		w.changes = make(map[int]context.CancelFunc)
	}
	id := w.next
	w.next++
	w.changes[id] = cancel
	w.changed.Add(1)
	return ctx, func() {
		cancel()
		w.mu.Lock()
		delete(w.changes, id)
		w.mu.Unlock()
		w.changed.Done()
	}, true
}

// busy tells whether the peer is adding something.
func (w *member) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changes) > 0
}

// keep notes that the peer has acknowledged a file.
func (w *member) keep(f file) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.kept {
		if k.root.Equals(f.root) {
			return
		}
	}
	w.kept = append(w.kept, f)
}

func (w *member) keeps() []file {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]file(nil), w.kept...)
}

// leave takes the peer away, which was claimed.
func (w *member) leave(way leaving) error {
	w.mu.Lock()
	for _, cancel := range w.changes {
		cancel()
	}
	w.topic = nil
	w.mu.Unlock()
	w.changed.Wait()
	if way == inOrder {
		return w.p.Stop()
	}
	if way == diskLost {
		w.mu.Lock()
		w.kept = nil
		w.mu.Unlock()
	}
	return w.p.Crash(way == diskLost)
}

// up lists the members that are here.
func (m *mixed) up() []*member {
	var up []*member
	for _, w := range m.members {
		if w.here() {
			up = append(up, w)
		}
	}
	return up
}
