// Package node assembles a peer: it opens a repo, starts the protocols, and
// introduces them to each other. It is the Go API of p2pnode: open a node, add
// and get files, pin them, connect to peers.
//
// It is not a protocol and holds no policy of one: what it adds is pins,
// garbage collection, and the order of an add (blocks are durable before the
// pin, the pin before the CID is returned).
//
// Invariant: what a method has acknowledged survives the death of the process
// and of the machine; and no block that is pinned, or that a running call has
// written or reads, is ever collected.
package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/dht"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/gossip"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// ErrOffline is returned by what needs the network on a node without one.
var ErrOffline = errors.New("node is offline")

// Node is a running peer. Its methods are safe for concurrent use.
type Node struct {
	id    peer.ID
	log   *slog.Logger
	store *guard      // every block goes through it
	disk  *disk.Store // nil when the store was injected or is memory
	state ds.Batching
	pins  *pins

	readOnly bool // the repo takes no writes: what must be kept is refused

	// The network; all nil when offline.
	host     host.Host
	exchange *exchange.Exchange
	dht      *dht.DHT
	gossip   *gossip.Gossip

	docs *replica.Replica // nil without an Ed25519 key

	stop     context.CancelFunc
	stopDocs func() // before stop: documents say goodbye
	running  errgroup.Group

	closeOnce sync.Once
	closers   []func() error // in the order of opening
	closeErr  error
}

// Open opens the node that o describes. It runs until Close; ctx bounds the
// opening only.
func Open(ctx context.Context, o Options) (_ *Node, err error) {
	o = o.withDefaults()
	n := &Node{log: o.Logger}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	key, err := n.openRepo(o)
	if err != nil {
		return nil, err
	}
	if n.id, err = peer.IDFromPrivateKey(key); err != nil {
		return nil, fmt.Errorf("name peer: %w", err)
	}
	if n.pins, err = openPins(ctx, n.state, n.readOnly); err != nil {
		return nil, err
	}
	if o.Offline {
		return n, n.openDocs(ctx, key, o)
	}
	if err := n.openNetwork(ctx, key, o); err != nil {
		return nil, err
	}
	n.start(o)
	return n, nil
}

// openRepo opens what is kept: key, blocks, state. Whatever was injected stays
// the caller's to close.
func (n *Node) openRepo(o Options) (crypto.PrivKey, error) {
	key, err := n.openFolder(o)
	if err != nil {
		return nil, err
	}
	var store blockstore.Store
	switch {
	case o.Store != nil:
		store = o.Store
	case o.Repo == "":
		store = blockstore.NewMem()
	default:
		if err := n.openDisk(o); err != nil {
			return nil, err
		}
		store = n.disk
	}
	n.store = newGuard(store)
	return key, n.openState(o)
}

func (n *Node) openDisk(o Options) error {
	dir := filepath.Join(o.Repo, "blocks")
	opts := disk.Options{CacheSizeMax: o.CacheSizeMax, Logger: o.Logger}
	if o.RebuildIndex {
		if _, err := disk.RebuildIndex(context.Background(), dir, opts); err != nil {
			return fmt.Errorf("rebuild index: %w", err)
		}
	}
	var err error
	if n.disk, err = disk.Open(dir, opts); err != nil {
		return fmt.Errorf("open blocks: %w", err)
	}
	n.closers = append(n.closers, n.disk.Close)
	return nil
}

func (n *Node) openFolder(o Options) (crypto.PrivKey, error) {
	n.state = o.State
	if o.Repo == "" {
		if n.state == nil {
			n.state = dssync.MutexWrap(ds.NewMapDatastore())
		}
		if o.Host != nil {
			return o.Host.Peerstore().PrivKey(o.Host.ID()), nil
		}
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		return key, nil
	}
	r, err := openRepo(o.Repo)
	if err != nil {
		return nil, err
	}
	n.closers = append(n.closers, r.close)
	n.readOnly = r.readOnly
	return r.key, nil
}

