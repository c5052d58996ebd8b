package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

const (
	// replicas is how many peers are asked to keep each record.
	replicas = amino.DefaultBucketSize
	// reuseMin is how many of the nearest peers a lookup for another key must
	// have proven, for its result to be used instead of a lookup of one's own.
	reuseMin = replicas / 2
	// provideWorkers is how many lookups for providing run at once, for fresh
	// CIDs and for the backlog each.
	provideWorkers = 4
	// failuresMax is how many failures in a row make a worker leave the rest for
	// the next attempt.
	failuresMax = 4
	// finishedMax is how many sent records are noted in the journal together, and
	// how many go to a peer before it is asked whether it has kept up.
	finishedMax = 128

	provideTimeout = 2 * time.Minute  // one lookup
	sendTimeout    = 10 * time.Second // one record
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
// were sent, and what this node answers itself, expire within 48 hours.
func (d *DHT) Unprovide(ctx context.Context, cids ...cid.Cid) error {
	hashes := hashesOf(cids)
	if err := d.journal.remove(ctx, hashes); err != nil {
		return fmt.Errorf("remove %d provided CIDs: %w", len(hashes), err)
	}
	return nil
}

// hashesOf drops identity CIDs, which everyone has, and undefined ones.
func hashesOf(cids []cid.Cid) []multihash.Multihash {
	hashes := make([]multihash.Multihash, 0, len(cids))
	for _, c := range cids {
		if c.Defined() && c.Prefix().MhType != multihash.IDENTITY {
			hashes = append(hashes, c.Hash())
		}
	}
	return hashes
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
	var tasks sync.WaitGroup
	for i := 0; i*share < len(work); i++ {
		part := work[i*share : min(len(work), (i+1)*share)]
		tasks.Go(func() { done[i] = d.provideRow(ctx, c, part) })
	}
	tasks.Wait()
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
	defer func() { near.leave() }()
	var sent []entry
	var last item
	note := func() {
		if len(sent) == 0 {
			return
		}
		took := near.confirm(ctx, last)
		least := took
		for i := range sent {
			sent[i].reach = min(sent[i].reach, took)
			least = min(least, sent[i].reach)
		}
		if few(took, len(near.peers)) {
			d.log.Debug("provide", "count", len(sent), "error", fmt.Errorf("%w: %d of %d answer", errFewTookIt, took, len(near.peers)))
			d.counts.failed.Add(uint64(len(sent)))
		} else {
			if 2*least <= min(c.RoutingTable().Size(), replicas) {
				d.thin.Store(true)
			}
			d.finish(ctx, sent)
			done += len(sent)
		}
		sent = sent[:0]
	}
	provide := func(it item) (reach int, err error) {
		// Peers that ask this node itself must hear of it, whoever else does.
		self := peer.AddrInfo{ID: d.host.ID(), Addrs: c.FilteredAddrs()}
		if err := c.ProviderStore().AddProvider(ctx, it.hash, self); err != nil {
			return 0, err
		}
		if !near.serves(it.key) {
			note()
			near.leave()
			if near, err = d.lookupNearby(ctx, c, it); err != nil {
				return 0, err
			}
		}
		return near.send(ctx, it, self)
	}
	failures := 0
	for _, it := range row {
		reach, err := provide(it)
		if err == nil {
			failures = 0
			sent, last = append(sent, entry{hash: it.hash, at: time.Now(), reach: reach}), it
			if len(sent) == finishedMax {
				note()
			}
			continue
		}
		if ctx.Err() != nil {
			break
		}
		d.log.Debug("provide", "hash", it.hash.B58String(), "error", err)
		d.counts.failed.Add(1)
		if failures++; failures == failuresMax {
			break
		}
	}
	note()
	return done
}

func (d *DHT) finish(ctx context.Context, sent []entry) {
	if len(sent) == 0 {
		return
	}
	defer d.counts.provided.Add(uint64(len(sent)))
	// What was sent is noted even when the DHT is stopping.
	if err := d.journal.finish(context.WithoutCancel(ctx), sent); err != nil {
		d.log.Warn("note provided CIDs", "count", len(sent), "error", err)
		return
	}
	d.schedule(sent)
}

// nearby is what a lookup has found, and the lines to those peers.
type nearby struct {
	region    keyspace.Region
	peers     []peer.ID
	lines     *lines
	messenger *pb.ProtocolMessenger
}

func (d *DHT) lookupNearby(ctx context.Context, c *core, it item) (nearby, error) {
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
	lines := newLines(d.host, d.network.protocol())
	m, err := pb.NewProtocolMessenger(lines)
	if err != nil {
		return nearby{}, err
	}
	return nearby{keyspace.NewRegion(it.key, keys, replicas), peers, lines, m}, nil
}

// serves tells whether the nearest peers of a key are among these.
func (n *nearby) serves(k keyspace.Key) bool {
	return len(n.peers) > 0 && n.region.Exact(k) >= min(reuseMin, len(n.peers))
}

// leave ends the lines.
func (n *nearby) leave() {
	if n.lines != nil {
		n.lines.close()
	}
}

// nearest are those that should have a record.
func (n *nearby) nearest(k keyspace.Key) []int {
	order := n.region.Nearest(k)
	return order[:min(len(order), replicas)]
}

// send sends one record to the peers nearest to it and returns how many took it.
func (n *nearby) send(ctx context.Context, it item, self peer.AddrInfo) (reach int, err error) {
	nearest := n.nearest(it.key)
	reach = n.each(ctx, nearest, func(ctx context.Context, p peer.ID) error {
		return n.messenger.PutProviderAddrs(ctx, p, it.hash, self)
	})
	if few(reach, len(nearest)) {
		return reach, fmt.Errorf("%w: %d of %d", errFewTookIt, reach, len(nearest))
	}
	return reach, nil
}

// confirm waits until the peers have worked off what a row has sent them, and returns how many
// of them have. A record is sent without an answer, and a connection takes bytes for a peer that
// is gone, or cut off, until that is noticed; but a peer reads a line's messages in order.
// Without the wait, moreover, thousands of records would queue in the line, and fresh CIDs
// behind them.
func (n *nearby) confirm(ctx context.Context, last item) (took int) {
	return n.each(ctx, n.nearest(last.key), func(ctx context.Context, p peer.ID) error {
		_, _, err := n.messenger.GetProviders(ctx, p, last.hash) // whatever it answers, it has read what came before
		return err
	})
}

// each does something with some of the peers at once, and returns with how many it went well.
func (n *nearby) each(ctx context.Context, which []int, f func(context.Context, peer.ID) error) int {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	var well atomic.Int64
	var tasks sync.WaitGroup
	for _, i := range which {
		tasks.Go(func() {
			if f(ctx, n.peers[i]) == nil {
				well.Add(1)
			}
		})
	}
	tasks.Wait()
	return int(well.Load())
}

// few tells whether fewer peers than half of those that should have it took a record.
func few(took, of int) bool { return took == 0 || 2*took < min(of, replicas) }
