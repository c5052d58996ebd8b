package dht

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/multiformats/go-multihash"
)

const (
	// freshMax is how many newly journalled CIDs are remembered in memory so that
	// they overtake the backlog; beyond that they are backlog themselves.
	freshMax = 4096
	// backlogPageMax is how many CIDs of the backlog are in memory at once.
	backlogPageMax = 16384

	retryMin        = time.Second // between two attempts
	retryMax        = 10 * time.Minute
	growthInterval  = 30 * time.Second // between two looks at the table's size
	peersPollPeriod = 50 * time.Millisecond
)

// fresh is a bounded queue in front of the journal's backlog.
type fresh struct {
	wake     chan struct{} // there are hashes
	overflow chan struct{} // there is backlog

	mu     sync.Mutex // guards hashes
	hashes []multihash.Multihash
}

func newFresh() fresh {
	return fresh{wake: make(chan struct{}, 1), overflow: make(chan struct{}, 1)}
}

func (f *fresh) add(hashes []multihash.Multihash) {
	f.mu.Lock()
	n := min(len(hashes), freshMax-len(f.hashes))
	f.hashes = append(f.hashes, hashes[:n]...)
	f.mu.Unlock()
	if n > 0 {
		signal(f.wake)
	}
	if n < len(hashes) {
		signal(f.overflow)
	}
}

func (f *fresh) take() []multihash.Multihash {
	f.mu.Lock()
	defer f.mu.Unlock()
	hashes := f.hashes
	f.hashes = nil
	return hashes
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// provideFresh provides what was just journalled, before any backlog.
func (d *DHT) provideFresh(ctx context.Context, c *core) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.fresh.wake:
		}
		if waitPeers(ctx, c) != nil {
			return
		}
		hashes := d.fresh.take()
		if done := d.provideAll(ctx, c, hashes); done < len(hashes) {
			signal(d.fresh.overflow)
		}
	}
}

// provideBacklog provides what an earlier run, an overflow or a failure left in
// the journal. While attempts fail it waits ever longer between them.
func (d *DHT) provideBacklog(ctx context.Context, c *core) {
	signal(d.fresh.overflow)
	growth := time.NewTicker(growthInterval)
	defer growth.Stop()
	thinAt := 0
	for attempt := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-growth.C:
			thinAt = d.provideThin(ctx, c, thinAt)
			continue
		case <-d.fresh.overflow:
		}
		if waitPeers(ctx, c) != nil {
			return
		}
		hashes := d.backlogPage(ctx)
		if len(hashes) == 0 {
			continue
		}
		done := d.provideAll(ctx, c, hashes)
		if done == len(hashes) && done < backlogPageMax {
			attempt = 0
			continue
		}
		signal(d.fresh.overflow)
		if done > 0 {
			attempt = 0
			continue
		}
		attempt++
		d.waitRetry(ctx, c, attempt)
	}
}

func (d *DHT) backlogPage(ctx context.Context) []multihash.Multihash {
	var hashes []multihash.Multihash
	for e, err := range d.journal.pending(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				d.log.Warn("read provider journal", "error", err)
			}
			continue
		}
		if hashes = append(hashes, e.hash); len(hashes) == backlogPageMax {
			break
		}
	}
	return hashes
}

// provideThin puts back to work the records that fewer peers took than would
// take them now: they were sent while the network was still small. It looks
// when the table has doubled, until it holds all the replicas of a key.
func (d *DHT) provideThin(ctx context.Context, c *core, before int) int {
	size := min(c.RoutingTable().Size(), replicas)
	if size <= before || size < replicas && size < 2*before {
		return before
	}
	var thin []multihash.Multihash
	for e, err := range d.journal.provided(ctx, journalDone) {
		if err == nil && 2*e.reach <= size {
			thin = append(thin, e.hash)
		}
		if len(thin) == backlogPageMax {
			size = before // there are more: look again next time
			break
		}
	}
	if len(thin) == 0 {
		return size
	}
	if err := d.journal.add(ctx, thin); err != nil && ctx.Err() == nil {
		d.log.Warn("provide again in a larger network", "error", err)
		return before
	}
	signal(d.fresh.overflow)
	return size
}

// waitRetry waits for the backoff of an attempt, or until a routing table that
// was low has grown.
func (d *DHT) waitRetry(ctx context.Context, c *core, attempt int) {
	deadline := time.NewTimer(backoff(attempt, retryMin, retryMax))
	defer deadline.Stop()
	tick := time.NewTicker(retryMin)
	defer tick.Stop()
	size := c.RoutingTable().Size()
	for size >= tableLow || c.RoutingTable().Size() <= size {
		select {
		case <-ctx.Done():
			return
		case <-deadline.C:
			return
		case <-tick.C:
		}
	}
}

// backoff doubles from least to most, and is spread evenly over ±50 % so that
// peers that failed together do not come back together.
func backoff(attempt int, least, most time.Duration) time.Duration {
	wait := most
	if attempt < 32 {
		wait = min(most, least<<max(0, attempt-1))
	}
	return wait/2 + rand.N(wait)
}

// waitPeers returns once the routing table has a peer. kad-dht says nowhere
// when that happens, so it is asked.
func waitPeers(ctx context.Context, c *core) error {
	if c.RoutingTable().Size() > 0 {
		return ctx.Err()
	}
	tick := time.NewTicker(peersPollPeriod)
	defer tick.Stop()
	for c.RoutingTable().Size() == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
