// Package exchange fetches blocks from peers and serves them: over bitswap, by their names,
// and to and from peers that speak the swarm protocol DAGs, by the numbers of their leaves.
//
// It is not a store and not a search: it keeps blocks in a blockstore.Store,
// finds peers through a Finder, and tells a Judge how they behave. What to ask
// of whom is decided by two machines, in exchange/swap for blocks and in exchange/swarm
// for DAGs; the bytes are made by exchange/wire and exchange/frame; this package is the
// driver between the machines and the world.
//
// A block of a DAG that is fetched whole is the swarm's, unless no peer of the swarm has
// it: then it is asked for by name. What came one way is asked for no more the other way.
// Peers that speak bitswap alone are guests of a swarm: its machine asks them for leaves, and serves
// them, by frames that guest.go and order.go put into bitswap.
//
// One goroutine (Run's) owns the machines and never waits for anything but the
// next event: reading, hashing, storing, writing, dialing and searching each
// happen elsewhere and come back as events.
//
// Invariant: a block is handed out only after it was verified, and announced
// only after it was stored. Memory for strangers is bounded by the bytes that
// they have sent, and by limits.go.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// Finder names peers that may have a block. The sequence ends when the search
// has; an error is yielded last.
type Finder interface {
	FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error]
}

// Judge knows what peers have earned. Both methods return at once.
type Judge interface {
	// Score is below 0 for a peer that is to be asked last.
	Score(peer.ID) float64
	Report(peer.ID, Fault)
}

// Fault is a way for a peer to misbehave.
type Fault = swap.Fault

// The faults that a Judge hears of.
const (
	FaultJunk      = swap.FaultJunk
	FaultPromise   = swap.FaultPromise
	FaultStall     = swap.FaultStall
	FaultFlood     = swap.FaultFlood
	FaultMalformed = Fault("malformed message")
	FaultSlow      = Fault("message too slow")
)

// Options says how to build an Exchange. The zero value works: it serves and
// keeps nothing, and asks connected peers only.
type Options struct {
	// Store holds the blocks that are served, and gets those that are fetched.
	Store blockstore.Store
	// Finder searches for peers that have a block. Default: none.
	Finder Finder
	// Links are those of a block, in their order; an error means that it cannot be a node
	// of a DAG. Default: none, and DAGs are fetched block by block.
	Links func(block.Block) ([]cid.Cid, error)
	// Judge hears of misbehaviour. Default: nobody.
	Judge Judge
	// Logger gets what an operator may want to know. Default: discarded.
	Logger *slog.Logger
	// UnsavedSizeMax is how many bytes of blocks may wait for the store before
	// reading from peers pauses. Default 32 MiB.
	UnsavedSizeMax int64
	// ServingSizeMax is how many bytes of replies may be under way. Default 64 MiB.
	ServingSizeMax int
	// DialsMax is how many providers are dialed at a time. Default 8.
	DialsMax int
	// Limits bound what goes to peers and comes from them. SetLimits changes them.
	// Default: unlimited.
	Limits Limits
}

// Exchange fetches and serves blocks while Run runs.
type Exchange struct {
	host host.Host
	o    Options
	log  *slog.Logger

	inputs  chan any // swap.Event, arrival, refresh or query
	started atomic.Bool
	stopped chan struct{} // closed when the loop has ended
	unsaved *semaphore.Weighted
	dials   chan struct{} // slots
	hashes  chan func()
	up      *pacer // of blocks that are sent
	down    *pacer // of blocks that are received
	gate    *gate
	saves   chan struct{} // a token when there may be something to save
	offers  offers
	nextID  atomic.Uint64
	tasks   sync.WaitGroup

	mu       sync.Mutex // guards the following fields
	closing  bool
	waiting  map[cid.Cid][]*waiter
	pending  map[cid.Cid]block.Block // delivered, not stored yet
	queue    []block.Block           // of these, those that no Put has begun for
	saved    savedRing
	sessions map[uint64]*Session
	inbound  map[peer.ID]*inbound
	remotes  map[peer.ID]*remote // written by Run's goroutine only
	members  map[peer.ID]*member // the same
	banned   map[peer.ID]time.Time
}

// ErrStopped is returned by Get when the exchange does not run any more.
var ErrStopped = errors.New("exchange stopped")

