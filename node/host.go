package node

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/pnet"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/p2pnode/p2pnode/exchange"
)

const (
	// connsLow and connsHigh are the connections kept when too many are open,
	// and how many are too many. Home routers track a few hundred at best.
	connsLow  = 32
	connsHigh = 96
	// connGrace is how long a new connection is safe from being trimmed. It is time
	// enough to find out what it is good for; what is in use is marked as such, and
	// what a lookup leaves behind are connections that are not.
	connGrace = 10 * time.Second
	// quicDelay is the head start of TCP over QUIC on private addresses.
	quicDelay = 150 * time.Millisecond
)

// What libp2p may hold. A stream beyond a limit is reset, and what was in it is
// lost; Kubo opens one for each few blocks, so a fetch of small blocks has many.
// The limits of exchange are within these, and let a peer wait instead.
const (
	peerStreams = 1024 // inbound streams of a peer
	nodeStreams = 4096 // and of all, for each protocol of the exchange too
	// A yamux stream reserves its window from the start, and yamux ends the whole
	// connection if it cannot. So memory must last until streams are counted,
	// which those in the backlog are not yet.
	streamWindow  = 256 << 10 // bytes
	streamBacklog = 256
	peerMemory    = (peerStreams + streamBacklog) * streamWindow
	nodeMemory    = 2 * peerMemory
	messageMemory = 64 << 20 // bytes of messages of a peer that are being read
)

// defaultListen is tried first; anyPort if one of its ports is taken.
var (
	defaultListen = []string{
		"/ip4/0.0.0.0/tcp/4101", "/ip4/0.0.0.0/udp/4101/quic-v1",
		"/ip6/::/tcp/4101", "/ip6/::/udp/4101/quic-v1",
	}
	anyPort = []string{
		"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1",
		"/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1",
	}
)

// newHost makes the libp2p host. It maps no port on the router and uses no
// relay: a node does to its network what its owner asked for, and no more.
func newHost(key crypto.PrivKey, o Options) (host.Host, error) {
	opts := []libp2p.Option{
		libp2p.UserAgent("p2pnode"),
		libp2p.DisableMetrics(),
		libp2p.DisableRelay(),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankDials)),
	}
	if len(o.PSK) > 0 {
		if len(o.PSK) != 32 {
			return nil, fmt.Errorf("make host: pre-shared key has %d bytes, not 32", len(o.PSK))
		}
		opts = append(opts, libp2p.PrivateNetwork(pnet.PSK(o.PSK)), libp2p.Transport(tcp.NewTCPTransport))
	}
	opts = append(opts, o.Libp2p...)
	opts = append(opts, resources, connections, identity(key))

	tries := [][]string{o.Listen}
	if o.Listen == nil {
		tries = [][]string{defaultListen, anyPort}
		if o.Repo == "" {
			tries = [][]string{anyPort}
		}
	}
	var h host.Host
	var err error
	for _, addrs := range tries {
		if len(o.PSK) > 0 && o.Listen == nil {
			addrs = withoutQUIC(addrs)
		}
		h, err = listen(addrs, opts)
		if err == nil {
			return h, nil
		}
	}
	return nil, err
}

// listen makes a host that listens on every one of addrs, or none: a port that
// is taken must not silently cost a transport.
func listen(addrs []string, opts []libp2p.Option) (host.Host, error) {
	h, err := libp2p.New(append([]libp2p.Option{libp2p.NoListenAddrs}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("make host: %w", err)
	}
	for _, text := range addrs {
		addr, err := ma.NewMultiaddr(text)
		if err == nil {
			err = h.Network().Listen(addr)
		}
		if err != nil && !optional(addr) {
			h.Close()
			return nil, fmt.Errorf("listen on %s: %w", text, err)
		}
	}
	return h, nil
}

// What follows completes the options of one host, which owns what they make: each
// does nothing where an option before has set the same.

func identity(key crypto.PrivKey) libp2p.Option {
	return func(c *libp2p.Config) error {
		if c.PeerKey == nil {
			c.PeerKey = key
		}
		return nil
	}
}

func connections(c *libp2p.Config) error {
	if c.ConnManager != nil {
		return nil
	}
	var err error
	c.ConnManager, err = connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connGrace))
	return err
}

// resources bounds what libp2p holds: by the defaults of libp2p, which grow with
// the machine, but with room for a peer that sends each block on a stream of its
// own.
func resources(c *libp2p.Config) error {
	if c.ResourceManager != nil {
		return nil
	}
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	raise(&limits.SystemBaseLimit, nodeStreams, nodeMemory)
	raise(&limits.TransientBaseLimit, peerStreams, 0) // whose protocol is not known yet
	raise(&limits.PeerBaseLimit, peerStreams, peerMemory)
	all, each := limits.ProtocolBaseLimit, limits.ProtocolPeerBaseLimit
	raise(&all, nodeStreams, nodeMemory)
	raise(&each, peerStreams, messageMemory)
	for _, id := range exchange.Protocols() {
		limits.AddProtocolLimit(id, all, limits.ProtocolLimitIncrease)
		limits.AddProtocolPeerLimit(id, each, limits.ProtocolPeerLimitIncrease)
	}
	var err error
	c.ResourceManager, err = rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()), rcmgr.WithMetricsDisabled())
	return err
}

// raise lets there be at least so many inbound streams, and bytes.
func raise(l *rcmgr.BaseLimit, streams int, memory int64) {
	l.StreamsInbound = max(l.StreamsInbound, streams)
	l.Streams = max(l.Streams, l.StreamsInbound+l.StreamsOutbound)
	l.Memory = max(l.Memory, memory)
}

// optional tells whether addr may fail to be listened on: machines without IPv6 are common.
func optional(addr ma.Multiaddr) bool {
	if len(addr) == 0 {
		return false
	}
	v, err := addr.ValueForProtocol(ma.P_IP6)
	return err == nil && v == "::"
}

func withoutQUIC(addrs []string) []string {
	var kept []string
	for _, text := range addrs {
		if a, err := ma.NewMultiaddr(text); err == nil && isQUIC(a) {
			continue
		}
		kept = append(kept, text)
	}
	return kept
}

func isQUIC(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_QUIC_V1)
	return err == nil
}

// rankDials prefers TCP to QUIC on loopback and private addresses, where
// kernel TCP carries three times the bytes per processor second; elsewhere
// libp2p's own ranking holds (QUIC first: one round trip less, better through NATs).
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	var private, public []ma.Multiaddr
	tcpFirst := false
	for _, a := range addrs {
		if manet.IsPrivateAddr(a) {
			private = append(private, a)
			tcpFirst = tcpFirst || !isQUIC(a)
		} else {
			public = append(public, a)
		}
	}
	ranked := swarm.DefaultDialRanker(public)
	for _, a := range private {
		d := network.AddrDelay{Addr: a}
		if isQUIC(a) && tcpFirst {
			d.Delay = quicDelay
		}
		ranked = append(ranked, d)
	}
	return ranked
}