// openState opens the repo's database. The blocks are open by now: on a full
// disk they have made room for it, or have found that there is none.
func (n *Node) openState(o Options) error {
	if n.state != nil {
		return nil
	}
	open := openState
	var room func(int64) error // nobody to ask when the blocks are elsewhere
	if n.disk != nil {
		room = n.disk.MakeRoom
		if err := n.disk.Writable(); err != nil {
			open, room = openStateCopy, func(int64) error { return err }
		}
	}
	if n.readOnly {
		open = openStateCopy
	}
	s, err := open(filepath.Join(o.Repo, "state"))
	if err != nil {
		return err
	}
	s.room = room
	n.closers = append(n.closers, s.Close)
	n.state = s
	return nil
}

// openNetwork makes the protocols; nothing runs yet.
func (n *Node) openNetwork(ctx context.Context, key crypto.PrivKey, o Options) error {
	n.host = o.Host
	if n.host == nil {
		h, err := newHost(key, o)
		if err != nil {
			return err
		}
		n.closers = append(n.closers, h.Close)
		n.host = h
	}
	n.id = n.host.ID()
	bootstrap, err := parseAddrs(o.Bootstrap)
	if err != nil {
		return fmt.Errorf("read bootstrap: %w", err)
	}
	n.dht, err = dht.New(n.host, dht.Options{
		Network:   o.Network,
		Bootstrap: bootstrap,
		Store:     n.state,
		Logger:    o.Logger,
	})
	if err != nil {
		return fmt.Errorf("open dht: %w", err)
	}
	n.gossip, err = gossip.New(n.host, gossip.Options{Network: o.Network, Logger: o.Logger})
	if err != nil {
		return fmt.Errorf("open gossip: %w", err)
	}
	if err := o.Limits.Check(); err != nil {
		return fmt.Errorf("open exchange: %w", err)
	}
	// The host may have an identity of its own: who edits is whom peers know.
	if own := n.host.Peerstore().PrivKey(n.id); own != nil {
		key = own
	}
	if err := n.openDocs(ctx, key, o); err != nil {
		return err
	}
	x := exchange.Options{Store: n.served(), Finder: n.dht, Links: links, Limits: o.Limits, Logger: o.Logger}
	if o.NoSwarm {
		x.Links = nil
	}
	n.exchange = exchange.New(n.host, x)
	return nil
}

// links are those of a block in any codec that is known.
func links(b block.Block) ([]cid.Cid, error) {
	list, err := codec.Links(b)
	if err != nil {
		return nil, err
	}
	cids := make([]cid.Cid, len(list))
	for i, l := range list {
		cids[i] = l.Cid
	}
	return cids, nil
}

// start runs the protocols until Close.
func (n *Node) start(o Options) {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	run := func(name string, f func(context.Context) error) {
		n.running.Go(func() error {
			err := f(ctx)
			if err != nil && ctx.Err() == nil {
				n.log.Error("protocol ended", "protocol", name, "err", err)
			}
			return err
		})
	}
	run("exchange", n.exchange.Run)
	run("dht", n.dht.Run)
	run("gossip", n.gossip.Run)
	n.stopDocs = n.startDocs()
	if !o.NoMDNS {
		run("mdns", func(ctx context.Context) error {
			return dht.RunMDNS(ctx, n.host, o.Network, func(ai peer.AddrInfo) { n.greet(ctx, ai) })
		})
	}
}

// greet connects to a peer that was found nearby.
func (n *Node) greet(ctx context.Context, ai peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := n.host.Connect(ctx, ai); err != nil {
		n.log.Debug("connect to local peer", "peer", ai.ID, "err", err)
	}
}

// Close ends everything that Open started and gives the repo up. Later calls
// return what the first did.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		if n.stop != nil {
			n.stopDocs() // while what they need is there
			n.stop()
			if err := n.running.Wait(); err != nil && !errors.Is(err, context.Canceled) {
				n.closeErr = err
			}
		}
		for i := len(n.closers) - 1; i >= 0; i-- {
			n.closeErr = errors.Join(n.closeErr, n.closers[i]())
		}
	})
	return n.closeErr
}

// ID returns the peer ID.
func (n *Node) ID() peer.ID { return n.id }
