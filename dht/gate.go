package dht

import (
	"context"
	"fmt"
	"sync"
)

// lookupsMax is how many lookups run at once; further callers wait for a slot.
// A lookup keeps up to ten requests in flight.
const lookupsMax = 128

// gate lets lookups in while the DHT runs, and on closing ends those inside and
// waits for them, so that kad-dht is never used after it was closed.
type gate struct {
	slots chan struct{}

	mu     sync.Mutex // guards the following
	core   *core
	next   int
	inside map[int]context.CancelFunc
	left   *sync.Cond // a lookup has ended
}

func newGate() gate {
	return gate{slots: make(chan struct{}, lookupsMax), inside: make(map[int]context.CancelFunc)}
}

func (g *gate) open(c *core) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.core = c
	g.left = sync.NewCond(&g.mu)
}

// enter returns a context that also ends when the DHT stops, and what must be
// called when the lookup is over.
func (g *gate) enter(ctx context.Context) (context.Context, *core, func(), error) {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, nil, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.core == nil {
		<-g.slots
		return nil, nil, nil, fmt.Errorf("%w: the DHT is not running", ErrNoPeers)
	}
	ctx, cancel := context.WithCancel(ctx)
	id := g.next
	g.next++
	g.inside[id] = cancel
	return ctx, g.core, func() { g.leave(id, cancel) }, nil
}

func (g *gate) leave(id int, cancel context.CancelFunc) {
	cancel()
	<-g.slots
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, id)
	g.left.Broadcast()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.core = nil
	for _, cancel := range g.inside {
		cancel()
	}
	for len(g.inside) > 0 {
		g.left.Wait()
	}
}

// peek returns what runs, nil if nothing does, and how many lookups are inside.
func (g *gate) peek() (*core, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core, len(g.inside)
}
