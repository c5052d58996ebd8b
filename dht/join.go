package dht

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

const (
	// dialsRunning is how many dials run at once while joining.
	dialsRunning = 8
	dialTimeout  = 10 * time.Second
	// joinedPeers is how many answering peers of the snapshot are enough.
	joinedPeers = 8
	// tableLow is below how many peers in the table the bootstrappers that are not
	// connected are dialled.
	tableLow = 10

	// joinTimeMax is for how long a lookup waits for a first peer when the node has
	// only just begun to dial those that it knows.
	joinTimeMax = 10 * time.Second

	bootstrapRetryMin = time.Second
	bootstrapRetryMax = time.Minute
)

// join enters the network: through the peers of the last run, so that a restart
// depends on nobody in particular, and through the bootstrap peers, which it
// tries for as long as the table is nearly empty. A connected peer of the same
// network enters the table by itself, when libp2p has identified it.
func (d *DHT) join(ctx context.Context, c *core) {
	snap, err := d.snapshots.load(ctx)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("start without routing-table snapshot", "error", err)
	}
	d.recall(c, snap.Peers)
	if len(snap.Peers)+len(d.bootstrap) > 0 {
		d.joinEnd.Store(time.Now().Add(joinTimeMax).UnixNano())
	}
	d.refreshed.Store(snap.Refreshed)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		infos := make([]peer.AddrInfo, len(snap.Peers))
		for i, p := range snap.Peers {
			infos[i] = p.AddrInfo
		}
		if n := d.dial(ctx, infos, joinedPeers); n > 0 && d.refreshDue() {
			d.refreshSoon()
		}
	})
	tasks.Go(func() { d.keepBootstrapped(ctx, c) })
	tasks.Wait()
}

// awaitJoin gives a node that has only just started the time to find a first peer, so
// that "no peers" is not said of a network that is there.
func (d *DHT) awaitJoin(ctx context.Context, c *core) {
	left := time.Until(time.Unix(0, d.joinEnd.Load()))
	if left <= 0 || c.RoutingTable().Size() > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	_ = waitPeers(ctx, c) // without one the lookup says so
}

// keepBootstrapped dials bootstrap peers while the table is low.
func (d *DHT) keepBootstrapped(ctx context.Context, c *core) {
	if len(d.bootstrap) == 0 {
		return
	}
	peers := slices.Clone(d.bootstrap)
	for attempt := 1; ; attempt++ {
		// In random order, so that not everyone leans on the first.
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		if c.RoutingTable().Size() >= tableLow {
			attempt = 1
		} else if n := d.dial(ctx, peers, joinedPeers); n > 0 {
			attempt = 1
			d.refreshSoon()
		}
		wait := backoff(attempt, bootstrapRetryMin, bootstrapRetryMax)
		if c.RoutingTable().Size() > 0 {
			wait = bootstrapRetryMax // one is inside: there is no hurry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// dial connects to peers that are not connected, in their order, until enough
// have answered, and returns how many did.
func (d *DHT) dial(ctx context.Context, peers []peer.AddrInfo, enough int) int {
	var answered atomic.Int64
	var tasks errgroup.Group
	tasks.SetLimit(dialsRunning)
	for _, p := range peers {
		if p.ID == d.host.ID() || d.host.Network().Connectedness(p.ID) == network.Connected {
			continue
		}
		if ctx.Err() != nil || int(answered.Load()) >= enough {
			break
		}
		tasks.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			if err := d.host.Connect(ctx, p); err != nil {
				d.log.Debug("join network", "peer", p.ID, "error", err)
				return nil
			}
			answered.Add(1)
			return nil
		})
	}
	_ = tasks.Wait() // the tasks return nil
	return int(answered.Load())
}
