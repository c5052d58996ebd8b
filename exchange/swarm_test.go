package exchange_test

import (
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
)

// TestSimFlashCrowd: one seed, all others want the same at the same time, and
// pass on what they get. The uplinks are the bottleneck. On very slow ones nothing
// has come yet when wants are two seconds old, as all peers are busy: no reason to
// give one up. Who gets the first blocks decides about the rest, so that single runs
// differ much: at 10 Mbit/s 5 to 16 % came twice in 22 of them.
func TestSimFlashCrowd(t *testing.T) {
	t.Run("10 Mbit/s", func(t *testing.T) { flashCrowd(t, 10*mbit, 0.2) })
	t.Run("2 Mbit/s", func(t *testing.T) { flashCrowd(t, 2*mbit, 0.5) })
}

// flashCrowd fails the test if more than a share of the bytes arrives twice.
func flashCrowd(t *testing.T, up int, dups float64) {
	const n, blocks, size = 8, 32, 256 << 10
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		cids := fill(t, store, blocks, size)
		seedHost := w.host(up, 100*mbit)
		seed := w.run(seedHost, exchange.Options{Store: store})
		hosts := []host.Host{seedHost}
		var leechers []*exchange.Exchange
		for range n {
			h := w.host(up, 100*mbit)
			leechers = append(leechers, w.run(h, exchange.Options{}))
			for _, o := range hosts {
				connect(t, h, o)
			}
			hosts = append(hosts, h)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for _, x := range leechers {
			wg.Go(func() { getAll(w.ctx, t, x.Session(w.ctx), cids) })
		}
		wg.Wait()
		took := time.Since(began)
		var in, dup int64
		for _, x := range leechers {
			s := x.Stats()
			in, dup = in+s.BytesIn, dup+s.DupBytes
		}
		copies := float64(seed.Stats().BytesOut) / (blocks * size)
		bound := linkTime(blocks*size, up)
		t.Logf("%v, %.1f× the time of one copy; duplicates %.1f%%; the seed sent %.1f copies", took, float64(took)/float64(bound), 100*float64(dup)/float64(in), copies)
		if took > n*bound*3/2 || float64(dup) > dups*float64(in) {
			t.Errorf("took %v, %d of %d bytes twice", took, dup, in)
		}
	})
}

// TestSimSlowPeers: slow seeds beside a fast one do not hold it up.
func TestSimSlowPeers(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		cids := fill(t, store, 64, 256<<10)
		h := w.host(100*mbit, 100*mbit)
		x := w.run(h, exchange.Options{})
		for _, up := range []int{1 * mbit, 1 * mbit, 100 * mbit, 1 * mbit} {
			connect(t, h, w.seed(up, up, store))
		}
		began := time.Now()
		getAll(w.ctx, t, x.Session(w.ctx), cids)
		limit := 50*time.Millisecond + linkTime(64*256<<10, 100*mbit)
		if took := report(t, x, began, limit); took > 2*limit {
			t.Errorf("took %v, limit %v", took, limit)
		}
	})
}

// TestSimPeerVanishes: a seed that drops dead in the middle is replaced.
func TestSimPeerVanishes(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		cids := fill(t, store, 64, 256<<10)
		h := w.host(100*mbit, 100*mbit)
		x := w.run(h, exchange.Options{})
		a, b := w.seed(50*mbit, 50*mbit, store), w.seed(50*mbit, 50*mbit, store)
		connect(t, h, a)
		connect(t, h, b)
		time.AfterFunc(700*time.Millisecond, func() { h.Network().ClosePeer(a.ID()) })
		began := time.Now()
		getAll(w.ctx, t, x.Session(w.ctx), cids)
		report(t, x, began, 50*time.Millisecond+linkTime(64*256<<10, 100*mbit))
	})
}
