package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
)

// crowd is some seeds, and leechers that are connected to all. Their lines carry 100 Mbit/s.
type crowd struct {
	seeds, leechers int
	size, chunk     int   // bytes of the file, and of a block
	up, down        int64 // limits of each seed and of each leecher, in bytes/s
	swarm           bool  // they speak the swarm protocol
}

func (c crowd) String() string {
	wire := "bitswap"
	if c.swarm {
		wire = "swarm"
	}
	return fmt.Sprintf("%d to %d by %s, %d in %d, up %d, down %d", c.seeds, c.leechers, wire, c.size, c.chunk, c.up, c.down)
}

// bound is what the limits allow.
func (c crowd) bound() time.Duration {
	rate := int64(c.seeds) * c.up
	if c.down > 0 {
		rate = c.down
	}
	return time.Duration(float64(c.size) / float64(rate) * float64(time.Second))
}

// crowdResult is what became of a crowd: bytes that came, of these for nothing, and what peers
// said of each other.
type crowdResult struct {
	took    time.Duration
	in, dup int64
	judge   judge
}

// run has all leechers fetch the same file at once.
func (c crowd) run(t *testing.T) *crowdResult {
	r := &crowdResult{}
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		root := file(t, store, 1, c.size, c.chunk)
		var hosts []host.Host
		add := func(s blockstore.Store, l exchange.Limits) *exchange.Exchange {
			o := exchange.Options{Store: s, Limits: l, Judge: &r.judge}
			if c.swarm {
				o.Links = linksOf
			}
			h := w.host(100*mbit, 100*mbit)
			x := w.run(h, o)
			for _, other := range hosts {
				connect(t, h, other)
			}
			hosts = append(hosts, h)
			return x
		}
		for range c.seeds {
			add(store, exchange.Limits{UpBytesPerSec: c.up})
		}
		stores := make(map[*exchange.Exchange]blockstore.Store)
		for range c.leechers {
			s := blockstore.NewMem()
			stores[add(s, exchange.Limits{DownBytesPerSec: c.down})] = s
		}
		synctest.Wait()
		began := time.Now()
		var wg sync.WaitGroup
		for x, s := range stores {
			wg.Go(func() { fetch(w.ctx, t, x, s, root) })
		}
		wg.Wait()
		r.took = time.Since(began)
		for x := range stores {
			s := x.Stats()
			r.in, r.dup = r.in+s.BytesIn+s.Swarm.BytesIn, r.dup+s.DupBytes+s.Swarm.DupBytes
		}
	})
	t.Logf("%v, %.2f× what the limit allows; %.1f%% twice; faults %v", r.took, float64(r.took)/float64(c.bound()), 100*float64(r.dup)/float64(r.in), r.judge.faults)
	return r
}

// TestSimLimits: what is fetched takes as long as the limits allow, and nobody takes a peer
// that keeps to its own for one that is silent or slow.
func TestSimLimits(t *testing.T) {
	const mib, limit = 1 << 20, 125_000
	for _, swarm := range []bool{true, false} {
		for _, c := range []crowd{
			{1, 1, 4 * mib, mib / 4, limit, 0, swarm},
			{1, 1, 4 * mib, mib / 4, 0, limit, swarm},
			{1, 1, mib, mib / 256, limit, 0, swarm},
			{1, 1, mib, mib / 256, 0, limit, swarm},
			{1, 1, 16 * mib, mib, 20 * limit, 0, swarm},
			{8, 1, 4 * mib, mib, 0, exchange.LimitMin, swarm},
			{20, 1, 4 * mib, mib / 4, 0, limit, swarm},
		} {
			t.Run(c.String(), func(t *testing.T) {
				r := c.run(t)
				if r.took < c.bound()*95/100 || r.took > c.bound()*105/100 || r.dup > r.in/100 || len(r.judge.faults) > 0 {
					t.Errorf("took %v, bound %v; %d bytes twice; faults %v", r.took, c.bound(), r.dup, r.judge.faults)
				}
			})
		}
	}
}

// TestSimLimitsCrowd: a limited seed sends each block once, as fast as it may, to peers that
// pass it on. By bitswap a peer cannot say that others come first, and counts as silent: that
// is no reason to give up what nobody else has. By the swarm protocol one in a few hundred
// peers may have to wait too long, at the start; of blocks that take more than half of the
// time that a peer may send nothing, one crowd in ten has some who wait too long. Of crowds that swap small blocks by bitswap
// one in thirty takes long, as all who count as silent are left alone at the same time.
func TestSimLimitsCrowd(t *testing.T) {
	const mib, limit = 1 << 20, 125_000
	for _, swarm := range []bool{true, false} {
		for _, c := range []crowd{
			{1, 8, 2 * mib, mib / 4, limit, 0, swarm},
			{1, 8, 4 * mib, mib, limit, 0, swarm},
			{1, 8, mib, mib / 256, limit, 0, swarm},
			{1, 8, 8 * mib, mib / 4, 0, 10 * limit, swarm},
		} {
			t.Run(c.String(), func(t *testing.T) {
				r := c.run(t)
				faults := 0
				for _, n := range r.judge.faults {
					faults += n
				}
				most := c.bound()*14/10 + 5*time.Second
				if !swarm && c.chunk < mib/64 {
					most = c.bound() * 7 / 2
				}
				late := 1
				if c.chunk == mib && c.up == limit {
					late = 2 * c.leechers
				}
				if r.took < c.bound()*95/100 || r.took > most || r.dup > r.in/10 || swarm && faults > late {
					t.Errorf("took %v, bound %v; %d of %d bytes twice; faults %v", r.took, c.bound(), r.dup, r.in, r.judge.faults)
				}
			})
		}
	}
}

