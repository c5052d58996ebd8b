package gossip

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits on dialling peers again that were in a topic with this one. A network that was cut
// in two comes together by few of them: those tell the others what they have missed.
const (
	reunionsMax = 8  // peers that are dialled for at a time; who is lost beside is left
	lostMax     = 64 // peers that wait to be looked at
	// A peer is dialled after a second at first, then after a quarter of the time that it has
	// been away for, for as long as reunionTime.
	reunionPauseMin = time.Second
	reunionPauseMax = time.Minute
	reunionTime     = time.Hour
	// reunionDialTime is for how long a dial waits. TCP repeats its first packet later and
	// later: a new dial soon finds that the network is back, an old one does not.
	reunionDialTime = 5 * time.Second
	// partedTime is for how long a peer is left alone that is lost again: somebody has too many
	// connections, and has ended this one on purpose.
	partedTime = 10 * time.Minute
)

// reunions are peers that were lost.
type reunions struct {
	active map[peer.ID]struct{}  // that are being dialled
	last   map[peer.ID]time.Time // when that was over
}

// begin tells whether to dial a peer, and notes that it is.
func (r *reunions) begin(p peer.ID, now time.Time) bool {
	for o, at := range r.last {
		if now.Sub(at) >= partedTime {
			delete(r.last, o)
		}
	}
	_, parted := r.last[p]
	if _, active := r.active[p]; active || parted || len(r.active) == reunionsMax {
		return false
	}
	r.active[p] = struct{}{}
	return true
}

// end notes that a peer is not dialled any more. There are few: each has taken a second.
func (r *reunions) end(p peer.ID, now time.Time) {
	delete(r.active, p)
	r.last[p] = now
}

// reuniting dials peers that were lost, until ctx ends.
func (g *Gossip) reuniting(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	r := reunions{active: make(map[peer.ID]struct{}), last: make(map[peer.ID]time.Time)}
	over := make(chan peer.ID)
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-over:
			r.end(p, time.Now())
		case p := <-g.tally.lost:
			if !r.begin(p, time.Now()) {
				continue
			}
			tasks.Go(func() {
				g.reunite(ctx, p)
				select {
				case over <- p:
				case <-ctx.Done():
				}
			})
		}
	}
}

// reunite dials a peer until it is connected, or has been away for too long.
func (g *Gossip) reunite(ctx context.Context, p peer.ID) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for began := time.Now(); time.Since(began) < reunionTime; {
		pause := min(max(time.Since(began)/4, reunionPauseMin), reunionPauseMax)
		timer.Reset(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if g.host.Network().Connectedness(p) == network.Connected {
			return
		}
		// libp2p's own pauses between dials would come on top of these.
		dial, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "gossip"), reunionDialTime)
		err := g.host.Connect(dial, peer.AddrInfo{ID: p})
		cancel()
		if err == nil {
			return
		}
		g.o.Logger.Debug("dial a peer that was in a topic", "peer", p, "err", err)
	}
}
