package dht

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
)

const (
	// refreshInterval is how often the routing table is refreshed: a lookup at
	// each distance, and a question to everyone in it who was not heard of.
	refreshInterval = 10 * time.Minute
	// refreshJitter is the share by which intervals differ, so that nodes that
	// were started together do not refresh together.
	refreshJitter = 0.2
	// refreshSoonDelay is how soon a table with few peers is refreshed when one more
	// was met, who may know others: not before he is in the table himself.
	refreshSoonDelay = 500 * time.Millisecond
)

// refresh keeps the routing table true. kad-dht's own schedule begins with a full
// refresh at every start, which is many connections at once; a node that was
// away for a minute has its table from the snapshot and needs none.
func (d *DHT) refresh(ctx context.Context, c *core) {
	for failures := 0; ; {
		wait := jitter(refreshInterval)
		if failures > 0 {
			wait = backoff(failures, refreshSoonDelay, refreshInterval)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-d.refreshing:
			timer.Reset(refreshSoonDelay)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
		select {
		case <-ctx.Done():
			return
		case err := <-c.RefreshRoutingTable():
			if err != nil {
				failures++
				d.log.Debug("refresh routing table", "error", err)
				continue
			}
		}
		failures = 0
		d.refreshed.Store(time.Now().Unix())
	}
}

// watchPeers has a table with few peers refreshed when one more was met.
func (d *DHT) watchPeers(ctx context.Context, c *core) {
	met, err := d.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		d.log.Error("watch for peers", "error", err) // not while the host lives
		return
	}
	defer met.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-met.Out():
			if c.RoutingTable().Size() < tableLow {
				d.refreshSoon()
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
