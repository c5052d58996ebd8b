package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/gossip"
	"github.com/p2pnode/p2pnode/unixfs"
)

// connectTimeout bounds a dial that nobody waits for.
const connectTimeout = 15 * time.Second

// ErrAddress means an address that does not say which peer it is of, or is no
// multiaddr at all.
var ErrAddress = errors.New("not a multiaddr with /p2p/ID")

// PeerInfo is what is known of a connected peer.
type PeerInfo struct {
	ID        string        `json:"id"`
	Addr      string        `json:"addr"`
	Direction string        `json:"direction"` // "inbound" or "outbound"
	RTT       time.Duration `json:"rtt_ns"`    // 0 when it was not measured
	Agent     string        `json:"agent,omitempty"`
}

// Addrs returns the addresses that the node can be reached by, each with /p2p/ID.
func (n *Node) Addrs() []string {
	if n.host == nil {
		return nil
	}
	var addrs []string
	for _, a := range n.host.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, n.id))
	}
	return addrs
}

// Connect connects to the peer at addr, a multiaddr with /p2p/ID.
func (n *Node) Connect(ctx context.Context, addr string) error {
	if n.host == nil {
		return fmt.Errorf("connect to %s: %w", addr, ErrOffline)
	}
	ai, err := parseAddr(addr)
	if err != nil {
		return err
	}
	began := time.Now()
	if err = n.dial(ctx, ai); err != nil && time.Since(began) < connectAgainMax {
		// It may have met a dial from there, which neither side survives over TCP.
		pause := time.NewTimer(connectPause/2 + rand.N(connectPause))
		defer pause.Stop()
		select {
		case <-pause.C:
			err = n.dial(ctx, ai)
		case <-ctx.Done():
		}
	}
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	return nil
}

const (
	// connectAgainMax is how soon a dial must have failed to be tried once more.
	connectAgainMax = time.Second
	// connectPause is about how long later.
	connectPause = 300 * time.Millisecond
)

func (n *Node) dial(ctx context.Context, ai peer.AddrInfo) error {
	// That a dial of our own failed a moment ago is no answer to somebody who asks for one
	// now.
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(ai.ID)
	}
	return n.host.Connect(ctx, ai)
}

// Peers returns the connected peers, ordered by ID.
func (n *Node) Peers() []PeerInfo {
	if n.host == nil {
		return nil
	}
	var list []PeerInfo
	for _, id := range n.host.Network().Peers() {
		conns := n.host.Network().ConnsToPeer(id)
		if len(conns) == 0 {
			continue
		}
		p := PeerInfo{ID: id.String(), Addr: conns[0].RemoteMultiaddr().String(), Direction: "outbound"}
		if conns[0].Stat().Direction == network.DirInbound {
			p.Direction = "inbound"
		}
		p.RTT = n.host.Peerstore().LatencyEWMA(id)
		if v, err := n.host.Peerstore().Get(id, "AgentVersion"); err == nil {
			p.Agent, _ = v.(string)
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b PeerInfo) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// FindProviders yields the peers that say they have c, as they are found.
func (n *Node) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	if n.dht == nil {
		return func(yield func(peer.AddrInfo, error) bool) {
			yield(peer.AddrInfo{}, fmt.Errorf("find providers of %s: %w", c, ErrOffline))
		}
	}
	return n.dht.FindProviders(ctx, c)
}

// Provide tells the network that this node has c. It returns when the order is
// on disk; it is repeated for as long as the node runs.
func (n *Node) Provide(ctx context.Context, c cid.Cid) error {
	if n.dht == nil {
		return fmt.Errorf("provide %s: %w", c, ErrOffline)
	}
	if _, err := n.store.Size(ctx, c); err != nil {
		return fmt.Errorf("provide %s: %w", c, err)
	}
	return n.provide(ctx, c)
}

// Offer tells a connected peer that it can have what this node has below c. It is up to the peer
// to fetch it.
func (n *Node) Offer(ctx context.Context, to peer.ID, c cid.Cid) error {
	if n.exchange == nil {
		return fmt.Errorf("offer %s: %w", c, ErrOffline)
	}
	link, err := unixfs.Resolve(ctx, n.Local(), unixfs.Path{Root: c})
	if err != nil {
		return fmt.Errorf("offer %s: %w", c, err)
	}
	return n.exchange.Offer(ctx, to, c, int64(link.Tsize))
}

// Offers yields what peers have offered, and with follow what they offer until ctx ends. What a
// peer offers is fetched only if somebody gets it.
func (n *Node) Offers(ctx context.Context, follow bool) iter.Seq[exchange.Offered] {
	switch {
	case n.exchange == nil:
		return func(func(exchange.Offered) bool) {}
	case follow:
		return n.exchange.Offers(ctx)
	}
	return slices.Values(n.exchange.Offered())
}

// GetValue returns the newest valid value of key in the DHT, such as the IPNS
// record under "/ipns/" and a peer ID's bytes.
func (n *Node) GetValue(ctx context.Context, key string) ([]byte, error) {
	if n.dht == nil {
		return nil, fmt.Errorf("get value: %w", ErrOffline)
	}
	return n.dht.GetValue(ctx, key)
}

// Gossip returns the node's publish and subscribe, nil when offline.
func (n *Node) Gossip() *gossip.Gossip { return n.gossip }

func parseAddr(text string) (peer.AddrInfo, error) {
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("read address %q: %w: %w", text, ErrAddress, err)
	}
	ai, err := peer.AddrInfoFromP2pAddr(addr)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("read address %q: %w: %w", text, ErrAddress, err)
	}
	return *ai, nil
}

// parseAddrs joins the addresses of one peer.
func parseAddrs(texts []string) ([]peer.AddrInfo, error) {
	var list []peer.AddrInfo
	for _, text := range texts {
		ai, err := parseAddr(text)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(x peer.AddrInfo) bool { return x.ID == ai.ID })
		if i < 0 {
			list = append(list, ai)
		} else {
			list[i].Addrs = append(list[i].Addrs, ai.Addrs...)
		}
	}
	return list, nil
}
