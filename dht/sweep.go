package dht

import (
	"context"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

const (
	// sweepWorkers is how many regions are provided again at once. The sweep has
	// a day's time; few workers keep its memory small.
	sweepWorkers = 2
	// sweepDelay is for how long the DHT runs before the sweep begins, so that a
	// process that lives shortly does not begin one. Nothing is lost: the sweep
	// keeps its schedule on disk.
	sweepDelay = time.Minute
	// sweepDelayFresh is the same for one that has nothing to send again for hours. The
	// reprovider begins with lookups, to know the size of the network; joining comes first.
	sweepDelayFresh = 10 * time.Minute
	// sweepConnsMax is how many connections one worker may open.
	sweepConnsMax = 10
)

// scheduler is what the rest of the package needs of the reprovider.
type scheduler interface {
	AddToSchedule(hashes ...multihash.Multihash) error
}

// sweep runs the stock reprovider, which walks the key space once per interval,
// region by region, and sends all the records of a region together.
//
// Only its schedule is used. It reads the keys from the journal, and the first
// provide of a key is not left to it: its queue of new keys lives in memory, is
// cleared when the node was offline for long, and is saved only by a clean
// stop, so a crash would leave keys unprovided for a day.
//
// fresh says that nothing was provided before this run: then nothing is overdue, and the
// cycle begins without the reprovide of everything that the reprovider begins with.
func (d *DHT) sweep(ctx context.Context, c *core, fresh bool) {
	wait := sweepDelay
	if fresh {
		wait = sweepDelayFresh
	}
	delay := time.NewTimer(min(wait, d.o.ReprovideInterval))
	defer delay.Stop()
	select {
	case <-ctx.Done():
		return
	case <-delay.C:
	}
	select { // a node that provides nothing has no need to know the network's size
	case <-ctx.Done():
		return
	case <-d.journal.used:
	}
	router := &prompt{core: c}
	s, err := d.startSweeper(router, fresh)
	if err != nil {
		// Providing new CIDs and finding go on; what was provided before expires.
		d.log.Error("start reprovider", "error", err)
		return
	}
	d.setSweeper(s)
	<-ctx.Done()
	d.setSweeper(nil)
	router.settle()
	if err := s.Close(); err != nil {
		d.log.Warn("stop reprovider", "error", err)
	}
}

func (d *DHT) startSweeper(c *prompt, fresh bool) (*provider.SweepingProvider, error) {
	return provider.New(
		provider.WithHost(d.host),
		provider.WithRouter(c),
		provider.WithMessageSender(c.MessageSender()),
		provider.WithSelfAddrs(c.FilteredAddrs),
		provider.WithAddLocalRecord(func(ctx context.Context, h multihash.Multihash) error {
			return c.ProviderStore().AddProvider(ctx, h, peer.AddrInfo{ID: d.host.ID()})
		}),
		provider.WithKeystore(journalKeys{d.journal}),
		provider.WithDatastore(d.sweepData),
		provider.WithReprovideInterval(d.o.ReprovideInterval),
		provider.WithSkipBootstrapReprovide(fresh),
		provider.WithReplicationFactor(replicas),
		provider.WithMaxWorkers(sweepWorkers),
		provider.WithDedicatedPeriodicWorkers(1),
		provider.WithDedicatedBurstWorkers(1),
		provider.WithMaxProvideConnsPerWorker(sweepConnsMax),
	)
}

func (d *DHT) setSweeper(s scheduler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweeper = s
}

// schedule tells the reprovider of keys that have entered the journal's done
// part. While it does not know the network yet it does nothing, and reads the
// whole journal once it does.
func (d *DHT) schedule(sent []entry) {
	d.mu.Lock()
	s := d.sweeper
	d.mu.Unlock()
	if s == nil {
		return
	}
	hashes := make([]multihash.Multihash, len(sent))
	for i, e := range sent {
		hashes[i] = e.hash
	}
	if err := s.AddToSchedule(hashes...); err != nil {
		d.log.Warn("schedule reprovide", "count", len(sent), "error", err)
	}
}

// routerPause is how long the reprovider sleeps after an error of its router.
const routerPause = time.Second

// prompt is the router of the reprovider, whose Close waits for a mutex that is held
// while it sleeps after an error of its router, even that of being closed. So it gets
// none while it closes, and does not close while it sleeps.
type prompt struct {
	*core
	closing  atomic.Bool
	failedAt atomic.Int64 // Unix nanoseconds
}

func (p *prompt) GetClosestPeers(ctx context.Context, key string) ([]peer.ID, error) {
	if p.closing.Load() {
		return nil, nil // nobody reads it any more
	}
	peers, err := p.core.GetClosestPeers(ctx, key)
	switch {
	case ctx.Err() != nil || p.closing.Load():
		return nil, nil
	case err != nil:
		p.failedAt.Store(time.Now().UnixNano())
	}
	return peers, err
}

// settle returns when the reprovider has nothing to sleep for any more.
func (p *prompt) settle() {
	p.closing.Store(true)
	time.Sleep(time.Until(time.Unix(0, p.failedAt.Load()).Add(routerPause)))
}

// uncancelled is a datastore for the reprovider, whose Close cancels its
// context before it saves its state through it.
type uncancelled struct{ ds.Batching }

func (u uncancelled) Get(ctx context.Context, k ds.Key) ([]byte, error) {
	return u.Batching.Get(context.WithoutCancel(ctx), k)
}

func (u uncancelled) Has(ctx context.Context, k ds.Key) (bool, error) {
	return u.Batching.Has(context.WithoutCancel(ctx), k)
}

func (u uncancelled) GetSize(ctx context.Context, k ds.Key) (int, error) {
	return u.Batching.GetSize(context.WithoutCancel(ctx), k)
}

func (u uncancelled) Query(ctx context.Context, q query.Query) (query.Results, error) {
	return u.Batching.Query(context.WithoutCancel(ctx), q)
}

func (u uncancelled) Put(ctx context.Context, k ds.Key, value []byte) error {
	return u.Batching.Put(context.WithoutCancel(ctx), k, value)
}

func (u uncancelled) Delete(ctx context.Context, k ds.Key) error {
	return u.Batching.Delete(context.WithoutCancel(ctx), k)
}

func (u uncancelled) Sync(ctx context.Context, k ds.Key) error {
	return u.Batching.Sync(context.WithoutCancel(ctx), k)
}

func (u uncancelled) Batch(ctx context.Context) (ds.Batch, error) {
	b, err := u.Batching.Batch(context.WithoutCancel(ctx))
	return uncancelledBatch{b}, err
}

type uncancelledBatch struct{ ds.Batch }

func (u uncancelledBatch) Put(ctx context.Context, k ds.Key, value []byte) error {
	return u.Batch.Put(context.WithoutCancel(ctx), k, value)
}

func (u uncancelledBatch) Delete(ctx context.Context, k ds.Key) error {
	return u.Batch.Delete(context.WithoutCancel(ctx), k)
}

func (u uncancelledBatch) Commit(ctx context.Context) error {
	return u.Batch.Commit(context.WithoutCancel(ctx))
}
