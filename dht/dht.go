// Package dht finds who has a block: provider records, peer addresses and
// signed values in a Kademlia distributed hash table.
//
// The table, the lookups and the server side are go-libp2p-kad-dht's, which
// enters the house here and nowhere else. This package adds what a node needs
// around it: networks by name, a journal of what this node provides, a routing
// table that survives a restart, patient joining, and multicast DNS for the LAN.
//
// It is not a block exchange: it never moves a block and never judges whether a
// provider told the truth.
//
// Invariant: once Provide has returned nil, the CIDs are in the journal on
// durable storage and stay there, provided again and again, until Unprovide.
// Nothing but the journal says what is provided; every queue can be rebuilt
// from it.
//
// Sources: the libp2p kad-dht specification; IPIP-337 and Kubo's reprovide
// sweep for how many records are kept alive.
package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	dssync "github.com/ipfs/go-datastore/sync"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrNoPeers is the error of every lookup that had nobody to ask: the routing
// table is empty, or the DHT is not running.
var ErrNoPeers = errors.New("no DHT peers")

// errRunTwice is a mistake of the caller.
var errRunTwice = errors.New("run DHT: it runs already")

// Options configure a DHT. The zero value is a server in the default network
// that forgets everything when the process ends.
type Options struct {
	// Network names the network: lower-case letters, digits and hyphens, at most
	// 32. "" means "p2pnode"; "ipfs" is the public IPFS DHT.
	Network string
	// Bootstrap are the peers to join through. nil means the network's own: the
	// public bootstrappers for "ipfs", nobody for any other network.
	Bootstrap []peer.AddrInfo
	// Store keeps the journal, records of others and the routing-table snapshot.
	// Sync must make what was put durable. nil keeps them in memory.
	Store ds.Batching
	// ReprovideInterval is how often every record is sent again. Zero means 22 h;
	// peers forget a record after 48 h.
	ReprovideInterval time.Duration
	// SnapshotInterval is how often the routing table is saved when it has
	// changed. Zero means 30 s.
	SnapshotInterval time.Duration
	// Logger hears of what goes on in the background. nil means silence.
	Logger *slog.Logger
}

// DHT is one node's membership in one network. Run makes it live; the journal
// works before and after.
type DHT struct {
	host      host.Host
	network   networkName
	bootstrap []peer.AddrInfo
	o         Options
	log       *slog.Logger
	journal   *journal
	snapshots *snapshots
	records   ds.Batching // kad-dht's own: what other peers stored here
	sweepData ds.Batching // the reprovider's own: its schedule

	gate       gate
	fresh      fresh
	thin       atomic.Bool   // a record was taken by fewer peers than the table would have
	refreshing chan struct{} // holds a token while a refresh is wanted
	rejoining  chan struct{} // holds a token while dials are wanted because nobody is left
	refreshed  atomic.Int64  // Unix seconds
	joinEnd    atomic.Int64  // Unix nanoseconds; until then a first peer is expected; 0 if nobody is known
	running    atomic.Bool
	counts     counts

	mu      sync.Mutex // guards sweeper
	sweeper scheduler  // nil unless the reprovider runs
}

// core is kad-dht while it runs.
type core = kad.IpfsDHT

