package exchange_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
)

// slowStore takes its time to store, and counts.
type slowStore struct {
	blockstore.Store
	open chan struct{} // closed when Put may go on

	mu   sync.Mutex
	puts int // blocks
}

func (s *slowStore) Put(ctx context.Context, blocks ...block.Block) error {
	<-s.open
	s.mu.Lock()
	s.puts += len(blocks)
	s.mu.Unlock()
	return s.Store.Put(ctx, blocks...)
}

func (s *slowStore) stored() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts
}

// TestOneFetchForAll: sessions that want the same blocks share one fetch, and a
// block that is not stored yet is not fetched again.
func TestOneFetchForAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seedStore := blockstore.NewMem()
	store := &slowStore{Store: blockstore.NewMem(), open: make(chan struct{})}
	cids := fill(t, seedStore, 50, 10000)
	seed, h := loopback(t), loopback(t)
	run(t, seed, exchange.Options{Store: seedStore})
	x := run(t, h, exchange.Options{Store: store})
	connect(t, h, seed)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { getAll(ctx, t, x.Session(ctx), cids) })
	}
	wg.Wait()
	getAll(ctx, t, x.Session(ctx), cids) // from what is not stored yet
	s := x.Stats()
	if s.BlocksIn != 50 || s.DupBlocks != 0 || s.UnsavedBlocks != 50 {
		t.Errorf("%d blocks in, %d twice, %d unsaved", s.BlocksIn, s.DupBlocks, s.UnsavedBlocks)
	}
	close(store.open)
	waitFor(t, func() bool { return x.Stats().UnsavedBlocks == 0 })
	if n := store.stored(); n != 50 {
		t.Errorf("%d blocks were stored", n)
	}
	getAll(ctx, t, x.Session(ctx), cids) // stored a moment ago
	if s := x.Stats(); s.BlocksIn != 50 {
		t.Errorf("%d blocks in", s.BlocksIn)
	}
}

// TestSlowStoreHoldsBackReading: what waits for the store is bounded.
func TestSlowStoreHoldsBackReading(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seedStore := blockstore.NewMem()
	store := &slowStore{Store: blockstore.NewMem(), open: make(chan struct{})}
	cids := fill(t, seedStore, 40, 1<<20)
	seed, h := loopback(t), loopback(t)
	run(t, seed, exchange.Options{Store: seedStore})
	x := run(t, h, exchange.Options{Store: store, UnsavedSizeMax: 8 << 20})
	connect(t, h, seed)
	done := make(chan struct{})
	go func() {
		defer close(done)
		getAll(ctx, t, x.Session(ctx), cids)
	}()
	waitFor(t, func() bool { return x.Stats().UnsavedBlocks >= 8 })
	if n := x.Stats().UnsavedBlocks; n > 8 {
		t.Errorf("%d MiB wait for the store", n)
	}
	close(store.open)
	<-done
}

func TestPrefetch(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seedStore, store := blockstore.NewMem(), blockstore.NewMem()
	cids := fill(t, seedStore, 20, 1000)
	seed, h := loopback(t), loopback(t)
	run(t, seed, exchange.Options{Store: seedStore})
	x := run(t, h, exchange.Options{Store: store})
	connect(t, h, seed)
	s := x.Session(ctx)
	s.Prefetch(ctx, cids...)
	for _, c := range cids {
		waitFor(t, func() bool { _, err := store.Size(ctx, c); return err == nil })
	}
	if p := s.Progress(); p.Blocks != 20 || p.Bytes != 20000 || p.Peers != 1 || p.Wants != 0 || p.Phase != "idle" {
		t.Errorf("progress %+v", p)
	}
}

// TestGainedMeanwhile: a block that is added while a Get waits for it ends the
// wait.
func TestGainedMeanwhile(t *testing.T) {
	store, other := blockstore.NewMem(), blockstore.NewMem()
	c := fill(t, other, 1, 100)[0]
	x := run(t, loopback(t), exchange.Options{Store: store})
	got := make(chan error, 1)
	go func() {
		_, err := x.Session(t.Context()).Get(t.Context(), c)
		got <- err
	}()
	waitFor(t, func() bool { return x.Stats().Waiting == 1 })
	b, err := other.Get(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	x.Announce(c)
	if err := <-got; err != nil {
		t.Error(err)
	}
	if s := x.Stats(); s.Wants != 0 {
		t.Errorf("%d wants are left", s.Wants)
	}
}

func TestInlineAndForbidden(t *testing.T) {
	x := exchange.New(loopback(t), exchange.Options{})
	s := x.Session(t.Context())
	mh, _ := multihash.Sum([]byte("inline"), multihash.IDENTITY, -1)
	if b, err := s.Get(t.Context(), cid.NewCidV1(cid.Raw, mh)); err != nil || string(b.RawData()) != "inline" {
		t.Errorf("got %v, %v", b, err)
	}
	md5, _ := multihash.Encode(make([]byte, 16), multihash.MD5)
	if _, err := s.Get(t.Context(), cid.NewCidV1(cid.Raw, md5)); !errors.Is(err, block.ErrHashFunction) {
		t.Errorf("got %v", err)
	}
}

// TestStopped: a Get does not outlive Run.
func TestStopped(t *testing.T) {
	x := exchange.New(loopback(t), exchange.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	got := make(chan error, 1)
	c := fill(t, blockstore.NewMem(), 1, 1)[0]
	go func() {
		_, err := x.Session(t.Context()).Get(t.Context(), c)
		got <- err
	}()
	waitFor(t, func() bool { return x.Stats().Waiting == 1 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := <-got; !errors.Is(err, exchange.ErrStopped) {
		t.Errorf("got %v", err)
	}
	if err := x.Run(context.Background()); err == nil {
		t.Error("ran twice")
	}
}
