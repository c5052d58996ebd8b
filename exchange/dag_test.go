package exchange_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/unixfs/build"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

func linksOf(b block.Block) ([]cid.Cid, error) {
	links, err := codec.Links(b)
	cids := make([]cid.Cid, len(links))
	for i, l := range links {
		cids[i] = l.Cid
	}
	return cids, err
}

// file puts the DAG of a random file into the store.
func file(t testing.TB, s blockstore.Store, seed uint64, size, chunk int) cid.Cid {
	t.Helper()
	p := build.V1_2025
	p.ChunkSize = chunk
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	l, err := build.File(context.Background(), s, io.LimitReader(rand.NewChaCha8(key), int64(size)), build.Options{Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	return l.Cid
}

// fetch gets a whole DAG, as somebody does who reads it from the beginning to the end. It
// returns how many blocks it has.
func fetch(ctx context.Context, t testing.TB, x *exchange.Exchange, store blockstore.Store, root cid.Cid) (blocks int) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := x.Session(ctx)
	s.Fetch(root, exchange.Rarest)
	todo := []cid.Cid{root}
	for len(todo) > 0 {
		c := todo[0]
		todo = todo[1:]
		b, err := store.Get(ctx, c)
		if err != nil {
			b, err = s.Get(ctx, c)
		}
		if err != nil {
			t.Fatalf("block %d: %v", blocks, err)
		}
		blocks++
		links, err := linksOf(b)
		if err != nil {
			t.Fatal(err)
		}
		s.Prefetch(ctx, links...)
		todo = append(todo, links...)
	}
	return blocks
}

// rawTime is what it takes to ask for size bytes on a stream of a connection as new as that
// of a test, and to have them.
func rawTime(t *testing.T, rtt time.Duration, size int) (took time.Duration) {
	inWorld(t, rtt, func(w *world) {
		seed, h := w.host(100*mbit, 100*mbit), w.host(100*mbit, 100*mbit)
		seed.SetStreamHandler("/raw/1", func(s network.Stream) {
			s.Read(make([]byte, 1))
			s.Write(make([]byte, size))
			s.Close()
		})
		connect(t, h, seed)
		synctest.Wait()
		began := time.Now()
		s, err := h.NewStream(w.ctx, seed.ID(), "/raw/1")
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte{1})
		if n, err := io.Copy(io.Discard, s); err != nil || n != int64(size) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		took = time.Since(began)
	})
	return took
}

// TestSimDAG: a DAG from one seed takes little more than its bytes take on one stream.
func TestSimDAG(t *testing.T) {
	for _, c := range []struct{ size, chunk int }{{100 << 10, 16 << 10}, {16 << 20, 256 << 10}, {16 << 20, 1 << 20}, {4 << 20, 4 << 10}} {
		t.Run(fmt.Sprintf("%d in %d", c.size, c.chunk), func(t *testing.T) {
			raw := rawTime(t, 100*time.Millisecond, c.size)
			inWorld(t, 100*time.Millisecond, func(w *world) {
				store := blockstore.NewMem()
				root := file(t, store, 1, c.size, c.chunk)
				seed := w.host(100*mbit, 100*mbit)
				w.run(seed, exchange.Options{Store: store, Links: linksOf})
				h, mine := w.host(100*mbit, 100*mbit), blockstore.NewMem()
				x := w.run(h, exchange.Options{Store: mine, Links: linksOf})
				connect(t, h, seed)
				synctest.Wait()
				began := time.Now()
				fetch(w.ctx, t, x, mine, root)
				took, s := time.Since(began), x.Stats()
				t.Logf("%v, %.2f times %v", took, float64(took)/float64(raw), raw)
				if took > raw*11/10 {
					t.Errorf("took %v, a stream %v", took, raw)
				}
				if s.BlocksIn > 0 || s.Swarm.DupLeaves > 0 {
					t.Errorf("%d blocks came by name, %d leaves twice", s.BlocksIn, s.Swarm.DupLeaves)
				}
			})
		})
	}
}

// TestSimReaderFirst: who reads does not wait for what is fetched beside from the same peer.
func TestSimReaderFirst(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		large, small := file(t, store, 1, 32<<20, 256<<10), file(t, store, 2, 1<<20, 256<<10)
		seed := w.host(10*mbit, 10*mbit)
		w.run(seed, exchange.Options{Store: store, Links: linksOf})
		h, mine := w.host(100*mbit, 100*mbit), blockstore.NewMem()
		x := w.run(h, exchange.Options{Store: mine, Links: linksOf})
		connect(t, h, seed)
		synctest.Wait()
		background, cancel := context.WithCancel(w.ctx)
		defer cancel()
		x.Session(background).Fetch(large, exchange.Rarest)
		time.Sleep(5 * time.Second)
		before, began := x.Stats().Swarm.BytesIn, time.Now()
		s := x.Session(w.ctx)
		s.Fetch(small, exchange.Forward)
		for _, c := range append([]cid.Cid{small}, leavesOf(t, store, small)...) {
			if _, err := s.Get(w.ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		took, alone := time.Since(began), linkTime(1<<20, 10*mbit)
		beside := x.Stats().Swarm.BytesIn - before - 1<<20
		t.Logf("%v, alone it takes %v; %d bytes came beside", took, alone, beside)
		if took > 2*alone+500*time.Millisecond {
			t.Errorf("took %v, alone it takes %v", took, alone)
		}
		time.Sleep(5 * time.Second)
		if rest := x.Stats().Swarm.BytesIn - before; rest < 4<<20 {
			t.Errorf("what is fetched beside does not go on: %d bytes", rest)
		}
	})
}

