package quicnet

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/marcopolo/simnet"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

const (
	headerSize = 28 // bytes of IP and UDP
	// unlimited stands for a line without a limit, in bits/s: simnet has none.
	unlimited = 1_000_000_000_000
	// natTime is for how long a NAT lets answers in after a packet has gone out, as
	// RFC 4787 recommends.
	natTime = 5 * time.Minute
)

// NIC is a peer's end of the network.
type NIC struct {
	n       *Network
	addr    netip.Addr
	line    fabric.Line
	group   int
	dead    bool
	rng     *rand.Rand
	traffic fabric.Traffic

	socket *socket // nil if none is open
	// sent is when a packet went last to whom: as many as there are peers, at most.
	sent  map[netip.AddrPort]time.Time
	conns []conn
}

// NIC returns the network interface of an address, made when it is asked for first,
// or anew after a crash.
func (n *Network) NIC(addr netip.Addr, line fabric.Line) *NIC {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.nics[addr]
	if c == nil || c.dead {
		group := 0
		if c != nil {
			group = c.group
		}
		c = &NIC{n: n, addr: addr, group: group, rng: n.random(), sent: make(map[netip.AddrPort]time.Time)}
		n.nics[addr] = c
	}
	c.setLine(line)
	return c
}

// SetLine changes the line from now on. If that is a change of rate, what waits at
// the downlink is lost.
func (c *NIC) SetLine(l fabric.Line) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.setLine(l)
}

func (c *NIC) setLine(l fabric.Line) {
	was := c.line
	c.line = l
	if c.socket != nil && (was.Up != l.Up || was.Down != l.Down) {
		c.socket.connect()
	}
}

// link is the line as simnet has it.
func (c *NIC) link() simnet.NodeBiDiLinkSettings {
	rate := func(bits int) simnet.LinkSettings {
		if bits == 0 {
			bits = unlimited
		}
		return simnet.LinkSettings{BitsPerSecond: bits}
	}
	return simnet.NodeBiDiLinkSettings{Uplink: rate(c.line.Up), Downlink: rate(c.line.Down)}
}

// Traffic returns what went over the line so far. Lost counts packets that were, of
// which QUIC sends again what matters.
func (c *NIC) Traffic() fabric.Traffic {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	return c.traffic
}

// Crash cuts the line for good, without a goodbye. The others notice when QUIC's
// patience ends, 30 s after the last packet, or by a stateless reset when the address
// is in use again and they send to it.
func (c *NIC) Crash() {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.dead = true
	c.conns = nil
}

// sends notes a packet, and tells whether it gets onto the line.
func (c *NIC) sends(to netip.AddrPort, size int) bool {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.dead {
		return false
	}
	c.sent[to] = time.Now()
	c.traffic.PacketsOut++
	c.traffic.BytesOut += int64(size + headerSize)
	return !c.loses()
}

// receives notes a packet, and tells whether it gets through.
func (c *NIC) receives(from netip.AddrPort, data []byte) bool {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	sender := c.n.nics[from.Addr()]
	switch {
	case c.dead, sender == nil, c.n.cut(sender, c) != fabric.Open, !c.lets(from), c.loses():
		return false
	}
	c.n.note(from.Addr(), c.addr, data)
	c.traffic.PacketsIn++
	c.traffic.BytesIn += int64(len(data) + headerSize)
	return true
}

// lets tells whether the NAT, if there is one, lets in what comes from an address.
func (c *NIC) lets(from netip.AddrPort) bool {
	if !c.line.NoInbound {
		return true
	}
	last, ever := c.sent[from]
	return ever && time.Since(last) < natTime
}

// loses draws whether the line loses a packet.
func (c *NIC) loses() bool {
	if c.line.Loss <= 0 || c.rng.Float64() >= c.line.Loss {
		return false
	}
	c.traffic.Lost++
	return true
}
