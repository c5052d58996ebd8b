package dht

import (
	"fmt"
	"strings"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The two names that mean something of their own.
const (
	// NetworkDefault is the network of everyone who names none.
	NetworkDefault = "p2pnode"
	// NetworkPublic is the public IPFS DHT, with its own rules and bootstrappers.
	NetworkPublic = "ipfs"
)

// networkNameSizeMax is the longest network name in bytes: it has to fit into a
// DNS label together with the "_p2pnode-" of multicast DNS.
const networkNameSizeMax = 32

// NameError refuses a network name.
type NameError struct {
	Name string
	What string // what is wrong with it
}

func (e *NameError) Error() string {
	return fmt.Sprintf("network name %q: %s", e.Name, e.What)
}

// networkName is the name of a network in its only spelling.
type networkName string

// parseNetwork checks a name. Names become protocol IDs and DNS labels, so they
// are lower-case letters, digits and inner hyphens.
func parseNetwork(name string) (networkName, error) {
	if name == "" {
		return NetworkDefault, nil
	}
	if len(name) > networkNameSizeMax {
		return "", &NameError{name, fmt.Sprintf("longer than %d bytes", networkNameSizeMax)}
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", &NameError{name, "only a–z, 0–9 and hyphens are allowed"}
		}
	}
	if strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		return "", &NameError{name, "begins or ends with a hyphen"}
	}
	return networkName(name), nil
}

func (n networkName) public() bool { return n == NetworkPublic }

// prefix goes before every protocol of the network's DHT, so that peers of
// different networks never enter each other's routing tables.
func (n networkName) prefix() protocol.ID {
	switch n {
	case NetworkPublic:
		return amino.ProtocolPrefix
	case NetworkDefault:
		return "/p2pnode"
	default:
		return protocol.ID("/p2pnode/" + n)
	}
}

// protocol is that of the network's DHT.
func (n networkName) protocol() protocol.ID { return n.prefix() + "/kad/1.0.0" }

// serviceName is the network's name in multicast DNS.
func (n networkName) serviceName() string {
	if n == NetworkDefault {
		return "_p2pnode._udp"
	}
	return "_p2pnode-" + string(n) + "._udp"
}

// bootstrap is whom to dial when nobody was named.
func (n networkName) bootstrap() []peer.AddrInfo {
	if n.public() {
		return kad.GetDefaultBootstrapPeerAddrInfos()
	}
	return nil
}

// rules are the options in which the public DHT and one's own network differ.
//
// A network of one's own is a set of servers: ModeAuto would make everyone a
// client until AutoNAT has seen a public address, which on a LAN is never. The
// IP diversity filter groups IPv4 peers by /16, which on a loopback or a LAN
// holds everyone, and would cap the whole table at three: it is for the public
// network only, as are the filters that refuse private addresses.
func (n networkName) rules(h host.Host) []kad.Option {
	if !n.public() {
		return []kad.Option{kad.ProtocolPrefix(n.prefix()), kad.Mode(kad.ModeServer)}
	}
	return []kad.Option{
		kad.ProtocolPrefix(n.prefix()),
		kad.Mode(kad.ModeAuto),
		kad.QueryFilter(kad.PublicQueryFilter),
		kad.RoutingTableFilter(kad.PublicRoutingTableFilter),
		kad.RoutingTablePeerDiversityFilter(kad.NewRTPeerDiversityFilter(
			h, amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)),
		kad.AddressFilter(func(addrs []ma.Multiaddr) []ma.Multiaddr {
			return ma.FilterAddrs(addrs, manet.IsPublicAddr)
		}),
	}
}
