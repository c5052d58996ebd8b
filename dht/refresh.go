package dht

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/amino"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// refreshInterval is how often the routing table is refreshed: a lookup of the
	// node's own place, one in each bucket, and a question to everyone in the table
	// who was not heard of.
	refreshInterval = 10 * time.Minute
	// refreshJitter is the share by which intervals differ, so that nodes that
	// were started together do not refresh together.
	refreshJitter = 0.2
	// soonDelay is how soon a table with few peers is refreshed when one more was met,
	// who may know others: not before he is in the table himself. And how soon those
	// that are known are dialled when everybody was lost.
	soonDelay = 500 * time.Millisecond
	// bucketPause lies between the lookups of a refresh. Each connects to some
	// twenty peers, and all of them at once to hundreds.
	bucketPause = 20 * time.Second
	// refreshLookupTimeMax is for one lookup.
	refreshLookupTimeMax = 30 * time.Second
)

// refresh keeps the routing table true. kad-dht's own schedule begins with all lookups
// at every start, which is hundreds of connections at once; but a node that knows its
// neighbours can find and be found, and the distant buckets may fill one by one. A node
// that was away for a minute has its table from the snapshot and needs none.
func (d *DHT) refresh(ctx context.Context, c *core) {
	for failures := 0; ; {
		wait := jitter(refreshInterval)
		if failures > 0 {
			wait = backoff(failures, soonDelay, refreshInterval)
		}
		await(ctx, wait, d.refreshing)
		err := d.refreshTable(ctx, c)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			d.log.Debug("refresh routing table", "error", err)
		default:
			failures = 0
			d.refreshed.Store(time.Now().Unix())
		}
	}
}

// await returns after a while, or soon after somebody wanted it, and tells which.
func await(ctx context.Context, wait time.Duration, wanted <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return false
	case <-wanted:
	}
	timer.Reset(soonDelay)
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return true
}

// refreshTable looks up the node's neighbours, then something in each bucket that has
// room and that no lookup has touched of late.
func (d *DHT) refreshTable(ctx context.Context, c *core) error {
	if err := d.refreshNeighbours(ctx, c); err != nil {
		return err
	}
	table := c.RoutingTable()
	for cpl := range table.GetTrackedCplsForRefresh() {
		if at := table.GetTrackedCplsForRefresh(); cpl >= len(at) || time.Since(at[cpl]) < refreshInterval {
			continue
		}
		key, err := table.GenRandPeerID(uint(cpl))
		if err != nil {
			return fmt.Errorf("refresh bucket %d: %w", cpl, err)
		}
		if table.NPeersForCpl(uint(cpl)) >= amino.DefaultBucketSize { // no room for whom a lookup would meet
			table.ResetCplRefreshedAtForID(kbucket.ConvertPeerID(key), time.Now())
			continue
		}
		// If a peer is met while there are few, neighbours are of more use.
		for await(ctx, jitter(bucketPause), d.refreshing) {
			if err := d.refreshNeighbours(ctx, c); err != nil {
				return err
			}
		}
		if _, err := refreshLookup(ctx, c, key); err != nil {
			return fmt.Errorf("refresh bucket %d: %w", cpl, err)
		}
	}
	// What is left of kad-dht's own refresh are the questions to those not heard of.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-c.RefreshRoutingTable():
		return err
	}
}

// refreshNeighbours looks up the peers that are nearest to the node. Buckets that can
// hold nobody else need no lookup of their own.
func (d *DHT) refreshNeighbours(ctx context.Context, c *core) error {
	near, err := refreshLookup(ctx, c, d.host.ID())
	if err != nil {
		return fmt.Errorf("refresh neighbours: %w", err)
	}
	known := 0 // the first bucket all of whose peers are among near
	if len(near) >= amino.DefaultBucketSize {
		self := kbucket.ConvertPeerID(d.host.ID())
		known = len(self) * 8
		for _, p := range near {
			known = min(known, 1+kbucket.CommonPrefixLen(self, kbucket.ConvertPeerID(p)))
		}
	}
	table := c.RoutingTable()
	for cpl := known; cpl < len(table.GetTrackedCplsForRefresh()); cpl++ {
		key, err := table.GenRandPeerID(uint(cpl))
		if err != nil {
			return fmt.Errorf("refresh bucket %d: %w", cpl, err)
		}
		table.ResetCplRefreshedAtForID(kbucket.ConvertPeerID(key), time.Now())
	}
	return nil
}

// refreshLookup fills the table with peers around key, and returns the nearest. That
// the time for it is over is no error: who has answered is in the table.
func refreshLookup(ctx context.Context, c *core, key peer.ID) ([]peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshLookupTimeMax)
	defer cancel()
	near, err := c.GetClosestPeers(ctx, string(key))
	if c.RoutingTable().Size() > 0 && errors.Is(err, context.DeadlineExceeded) {
		return near, nil
	}
	return near, err
}

// watchPeers has a table with few peers refreshed when one more was met, and the network
// joined again when all were lost.
func (d *DHT) watchPeers(ctx context.Context, c *core) {
	events, err := d.host.EventBus().Subscribe([]any{new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerConnectednessChanged)})
	if err != nil {
		d.log.Error("watch for peers", "error", err) // not while the host lives
		return
	}
	defer events.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events.Out():
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				if c.RoutingTable().Size() < tableLow {
					d.refreshSoon()
				}
			case event.EvtPeerConnectednessChanged:
				if e.Connectedness != network.Connected && d.alone() {
					d.expectPeers()
					d.rejoin()
				}
			}
		}
	}
}

// refreshSoon has the table refreshed in a moment, or once more after a refresh that
// runs.
func (d *DHT) refreshSoon() {
	select {
	case d.refreshing <- struct{}{}:
	default:
	}
}

// refreshDue tells whether the last refresh, of this run or the one before, is too
// long ago.
func (d *DHT) refreshDue() bool {
	return time.Since(time.Unix(d.refreshed.Load(), 0)) >= refreshInterval
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - refreshJitter + 2*refreshJitter*rand.Float64()))
}
