package dht

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

const (
	// replicas is how many peers are asked to keep each record.
	replicas = amino.DefaultBucketSize
	// reuseMin is how many of the nearest peers a lookup for another key must
	// have proven, for its result to be used instead of a lookup of one's own.
	reuseMin = replicas / 2

	// freshMax is how many newly journalled CIDs are remembered in memory so that
	// they overtake the backlog; beyond that they are backlog themselves.
	freshMax = 4096
	// backlogPageMax is how many CIDs of the backlog are in memory at once.
	backlogPageMax = 16384
	// provideWorkers is how many lookups for providing run at once, for fresh
	// CIDs and for the backlog each.
	provideWorkers = 4
	// finishedMax is how many sent records are noted in the journal together.
	finishedMax = 128

	provideTimeout  = 2 * time.Minute  // one lookup
	sendTimeout     = 10 * time.Second // one record to one peer
	retryMin        = time.Second      // between two attempts
	retryMax        = 10 * time.Minute
	growthInterval  = 30 * time.Second // between two looks at the table's size
	peersPollPeriod = 50 * time.Millisecond
)

// errFewTookIt is an attempt to provide that may be tried again.
var errFewTookIt = errors.New("fewer than half of the nearest peers took the record")

// Provide promises that this node has the blocks. It returns once the promise
// is durable in the journal; the records are sent in the background, at once if
// there are peers, else when there are, and again before they expire.
func (d *DHT) Provide(ctx context.Context, cids ...cid.Cid) error {
	hashes := hashesOf(cids)
	if err := d.journal.add(ctx, hashes); err != nil {
		return fmt.Errorf("journal %d provided CIDs: %w", len(hashes), err)
	}
	d.fresh.add(hashes)
	return nil
}

// Unprovide ends the promise: the CIDs leave the journal durably. Records that
// others hold expire by themselves within 48 hours.
func (d *DHT) Unprovide(ctx context.Context, cids ...cid.Cid) error {
	hashes := hashesOf(cids)
	if err := d.journal.remove(ctx, hashes); err != nil {
		return fmt.Errorf("remove %d provided CIDs: %w", len(hashes), err)
	}
	return nil
}

// hashesOf drops identity CIDs, which everyone has.
func hashesOf(cids []cid.Cid) []multihash.Multihash {
	hashes := make([]multihash.Multihash, 0, len(cids))
	for _, c := range cids {
		if c.Defined() && c.Prefix().MhType != multihash.IDENTITY {
			hashes = append(hashes, c.Hash())
		}
	}
	return hashes
}

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
// the journal. While attempts fail it waits ever longer between them; a change
// of the table's size ends the wait, because then the network has changed.
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

// provideAll tries every hash once and returns how many succeeded. Neighbours
// in the key space are provided in a row, so that one lookup serves many.
func (d *DHT) provideAll(ctx context.Context, c *core, hashes []multihash.Multihash) int {
	work := make([]item, len(hashes))
	for i, h := range hashes {
		work[i] = item{h, keyspace.Of(h)}
	}
	slices.SortFunc(work, func(a, b item) int { return keyspace.Compare(a.key, b.key) })
	work = slices.CompactFunc(work, func(a, b item) bool { return a.key == b.key })

	share := max(1, (len(work)+provideWorkers-1)/provideWorkers)
	var done [provideWorkers]int
	var tasks errgroup.Group
	for i := 0; i*share < len(work); i++ {
		part := work[i*share : min(len(work), (i+1)*share)]
		tasks.Go(func() error {
			done[i] = d.provideRow(ctx, c, part)
			return nil
		})
	}
	_ = tasks.Wait() // the tasks return nil
	total := len(hashes) - len(work)
	for _, n := range done {
		total += n
	}
	return total
}

type item struct {
	hash multihash.Multihash
	key  keyspace.Key
}

// provideRow provides items in the order of their keys and notes successes in
// the journal a few at a time.
func (d *DHT) provideRow(ctx context.Context, c *core, row []item) (done int) {
	var near nearby
	var sent []entry
	note := func() {
		d.finish(ctx, sent)
		done += len(sent)
		sent = sent[:0]
	}
	for _, it := range row {
		reach, err := d.provideOne(ctx, c, it, &near)
		if err != nil {
			d.counts.failed.Add(1)
			if ctx.Err() != nil {
				break
			}
			d.log.Debug("provide", "hash", it.hash.B58String(), "error", err)
			if len(near.peers) == 0 {
				break // nobody answers: the rest waits for the next attempt
			}
			continue
		}
		sent = append(sent, entry{hash: it.hash, at: time.Now(), reach: reach})
		if len(sent) == finishedMax {
			note()
		}
	}
	note()
	return done
}

func (d *DHT) finish(ctx context.Context, sent []entry) {
	if len(sent) == 0 {
		return
	}
	d.counts.provided.Add(uint64(len(sent)))
	// What was sent is noted even when the DHT is stopping.
	if err := d.journal.finish(context.WithoutCancel(ctx), sent); err != nil {
		d.log.Warn("note provided CIDs", "count", len(sent), "error", err)
		return
	}
	d.schedule(sent)
}

// nearby is what the last lookup of a row has found.
type nearby struct {
	region keyspace.Region
	peers  []peer.ID
}

// provideOne sends one record to the peers nearest to it and returns how many
// took it.
func (d *DHT) provideOne(ctx context.Context, c *core, it item, near *nearby) (reach int, err error) {
	// Peers that ask this node itself must hear of it, whoever else does.
	self := peer.AddrInfo{ID: d.host.ID(), Addrs: c.FilteredAddrs()}
	if err := c.ProviderStore().AddProvider(ctx, it.hash, self); err != nil {
		return 0, err
	}
	if near.region.Exact(it.key) < min(reuseMin, max(1, len(near.peers))) {
		*near, err = lookupNearby(ctx, c, it)
		if err != nil {
			return 0, err
		}
	}
	var took [replicas]bool
	var tasks errgroup.Group
	order := near.region.Nearest(it.key)
	for i, n := range order[:min(len(order), replicas)] {
		tasks.Go(func() error {
			sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			took[i] = c.messenger.PutProviderAddrs(sendCtx, near.peers[n], it.hash, self) == nil
			return nil
		})
	}
	_ = tasks.Wait() // the tasks return nil
	for _, ok := range took {
		if ok {
			reach++
		}
	}
	if reach == 0 || 2*reach < min(len(order), replicas) {
		return reach, fmt.Errorf("%w: %d of %d", errFewTookIt, reach, len(order))
	}
	return reach, nil
}

func lookupNearby(ctx context.Context, c *core, it item) (nearby, error) {
	ctx, cancel := context.WithTimeout(ctx, provideTimeout)
	defer cancel()
	peers, err := c.GetClosestPeers(ctx, string(it.hash))
	if err != nil {
		return nearby{}, err
	}
	if len(peers) == 0 {
		return nearby{}, ErrNoPeers
	}
	keys := make([]keyspace.Key, len(peers))
	for i, p := range peers {
		keys[i] = keyspace.Of([]byte(p))
	}
	return nearby{keyspace.NewRegion(it.key, keys, replicas), peers}, nil
}

// waitRetry waits for the backoff of an attempt, or until the routing table's
// size changes.
func (d *DHT) waitRetry(ctx context.Context, c *core, attempt int) {
	deadline := time.NewTimer(backoff(attempt, retryMin, retryMax))
	defer deadline.Stop()
	tick := time.NewTicker(retryMin)
	defer tick.Stop()
	for size := c.RoutingTable().Size(); size == c.RoutingTable().Size(); {
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
