package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/quicnet"
)

// Fabric is what peers talk over. Package fabric is one; quicnet is another.
type Fabric interface {
	// NIC is the network interface of an address, made when it is asked for first,
	// or anew after a crash.
	NIC(addr netip.Addr, line fabric.Line) NIC
	// Listen is the multiaddr by which a host listens on an address and port.
	Listen(at netip.AddrPort) string
	// SetCut separates the groups a and b, or joins them again.
	SetCut(a, b int, c fabric.Cut)
	// Trace is a hash of all that has arrived so far, and when.
	Trace() [32]byte
	// Close ends it, after all hosts.
	Close()
}

// NIC is a peer's end of a fabric.
type NIC interface {
	// Transport is a libp2p option that connects a host by the NIC and nothing else.
	Transport() libp2p.Option
	// SetLine changes the line from now on.
	SetLine(fabric.Line)
	// SetGroup puts the peer into a group, for cuts; all begin in group 0.
	SetGroup(group int)
	// Crash cuts the line for good, without a goodbye.
	Crash()
	// Traffic is what went over the line so far.
	Traffic() fabric.Traffic
}

// Medium makes a fabric.
type Medium func(fabric.Options) Fabric

// MediumNames lists the media by name, the default one first.
func MediumNames() []string { return []string{"mem", "quic"} }

// MediumOf is the medium of that name.
func MediumOf(name string) (Medium, error) {
	media := []Medium{Mem, QUIC}
	if i := slices.Index(MediumNames(), name); i >= 0 {
		return media[i], nil
	}
	return nil, fmt.Errorf("no network %q; there is %v", name, MediumNames())
}

// Mem is a model of connections: package fabric.
func Mem(o fabric.Options) Fabric { return mem{fabric.New(o)} }

// QUIC is QUIC over packets: package quicnet. A connection's patience is QUIC's own;
// Options.KeepAlive does not change it.
func QUIC(o fabric.Options) Fabric {
	return quic{quicnet.New(quicnet.Options{Latency: o.Latency, Seed: o.Seed})}
}

type mem struct{ *fabric.Fabric }

func (m mem) NIC(addr netip.Addr, line fabric.Line) NIC { return m.Fabric.NIC(addr, line) }

type quic struct{ *quicnet.Network }

func (q quic) NIC(addr netip.Addr, line fabric.Line) NIC { return q.Network.NIC(addr, line) }