// TestSimLimitsChange: limits that are changed hold for what is under way.
func TestSimLimitsChange(t *testing.T) {
	inWorld(t, 20*time.Millisecond, func(w *world) {
		store, mine := blockstore.NewMem(), blockstore.NewMem()
		root := file(t, store, 1, 8<<20, 1<<20)
		seed, h := w.host(100*mbit, 100*mbit), w.host(100*mbit, 100*mbit)
		a := w.run(seed, exchange.Options{Store: store, Links: linksOf, Limits: exchange.Limits{UpBytesPerSec: exchange.LimitMin}})
		b := w.run(h, exchange.Options{Store: mine, Links: linksOf})
		connect(t, h, seed)
		synctest.Wait()
		began := time.Now()
		time.AfterFunc(10*time.Second, func() { // about 600 kB later
			if err := errors.Join(a.SetLimits(exchange.Limits{}), b.SetLimits(exchange.Limits{DownBytesPerSec: 1_000_000})); err != nil {
				t.Error(err)
			}
		})
		fetch(w.ctx, t, b, mine, root)
		if took := time.Since(began); took < 16*time.Second || took > 19*time.Second {
			t.Errorf("took %v", took)
		}
		for _, l := range []exchange.Limits{{UpBytesPerSec: -1}, {DownBytesPerSec: exchange.LimitMin - 1}} {
			if err := b.SetLimits(l); !errors.Is(err, exchange.ErrLimits) {
				t.Errorf("%+v: %v", l, err)
			}
		}
		if l := b.Limits(); l != (exchange.Limits{DownBytesPerSec: 1_000_000}) || b.Stats().Limits != l {
			t.Errorf("limits are %+v", l)
		}
	})
}

// TestSimLimitsNear: peers of the same network are not limited.
func TestSimLimitsNear(t *testing.T) {
	inWorld(t, 2*time.Millisecond, func(w *world) {
		store, mine := blockstore.NewMem(), blockstore.NewMem()
		root := file(t, store, 1, 8<<20, 1<<20)
		least := exchange.Limits{UpBytesPerSec: exchange.LimitMin, DownBytesPerSec: exchange.LimitMin}
		seed, h := w.hostAt(net.IPv4(192, 168, 1, 7), 100*mbit, 100*mbit), w.hostAt(net.IPv4(192, 168, 1, 8), 100*mbit, 100*mbit)
		w.run(seed, exchange.Options{Store: store, Links: linksOf, Limits: least})
		x := w.run(h, exchange.Options{Store: mine, Links: linksOf, Limits: least})
		connect(t, h, seed)
		synctest.Wait()
		began := time.Now()
		fetch(w.ctx, t, x, mine, root)
		if took, bound := time.Since(began), linkTime(8<<20, 100*mbit); took > 2*bound {
			t.Errorf("took %v, the line %v", took, bound)
		}
	})
}

// TestSimLimitsEnd: who waits for a limit waits no longer than the peer is there, nor than
// Run runs.
func TestSimLimitsEnd(t *testing.T) {
	inWorld(t, 20*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		root := file(t, store, 1, 8<<20, 1<<20)
		seed := w.host(100*mbit, 100*mbit)
		x := exchange.New(seed, exchange.Options{Store: store, Links: linksOf, Limits: exchange.Limits{UpBytesPerSec: exchange.LimitMin}})
		ctx, cancel := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- x.Run(ctx) }()
		synctest.Wait()
		leech := func() {
			h := w.host(100*mbit, 100*mbit)
			connect(t, h, seed)
			w.run(h, exchange.Options{Links: linksOf}).Session(w.ctx).Fetch(root, exchange.Rarest)
		}
		leech()
		time.Sleep(5 * time.Second)
		cancel()
		began := time.Now()
		if err := <-ended; err != nil || time.Since(began) > time.Millisecond {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
	})
}

func TestLimitsRefused(t *testing.T) {
	x := exchange.New(unlimited(t), exchange.Options{Limits: exchange.Limits{UpBytesPerSec: -5}})
	if err := x.Run(t.Context()); !errors.Is(err, exchange.ErrLimits) {
		t.Errorf("ran: %v", err)
	}
}