// New prepares a DHT on h and starts nothing. It refuses a bad network name
// with *NameError.
func New(h host.Host, o Options) (*DHT, error) {
	n, err := parseNetwork(o.Network)
	if err != nil {
		return nil, err
	}
	if o.Store == nil {
		o.Store = dssync.MutexWrap(ds.NewMapDatastore())
	}
	if o.ReprovideInterval <= 0 {
		o.ReprovideInterval = amino.DefaultReprovideInterval
	}
	if o.SnapshotInterval <= 0 {
		o.SnapshotInterval = snapshotInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Bootstrap == nil {
		o.Bootstrap = n.bootstrap()
	}
	return &DHT{
		host:       h,
		network:    n,
		bootstrap:  o.Bootstrap,
		o:          o,
		log:        o.Logger,
		journal:    newJournal(o.Store),
		snapshots:  &snapshots{store: o.Store, key: ds.NewKey("/table").ChildString(string(n))},
		records:    namespace.Wrap(o.Store, ds.NewKey("/records").ChildString(string(n))),
		sweepData:  uncancelled{namespace.Wrap(o.Store, ds.NewKey("/sweep").ChildString(string(n)))},
		gate:       newGate(),
		fresh:      newFresh(),
		refreshing: make(chan struct{}, 1),
		rejoining:  make(chan struct{}, 1),
	}, nil
}

// Run joins the network, answers its peers, and provides what the journal
// holds, until ctx ends; then it saves the routing table, waits for everything
// it started and returns nil. The host must outlive it, and the store must
// outlive both: a request in flight may still read a record.
func (d *DHT) Run(ctx context.Context) error {
	if !d.running.CompareAndSwap(false, true) {
		return errRunTwice
	}
	defer d.running.Store(false)
	if err := d.journal.load(ctx); err != nil {
		return fmt.Errorf("load provider journal: %w", err)
	}
	c, err := d.start()
	if err != nil {
		return fmt.Errorf("start DHT: %w", err)
	}
	d.gate.open(c)
	d.fresh.clear() // the backlog, read from the journal, begins with it

	done, _ := d.journal.sizes()
	sweep := func(ctx context.Context, c *core) { d.sweep(ctx, c, done == 0) }
	var tasks sync.WaitGroup
	for _, task := range []func(context.Context, *core){
		d.join, d.refresh, d.watchPeers, d.saveTable, d.provideFresh, d.provideBacklog, sweep,
	} {
		tasks.Go(func() { task(ctx, c) })
	}
	<-ctx.Done()
	tasks.Wait()
	d.gate.close()
	return c.Close()
}

func (d *DHT) start() (*core, error) {
	opts := append(d.network.rules(d.host), kad.Datastore(d.records), kad.DisableAutoRefresh())
	return kad.New(d.host, opts...)
}

// Stats is a moment of a DHT's life.
type Stats struct {
	Network string `json:"network"`
	// Mode is "server", "client", "auto" (a server once it is seen to be
	// reachable), or "stopped".
	Mode           string `json:"mode"`
	TableSize      int    `json:"table_size"`      // peers in the routing table
	Provided       int    `json:"provided"`        // CIDs whose records have been sent and are kept alive
	Pending        int    `json:"pending"`         // CIDs that wait for their first record to be sent
	ProvidesDone   uint64 `json:"provides_done"`   // since Run
	ProvidesFailed uint64 `json:"provides_failed"` // attempts; each is tried again
	Lookups        uint64 `json:"lookups"`         // finds, gets and puts begun by callers
	LookupsRunning int    `json:"lookups_running"`
}

// counts are the parts of Stats that only grow.
type counts struct {
	provided, failed, lookups atomic.Uint64
}

// Stats can be called at any time.
func (d *DHT) Stats() Stats {
	provided, pending := d.journal.sizes()
	s := Stats{
		Network:        string(d.network),
		Mode:           "stopped",
		Provided:       provided,
		Pending:        pending,
		ProvidesDone:   d.counts.provided.Load(),
		ProvidesFailed: d.counts.failed.Load(),
		Lookups:        d.counts.lookups.Load(),
	}
	c, running := d.gate.peek()
	s.LookupsRunning = running
	if c != nil {
		s.TableSize = c.RoutingTable().Size()
		s.Mode = modeName(c.Mode())
	}
	return s
}

func modeName(m kad.ModeOpt) string {
	switch m {
	case kad.ModeServer, kad.ModeAutoServer:
		return "server"
	case kad.ModeClient:
		return "client"
	default:
		return "auto"
	}
}
