package dht

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

const (
	// freshMax is how many newly journalled CIDs are remembered in memory so that
	// they overtake the backlog; beyond that they are backlog themselves.
	freshMax = 1024
	// bulkMin is from how many CIDs at once they are backlog from the start, so
	// that a large import does not stand in the way of what comes after it.
	bulkMin = 64
	// backlogPageMax is how many CIDs of the backlog are in memory at once.
	backlogPageMax = 16384

	retryMin       = time.Second // between two attempts
	retryMax       = 10 * time.Minute
	growthInterval = 30 * time.Second // between two looks at the table's size
	// thinRetryMax is the longest wait before records are sent again that few took.
	thinRetryMax    = 2 * time.Minute
	peersPollPeriod = 50 * time.Millisecond
	// outagePause is the least wait before the end of an outage ends a backoff.
	outagePause = 10 * time.Second
)

// fresh is a bounded queue in front of the journal's backlog.
type fresh struct {
	wake    chan struct{} // there are hashes
	backlog chan struct{} // there is backlog

	mu     sync.Mutex // guards hashes
	hashes []multihash.Multihash
}

func newFresh() fresh {
	return fresh{wake: make(chan struct{}, 1), backlog: make(chan struct{}, 1)}
}

func (f *fresh) add(hashes []multihash.Multihash) {
	f.mu.Lock()
	fits := len(hashes) < bulkMin && len(f.hashes)+len(hashes) <= freshMax
	if fits {
		f.hashes = append(f.hashes, hashes...)
	}
	f.mu.Unlock()
	if fits {
		signal(f.wake)
	} else {
		signal(f.backlog)
	}
}

// take returns the oldest hash, nil if there is none.
func (f *fresh) take() multihash.Multihash {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.hashes) == 0 {
		return nil
	}
	h := f.hashes[0]
	f.hashes = f.hashes[1:]
	if len(f.hashes) > 0 {
		signal(f.wake) // for the next worker
	}
	return h
}

// clear leaves it all to the backlog.
func (f *fresh) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashes = nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// provideFresh provides what was just journalled, beside any backlog.
func (d *DHT) provideFresh(ctx context.Context, c *core) {
	var workers sync.WaitGroup
	for range provideWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-d.fresh.wake:
				}
				if waitPeers(ctx, c) != nil {
					return
				}
				h := d.fresh.take()
				if h != nil && d.provideRow(ctx, c, []item{{h, keyspace.Of(h)}}) == 0 {
					signal(d.fresh.backlog)
				}
			}
		})
	}
	workers.Wait()
}

// provideBacklog provides what an earlier run, an import or a failure left in
// the journal. While attempts fail it waits ever longer between them.
func (d *DHT) provideBacklog(ctx context.Context, c *core) {
	signal(d.fresh.backlog)
	growth := time.NewTicker(growthInterval)
	defer growth.Stop()
	thinAt := 0
	var again thinRetry
	for attempt := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-growth.C:
			if again.due(&d.thin) {
				thinAt = 0
			}
			thinAt = d.provideThin(ctx, c, thinAt)
			continue
		case <-d.fresh.backlog:
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
		signal(d.fresh.backlog)
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
// take them now: they were sent while the network was still small, or while most of it
// was cut off. It looks when the table has doubled, until it holds all the replicas of a
// key, and when a record was sent to few. It returns the size to grow from, which is
// before unless it has looked or the table has lost half of its peers.
func (d *DHT) provideThin(ctx context.Context, c *core, before int) int {
	size := min(c.RoutingTable().Size(), replicas)
	if 2*size <= before {
		return size
	}
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
	signal(d.fresh.backlog)
	return size
}

// thinRetry says when records are looked for that few took although the table has more:
// that part of the network was cut off then, and may not be now.
type thinRetry struct {
	wait time.Duration
	next time.Time
}

// due tells whether they are to be looked for now. thin tells that one was sent.
func (r *thinRetry) due(thin *atomic.Bool) bool {
	if !thin.Load() {
		r.wait = 0
		return false
	}
	if time.Now().Before(r.next) {
		return false
	}
	r.wait = min(max(2*r.wait, growthInterval), thinRetryMax)
	r.next = time.Now().Add(r.wait)
	thin.Store(false)
	return true
}

// waitRetry waits for the backoff of an attempt, or until a routing table that
// was low has grown, or the network seems to be whole again.
func (d *DHT) waitRetry(ctx context.Context, c *core, attempt int) {
	began, peers := time.Now(), func() int { return len(d.host.Network().Peers()) }
	cut := outage{lowest: peers()}
	deadline := time.NewTimer(backoff(attempt, retryMin, retryMax))
	defer deadline.Stop()
	tick := time.NewTicker(retryMin)
	defer tick.Stop()
	size := c.RoutingTable().Size()
	for size >= tableLow || c.RoutingTable().Size() <= size {
		if cut.over(peers()) && time.Since(began) >= outagePause {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-deadline.C:
			return
		case <-tick.C:
		}
	}
}

// outage tells from the number of connected peers when a network that was cut may be whole
// again: it is half as large again as it was at its worst.
type outage struct{ lowest int }

func (o *outage) over(peers int) bool {
	o.lowest = min(o.lowest, peers)
	return peers >= o.lowest+max(2, o.lowest/2)
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
	return poll(ctx, func() bool { return c.RoutingTable().Size() > 0 })
}

// poll returns once something is so that nobody tells, or with the context's error.
func poll(ctx context.Context, so func() bool) error {
	if so() {
		return ctx.Err()
	}
	tick := time.NewTicker(peersPollPeriod)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
