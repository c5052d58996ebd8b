package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/fabric"
)

const (
	// networkName keeps the peers from any other network.
	networkName = "sim"
	port        = 4001
)

// PeerOptions say what a peer is like. The zero value is a perfect line, somewhere.
type PeerOptions struct {
	Line   fabric.Line
	Region int // of Regions
	// Bootstrap are peers to join the network by.
	Bootstrap []*Peer
	// Table are peers that it knows from a run before, a moment ago.
	Table []*Peer
	// Conns is how many connections it keeps when it has three times as many; 0 is what
	// it keeps by itself.
	Conns int
	// NoSwarm has it speak bitswap alone.
	NoSwarm bool
	// Skew is by how much its clock is ahead; see SetSkew.
	Skew time.Duration
}

// Peer is a peer of a network: an identity, an address, and what it keeps, whether
// it runs or not.
type Peer struct {
	net    *Network
	number int
	id     peer.ID
	key    crypto.PrivKey
	addr   netip.Addr
	region int
	o      PeerOptions

	// node is the running one. It is read without mu: Start holds that for as long
	// as a node takes to open, and whoever waits for a mutex stops a bubble's time.
	node  atomic.Pointer[node.Node]
	guest atomic.Pointer[Guest]

	mu      sync.Mutex // guards the following
	nic     NIC
	store   *blockstore.Mem
	state   ds.Batching
	traffic *Traffic
}

// Add makes a peer that does not run yet.
func (n *Network) Add(o PeerOptions) (*Peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := len(n.peers)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n.config.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(number))
	key, _, err := crypto.GenerateEd25519Key(rand.NewChaCha8(seed))
	if err != nil {
		return nil, fmt.Errorf("add peer: %w", err)
	}
	p := &Peer{
		net: n, number: number, key: key, region: o.Region, o: o,
		// Each has a /16 of its own, so that nobody takes them for one operator.
		addr: netip.AddrFrom4([4]byte{byte(20 + number>>8), byte(number), 0, 7}),
	}
	if p.id, err = peer.IDFromPrivateKey(key); err != nil {
		return nil, fmt.Errorf("add peer: %w", err)
	}
	if o.Skew != 0 {
		if err := p.SetSkew(o.Skew); err != nil {
			return nil, fmt.Errorf("add peer: %w", err)
		}
	}
	p.forget()
	n.peers = append(n.peers, p)
	n.byAddr[p.addr] = p
	return p, nil
}

// forget empties what the peer keeps.
func (p *Peer) forget() {
	p.store, p.state = blockstore.NewMem(), dssync.MutexWrap(ds.NewMapDatastore())
}

// String is a short name, such as "peer 7".
func (p *Peer) String() string { return fmt.Sprintf("peer %d", p.number) }

// Number counts the peers of a network, from 0.
func (p *Peer) Number() int { return p.number }

// ID is the peer ID.
func (p *Peer) ID() peer.ID { return p.id }

// Region is where it is.
func (p *Peer) Region() int { return p.region }

// Addr is a multiaddr with /p2p/ID.
func (p *Peer) Addr() string { return fmt.Sprintf("%s/p2p/%s", p.listen(), p.id) }

func (p *Peer) listen() string { return p.net.fabric.Listen(netip.AddrPortFrom(p.addr, port)) }

// Node is the running node, nil if the peer does not run.
func (p *Peer) Node() *node.Node { return p.node.Load() }

// NIC is the peer's end of the network, nil until it has run.
func (p *Peer) NIC() NIC {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nic
}

// Traffic counts bytes by protocol since the peer was started last; nil before.
func (p *Peer) Traffic() *Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.traffic
}

// Start opens the node, with what the peer has kept.
func (p *Peer) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Runs() {
		return fmt.Errorf("start %s: it runs", p)
	}
	p.nic = p.net.fabric.NIC(p.addr, p.o.Line)
	p.traffic = new(Traffic)
	o := node.Options{
		Network: networkName, Listen: []string{p.listen()}, NoMDNS: true, NoSwarm: p.o.NoSwarm,
		Store: p.store, State: p.state,
		Logger: p.net.config.Logger.With("peer", p.number),
		Libp2p: p.hostOptions(),
	}
	for _, b := range p.o.Bootstrap {
		o.Bootstrap = append(o.Bootstrap, b.Addr())
	}
	var n *node.Node
	var err error
	labelled(ctx, p, func(ctx context.Context) {
		if err = p.remember(ctx); err == nil {
			n, err = node.Open(ctx, o)
		}
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", p, err)
	}
	p.node.Store(n)
	return nil
}

// labelled runs f so that a trace, and a profile, name the peer in the goroutines
// that f starts, and so that they have its clock.
func labelled(ctx context.Context, p *Peer, f func(context.Context)) {
	pprof.Do(ctx, pprof.Labels(det.PeerLabel, strconv.Itoa(p.number)), f)
}

// Stop closes what runs, in order.
func (p *Peer) Stop() error {
	if end := p.take(); end != nil {
		return end()
	}
	return nil
}

// Crash takes the peer off the network without a goodbye, and ends it. What it has
// kept stays, unless lose says that its disk is gone too.
func (p *Peer) Crash(lose bool) error {
	remote, elsewhere := p.Guest().(Remote)
	end := p.take()
	if end == nil {
		return errors.New("crash: peer does not run")
	}
	p.NIC().Crash()
	if elsewhere {
		return remote.Kill(lose)
	}
	err := end()
	if lose {
		p.mu.Lock()
		p.forget()
		p.mu.Unlock()
	}
	return err
}

// SetBootstrap names the peers by which p joins when it starts.
func (p *Peer) SetBootstrap(by []*Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Bootstrap = by
}

// SetNoSwarm has the peer speak bitswap alone from its next start on, or not.
func (p *Peer) SetNoSwarm(alone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.NoSwarm = alone
}

// SetLine changes the peer's line from now on.
func (p *Peer) SetLine(l fabric.Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Line = l
	if p.nic != nil {
		p.nic.SetLine(l)
	}
}

// Since is the time since the network began.
func (p *Peer) Since() time.Duration { return p.net.Age() }