// New returns an exchange over h that does nothing until Run.
func New(h host.Host, o Options) *Exchange {
	if o.Store == nil {
		o.Store = nowhere{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.UnsavedSizeMax <= 0 {
		o.UnsavedSizeMax = 32 << 20
	}
	o.UnsavedSizeMax = max(o.UnsavedSizeMax, 2*messageSizeMax)
	if o.DialsMax <= 0 {
		o.DialsMax = 8
	}
	return &Exchange{
		host:     h,
		o:        o,
		log:      o.Logger.With("part", "exchange"),
		inputs:   make(chan any, inputsMax),
		stopped:  make(chan struct{}),
		unsaved:  semaphore.NewWeighted(o.UnsavedSizeMax),
		dials:    make(chan struct{}, o.DialsMax),
		hashes:   make(chan func()),
		gate:     newGate(),
		saves:    make(chan struct{}, 1),
		waiting:  make(map[cid.Cid][]*waiter),
		pending:  make(map[cid.Cid]block.Block),
		sessions: make(map[uint64]*Session),
		inbound:  make(map[peer.ID]*inbound),
		remotes:  make(map[peer.ID]*remote),
		members:  make(map[peer.ID]*member),
		banned:   make(map[peer.ID]time.Time),
		up:       newPacer(o.Limits.UpBytesPerSec),
		down:     newPacer(o.Limits.DownBytesPerSec),
	}
}

// Run serves and fetches until ctx ends, and waits for all that it started. It
// can be called once.
func (x *Exchange) Run(ctx context.Context) error {
	if !x.started.CompareAndSwap(false, true) {
		return errors.New("run exchange: it was run before")
	}
	if err := x.o.Limits.Check(); err != nil {
		return fmt.Errorf("run exchange: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer x.wait()
	defer close(x.stopped) // before wait: tasks may be posting
	defer cancel()
	for range min(max(runtime.GOMAXPROCS(0), hashersMin), hashersMax) {
		x.spawn(func() { x.hashing(ctx) })
	}
	x.spawn(func() { x.saving(ctx) })
	x.spawn(func() { x.gate.run(ctx) })
	if err := x.listen(ctx); err != nil {
		return fmt.Errorf("run exchange: %w", err)
	}
	defer x.unlisten()
	x.loop(ctx)
	return nil
}

// spawn runs a part of Run. It does nothing if Run is about to return.
func (x *Exchange) spawn(f func()) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closing {
		return false
	}
	x.tasks.Go(f)
	return true
}

func (x *Exchange) wait() {
	x.mu.Lock()
	x.closing = true
	x.mu.Unlock()
	x.tasks.Wait()
}

// loop owns the machine.
func (x *Exchange) loop(ctx context.Context) {
	d := newDriver(x)
	defer d.close()
	d.limit(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case in := <-x.inputs:
			d.handle(ctx, in)
		case <-timer.C:
			d.wake(ctx)
		}
		if next := d.next(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(next), 0))
		}
	}
}

// post gives the loop something to do. It fails when the exchange has stopped
// or ctx has ended.
func (x *Exchange) post(ctx context.Context, in any) error {
	select {
	case x.inputs <- in:
		return nil
	case <-x.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Announce says that the store holds these blocks from now on: peers, and Gets,
// that wait for them are answered. Blocks that the exchange fetched need no Announce.
func (x *Exchange) Announce(cids ...cid.Cid) {
	if x.started.Load() { // else nobody waits
		x.spawn(func() { x.announce(context.Background(), cids) })
	}
}

func (x *Exchange) announce(ctx context.Context, cids []cid.Cid) {
	var held swap.Held
	for _, c := range cids {
		if size, err := x.o.Store.Size(ctx, c); err == nil {
			held.Blocks = append(held.Blocks, swap.Sized{Cid: c, Size: size})
		}
		if len(x.stillWaited([]cid.Cid{c})) > 0 {
			if b, err := x.o.Store.Get(ctx, c); err == nil {
				x.post(ctx, gained{b})
			}
		}
	}
	if len(held.Blocks) > 0 {
		x.post(ctx, held)
	}
}

// nowhere is the store of an exchange that was given none.
type nowhere struct{}

func (nowhere) Get(_ context.Context, c cid.Cid) (block.Block, error) {
	return block.Block{}, &block.NotFoundError{Cid: c}
}
func (nowhere) Put(context.Context, ...block.Block) error { return nil }
func (nowhere) Size(_ context.Context, c cid.Cid) (int, error) {
	return 0, &block.NotFoundError{Cid: c}
}
func (nowhere) Delete(context.Context, ...cid.Cid) error { return nil }
func (nowhere) All(context.Context) iter.Seq2[cid.Cid, error] {
	return func(func(cid.Cid, error) bool) {}
}
