package exchange_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	bxstore "github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// boxo runs the reference implementation on h.
func boxo(t testing.TB, h host.Host, store bxstore.Blockstore, o ...bsnet.NetOpt) *bitswap.Bitswap {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := bitswap.New(ctx, bsnet.NewFromIpfsHost(h, o...), nil, store)
	t.Cleanup(func() { b.Close(); cancel() })
	return b
}

func boxoStore() bxstore.Blockstore {
	return bxstore.NewBlockstore(dssync.MutexWrap(ds.NewMapDatastore()))
}

// copyTo puts what s has into a boxo store.
func copyTo(t testing.TB, to bxstore.Blockstore, s blockstore.Store, cids []cid.Cid) {
	t.Helper()
	for _, c := range cids {
		b, err := s.Get(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Put(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func boxoGetAll(ctx context.Context, t testing.TB, b *bitswap.Bitswap, cids []cid.Cid) {
	t.Helper()
	got, err := b.NewSession(ctx).GetBlocks(ctx, cids)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[cid.Cid]bool)
	for block := range got {
		seen[block.Cid()] = true
	}
	if len(seen) != len(cids) {
		t.Fatalf("boxo got %d of %d blocks", len(seen), len(cids))
	}
}

var interopSizes = []struct{ n, size int }{{1, 10}, {300, 1000}, {40, 256 << 10}, {8, 2 << 20}}

func TestFetchFromBoxo(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range interopSizes {
		seed, h := loopback(t), loopback(t)
		blocks := blockstore.NewMem()
		cids := fill(t, blocks, c.n, c.size)
		store := boxoStore()
		copyTo(t, store, blocks, cids)
		boxo(t, seed, store)
		x := run(t, h, exchange.Options{Store: blockstore.NewMem()})
		connect(t, h, seed)
		began := time.Now()
		getAll(ctx, t, x.Session(ctx), cids)
		s := x.Stats()
		t.Logf("%d × %d bytes: %v, %d dups", c.n, c.size, time.Since(began).Round(time.Millisecond), s.DupBlocks)
	}
}

func TestBoxoFetchesFromUs(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range interopSizes {
		seed, h := loopback(t), loopback(t)
		store := blockstore.NewMem()
		cids := fill(t, store, c.n, c.size)
		run(t, seed, exchange.Options{Store: store})
		b := boxo(t, h, boxoStore())
		connect(t, h, seed)
		began := time.Now()
		boxoGetAll(ctx, t, b, cids)
		t.Logf("%d × %d bytes: %v", c.n, c.size, time.Since(began).Round(time.Millisecond))
	}
}

// TestBoxoWaits: a boxo client that asks before we have the block gets it when
// it is announced.
func TestBoxoWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seed, h := loopback(t), loopback(t)
	store, later := blockstore.NewMem(), blockstore.NewMem()
	cids := fill(t, later, 5, 5000)
	x := run(t, seed, exchange.Options{Store: store})
	b := boxo(t, h, boxoStore())
	connect(t, h, seed)
	got, err := b.GetBlocks(ctx, cids)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { s := x.Stats(); return len(s.Table) == 1 && s.Table[0].Wants == len(cids) })
	for _, c := range cids {
		block, err := later.Get(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(ctx, block); err != nil {
			t.Fatal(err)
		}
	}
	x.Announce(cids...)
	n := 0
	for range got {
		n++
	}
	if n != len(cids) {
		t.Errorf("got %d of %d", n, len(cids))
	}
}

// TestOldBoxo speaks the older versions both ways.
func TestOldBoxo(t *testing.T) {
	for _, p := range []protocol.ID{wire.Protocol110, wire.Protocol100} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		a, b := loopback(t), loopback(t)
		ours, theirs := blockstore.NewMem(), boxoStore()
		up := old(t, ours, 20)
		x := run(t, a, exchange.Options{Store: ours})
		bs := boxo(t, b, theirs, bsnet.SupportedProtocols([]protocol.ID{p}))
		connect(t, a, b)
		boxoGetAll(ctx, t, bs, up)
		other := blockstore.NewMem()
		back := old(t, other, 20)
		copyTo(t, theirs, other, back)
		getAll(ctx, t, x.Session(ctx), back)
	}
}

// old puts n random CIDv0 blocks into the store.
func old(t testing.TB, s blockstore.Store, n int) []cid.Cid {
	t.Helper()
	raw := blockstore.NewMem()
	var cids []cid.Cid
	for _, c := range fill(t, raw, n, 1000) {
		b, err := raw.Get(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		v0 := blocks.NewBlock(b.RawData())
		cids = append(cids, v0.Cid())
		if err := s.Put(context.Background(), verified(t, v0.Cid(), b.RawData())); err != nil {
			t.Fatal(err)
		}
	}
	return cids
}

// TestBoxoInSwarm: peers of a swarm fetch from boxo what it has, and boxo gets the rest from
// them: neither has to wait until the others have all.
func TestBoxoInSwarm(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		const size = 8 << 20
		theirs := blockstore.NewMem()
		root := file(t, theirs, 1, size, 256<<10)
		cids := make([]cid.Cid, 0, 40)
		for c := range theirs.All(w.ctx) {
			cids = append(cids, c)
		}
		seed, store := w.host(10*mbit, 100*mbit), boxoStore()
		copyTo(t, store, theirs, cids)
		b := bitswap.New(w.ctx, bsnet.NewFromIpfsHost(seed), nil, store)
		w.ends = append(w.ends, func() { b.Close() })
		ours := []host.Host{w.host(10*mbit, 100*mbit), w.host(10*mbit, 100*mbit), w.host(10*mbit, 100*mbit)}
		var wg sync.WaitGroup
		began := time.Now()
		var sum int64
		var exchanges []*exchange.Exchange
		for i, h := range ours {
			mine := blockstore.NewMem()
			x := w.run(h, exchange.Options{Store: mine, Links: linksOf})
			exchanges = append(exchanges, x)
			connect(t, h, seed)
			for _, o := range ours[:i] {
				connect(t, h, o)
			}
			wg.Go(func() { fetch(w.ctx, t, x, mine, root) })
		}
		wg.Wait()
		took := time.Since(began)
		for _, x := range exchanges {
			sum += x.Stats().Swarm.BytesIn
		}
		one := linkTime(size, 10*mbit)
		t.Logf("%v, one copy takes %v; %d bytes by the swarm", took, one, sum)
		if took > 5*one/2 || sum < 2*size {
			t.Errorf("three peers had all after %v, one copy takes %v; %d bytes came by the swarm, guests included", took, one, sum)
		}
	})
}
