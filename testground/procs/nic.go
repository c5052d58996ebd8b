package procs

import (
	"errors"
	"net/netip"

	"github.com/libp2p/go-libp2p"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// NIC implements sim.Fabric.
func (g *Ground) NIC(addr netip.Addr, line fabric.Line) sim.NIC {
	h := g.host(addr)
	if h == nil {
		return loopbackNIC{}
	}
	h.SetSilent(false)
	h.SetLine(line)
	return hostNIC{h}
}

func (g *Ground) host(addr netip.Addr) *netns.Host {
	if g.lab == nil {
		return nil
	}
	for _, h := range g.lab.Hosts() {
		if h.Addr() == addr {
			return h
		}
	}
	return nil // Start refuses it
}

// hostNIC is the line of a host.
type hostNIC struct{ *netns.Host }

func (hostNIC) Transport() libp2p.Option { return noTransport }

// Crash loses all that comes and goes, so that not even the kernel says goodbye.
func (n hostNIC) Crash() { n.SetSilent(true) }

func (n hostNIC) Traffic() fabric.Traffic { return fabric.Traffic(n.Host.Traffic()) }

// loopbackNIC has a line that cannot be changed.
type loopbackNIC struct{}

func (loopbackNIC) Transport() libp2p.Option { return noTransport }
func (loopbackNIC) SetLine(fabric.Line)      {}
func (loopbackNIC) SetGroup(int)             {}
func (loopbackNIC) Crash()                   {}
func (loopbackNIC) Traffic() fabric.Traffic  { return fabric.Traffic{} }

// noTransport refuses hosts in this process.
func noTransport(*libp2p.Config) error {
	return errors.New("this network is for processes")
}
