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
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"golang.org/x/sync/errgroup"
)

const (
	// dialsRunning is how many dials run at once while joining.
	dialsRunning = 8
	dialTimeout  = 10 * time.Second
	// joinedPeers is how many answering peers of the snapshot are enough.
	joinedPeers = 8
	// recalledPeersMax is how many of the snapshot a node that is alone tries each time.
	recalledPeersMax = 16
	// tableLow is below how many peers in the table the bootstrappers that are not
	// connected are dialled.
	tableLow = 10

	// joinTimeMax is for how long a lookup waits for a first peer when the node has
	// only just begun to dial those that it knows, or has just lost all of them.
	joinTimeMax = 10 * time.Second
	// rejoinTimeMax is the same for one that has been alone for longer, or has a table
	// but no connection.
	rejoinTimeMax = 2 * time.Second
	// rejoinPause is how often a node that is alone dials while somebody waits.
	rejoinPause = 300 * time.Millisecond

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
		d.expectPeers()
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
	tasks.Go(func() { d.keepJoined(ctx, c) })
	tasks.Wait()
}

// expectPeers has lookups wait a while for a first peer.
func (d *DHT) expectPeers() { d.joinEnd.Store(time.Now().Add(joinTimeMax).UnixNano()) }

// alone tells whether nobody at all is connected.
func (d *DHT) alone() bool { return len(d.host.Network().Peers()) == 0 }

// rejoin has a node that is alone dial those it knows in a moment.
func (d *DHT) rejoin() {
	select {
	case d.rejoining <- struct{}{}:
	default:
	}
}

// awaitJoin gives a node that has only just started, or just lost everybody, the time to
// find a first peer, so that "no peers" is not said of a network that is there. One that
// has been alone for longer dials again because somebody asks.
func (d *DHT) awaitJoin(ctx context.Context, c *core) {
	end := d.joinEnd.Load()
	if end == 0 || !d.alone() && c.RoutingTable().Size() > 0 {
		return
	}
	d.rejoin()
	wait := rejoinTimeMax
	if c.RoutingTable().Size() == 0 { // else the lookup can dial those
		wait = max(wait, time.Until(time.Unix(0, end)))
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	dialled := time.Now()
	// Without a peer the lookup says so.
	_ = poll(ctx, func() bool {
		if now := time.Now(); now.Sub(dialled) >= rejoinPause {
			dialled = now
			d.rejoin()
		}
		return !d.alone() && c.RoutingTable().Size() > 0
	})
}

// keepJoined dials bootstrap peers while the table is low, and all that the node knows
// while it is alone.
func (d *DHT) keepJoined(ctx context.Context, c *core) {
	known := false // at first, join dials those of the last run
	for attempt := 1; ctx.Err() == nil; attempt++ {
		if alone := d.alone(); !alone && c.RoutingTable().Size() >= tableLow {
			attempt = 1
		} else if n := d.dial(ctx, d.entrances(ctx, alone && known), joinedPeers); n > 0 {
			attempt = 1
			d.refreshSoon()
		}
		known = true
		wait := backoff(attempt, bootstrapRetryMin, bootstrapRetryMax)
		if !d.alone() && c.RoutingTable().Size() > 0 {
			wait = bootstrapRetryMax // one is inside: there is no hurry
		}
		if await(ctx, wait, d.rejoining) {
			attempt = 0
		}
	}
}

// entrances are the bootstrap peers in random order, so that not everyone leans on the
// first, and for one who is alone those whom the table had last.
func (d *DHT) entrances(ctx context.Context, alone bool) []peer.AddrInfo {
	peers := slices.Clone(d.bootstrap)
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	if !alone {
		return peers
	}
	snap, err := d.snapshots.load(ctx)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("join without routing-table snapshot", "error", err)
	}
	for _, p := range snap.Peers[:min(len(snap.Peers), recalledPeersMax)] {
		peers = append(peers, p.AddrInfo)
	}
	return peers
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
			// The caller waits longer each time; libp2p, on top of it, would keep a node
			// whose network was away alone for minutes.
			if s, ok := d.host.Network().(*swarm.Swarm); ok {
				s.Backoff().Clear(p.ID)
			}
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