// TestSimParts: who reads a part of a file gets no more than that.
func TestSimParts(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		root := file(t, store, 1, 16<<20, 256<<10)
		seed := w.host(100*mbit, 100*mbit)
		w.run(seed, exchange.Options{Store: store, Links: linksOf})
		h := w.host(100*mbit, 100*mbit)
		x := w.run(h, exchange.Options{Store: blockstore.NewMem(), Links: linksOf})
		connect(t, h, seed)
		synctest.Wait()
		leaves := leavesOf(t, store, root)
		s := x.Session(w.ctx)
		s.Fetch(root, exchange.Parts)
		s.Prefetch(w.ctx, leaves[41])
		for _, c := range []cid.Cid{root, leaves[40], leaves[3], leaves[41]} {
			if _, err := s.Get(w.ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		if s := x.Stats(); s.Swarm.LeavesIn != 3 || s.BlocksIn != 0 || s.Swarm.DupLeaves != 0 {
			t.Errorf("for three leaves came %d, %d of them twice, and %d blocks by name", s.Swarm.LeavesIn, s.Swarm.DupLeaves, s.BlocksIn)
		}
		if p := s.Progress(); p.Leaves != 3 || p.LeavesHere != 3 || len(p.Sources) != 1 || p.Sources[0].Bytes < 768<<10 {
			t.Errorf("progress %+v", p)
		}
	})
}

// leavesOf lists the blocks that a node names.
func leavesOf(t *testing.T, s blockstore.Store, root cid.Cid) []cid.Cid {
	t.Helper()
	b, err := s.Get(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	list, err := linksOf(b)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestSimSwarm: many want the same at the same time, and have it from each other.
func TestSimSwarm(t *testing.T) {
	for _, n := range []int{4, 16} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { swarmOf(t, n, 8<<20, 256<<10) })
	}
}

func swarmOf(t *testing.T, n, size, chunk int) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		const up = 10 * mbit
		store := blockstore.NewMem()
		root := file(t, store, 1, size, chunk)
		seed := w.host(up, 100*mbit)
		server := w.run(seed, exchange.Options{Store: store, Links: linksOf})
		hosts := []host.Host{seed}
		var all []*exchange.Exchange
		var stores []blockstore.Store
		for range n {
			h, s := w.host(up, 100*mbit), blockstore.NewMem()
			all, stores = append(all, w.run(h, exchange.Options{Store: s, Links: linksOf})), append(stores, s)
			for _, o := range hosts {
				connect(t, h, o)
			}
			hosts = append(hosts, h)
		}
		synctest.Wait()
		began := time.Now()
		var wg sync.WaitGroup
		for i, x := range all {
			wg.Go(func() { fetch(w.ctx, t, x, stores[i], root) })
		}
		wg.Wait()
		took, bound := time.Since(began), linkTime(size, up)
		var dup, in, named int64
		for _, x := range all {
			s := x.Stats()
			dup, in, named = dup+s.Swarm.DupLeaves, in+s.Swarm.LeavesIn, named+s.BlocksIn
		}
		copies := float64(server.Stats().Swarm.BytesOut) / float64(size)
		t.Logf("%d peers: %v, %.2f× the bound; %d of %d leaves twice, %d blocks by name; the seed sent %.2f copies",
			n, took, float64(took)/float64(bound), dup, in, named, copies)
		if took > 2*bound {
			t.Errorf("took %v, bound %v", took, bound)
		}
	})
}

// TestServerKnowsDistance: who only serves a DAG learns how far the other is.
func TestServerKnowsDistance(t *testing.T) {
	const rtt = 50 * time.Millisecond
	inWorld(t, rtt, func(w *world) {
		store, got := blockstore.NewMem(), blockstore.NewMem()
		root := file(t, store, 1, 1<<20, 256<<10)
		seed, h := w.host(100*mbit, 100*mbit), w.host(100*mbit, 100*mbit)
		w.run(seed, exchange.Options{Store: store, Links: linksOf})
		x := w.run(h, exchange.Options{Store: got, Links: linksOf})
		ping.NewPingService(h) // which others have without being told
		connect(t, h, seed)
		fetch(w.ctx, t, x, got, root)
		time.Sleep(time.Second) // of virtual time, for the answer to come
		synctest.Wait()
		if d := seed.Peerstore().LatencyEWMA(h.ID()); d < rtt || d > 2*rtt {
			t.Errorf("the server takes the round trip for %v, it is %v", d, rtt)
		}
	})
}
