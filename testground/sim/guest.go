package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	ma "github.com/multiformats/go-multiaddr"
)

// Guest is software other than a node that runs as a peer: under its identity, at its
// address, on its line. It is a Hosted or a Remote.
type Guest interface {
	// Close ends it, and its host, and returns when nothing of it is left.
	Close() error
}

// Hosted is a guest in this process.
type Hosted interface {
	Guest
	// Host is what it talks over.
	Host() host.Host
}

// Remote is a guest in a process of its own.
type Remote interface {
	Guest
	// Connect connects it to another peer.
	Connect(ctx context.Context, to peer.AddrInfo) error
	// Connected are the peers that it is connected to.
	Connected() []peer.ID
	// Kill ends it at once. What it has kept is there for the next of the peer's
	// guests, unless lose says that it is gone.
	Kill(lose bool) error
}

// Seat is what a peer has for a guest.
type Seat struct {
	// Options make a libp2p host the peer's. It listens.
	Options []libp2p.Option
	// Key, At and Listen are what Options have of the peer: who it is, its address, and
	// the multiaddr at which it listens.
	Key    crypto.PrivKey
	At     netip.Addr
	Listen string
	// DHT is what the name of the network's DHT protocol begins with.
	DHT protocol.ID
	// Bootstrap are peers to join the network by.
	Bootstrap []peer.AddrInfo
	// Table are peers that it knows from a run before, the nearest first.
	Table []peer.AddrInfo
}

// StartGuest runs what open makes as the peer, instead of a node, until Stop or Crash.
func (p *Peer) StartGuest(ctx context.Context, open func(context.Context, Seat) (Guest, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Runs() {
		return fmt.Errorf("start %s: it runs", p)
	}
	p.nic = p.net.fabric.NIC(p.addr, p.o.Line)
	p.traffic = new(Traffic)
	s := Seat{
		Options: append(p.hostOptions(), libp2p.ListenAddrStrings(p.listen())), Key: p.key, At: p.addr, Listen: p.listen(),
		DHT: "/p2pnode/" + networkName, Bootstrap: infos(p.o.Bootstrap), Table: infos(p.o.Table),
	}
	var g Guest
	var err error
	labelled(ctx, p, func(ctx context.Context) { g, err = open(ctx, s) })
	if err != nil {
		return fmt.Errorf("start %s: %w", p, err)
	}
	p.guest.Store(&g)
	return nil
}

// hostOptions are those that make a libp2p host the peer's.
func (p *Peer) hostOptions() []libp2p.Option {
	return []libp2p.Option{
		p.nic.Transport(), libp2p.Identity(p.key),
		libp2p.BandwidthReporter(p.traffic),
		// An address is known to all here, and what one process can hold is
		// not for a peer to decide.
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.Ping(false),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
		p.connections,
	}
}

// connGrace is for how long a new connection is safe where Conns is set: a lookup leaves
// behind many that nobody needs.
const connGrace = 5 * time.Second

// connections is an option of the host, which owns what it makes. A guest may have set a
// connection manager before, which runs already.
func (p *Peer) connections(c *libp2p.Config) (err error) {
	if p.o.Conns <= 0 {
		return nil
	}
	if c.ConnManager != nil {
		err = c.ConnManager.Close()
	}
	if err == nil {
		c.ConnManager, err = connmgr.NewConnManager(p.o.Conns, 3*p.o.Conns, connmgr.WithGracePeriod(connGrace))
	}
	return err
}

// infos are the peers as libp2p has them.
func infos(peers []*Peer) []peer.AddrInfo {
	var list []peer.AddrInfo
	for _, p := range peers {
		list = append(list, p.info())
	}
	return list
}

func (p *Peer) info() peer.AddrInfo {
	return peer.AddrInfo{ID: p.id, Addrs: []ma.Multiaddr{ma.StringCast(p.listen())}}
}

// Guest is the running guest, nil if there is none.
func (p *Peer) Guest() Guest {
	if g := p.guest.Load(); g != nil {
		return *g
	}
	return nil
}

// Runs tells whether the peer runs, be it a node or a guest.
func (p *Peer) Runs() bool { return p.node.Load() != nil || p.guest.Load() != nil }

// Connect connects to another peer.
func (p *Peer) Connect(ctx context.Context, to *Peer) error {
	if n := p.Node(); n != nil {
		return n.Connect(ctx, to.Addr())
	}
	switch g := p.Guest().(type) {
	case Hosted:
		return g.Host().Connect(ctx, to.info())
	case Remote:
		return g.Connect(ctx, to.info())
	}
	return errors.New("peer does not run")
}

// Connected are the IDs of the peers that p is connected to, in order.
func (p *Peer) Connected() []string {
	var ids []string
	if n := p.Node(); n != nil {
		for _, o := range n.Peers() {
			ids = append(ids, o.ID)
		}
	}
	var guests []peer.ID
	switch g := p.Guest().(type) {
	case Hosted:
		guests = g.Host().Network().Peers()
	case Remote:
		guests = g.Connected()
	}
	for _, id := range guests {
		ids = append(ids, id.String())
	}
	slices.Sort(ids)
	return ids
}

// take ends the peer's run and returns how to close what ran, nil if nothing did.
func (p *Peer) take() func() error {
	if n := p.node.Swap(nil); n != nil {
		return n.Close
	}
	if g := p.guest.Swap(nil); g != nil {
		return (*g).Close
	}
	return nil
}
