// Package quicnet is a network of packets in memory that libp2p hosts talk over by
// their real QUIC transport: handshakes, encryption, congestion control, streams and
// timers are those of the product. Its other half, package fabric, models connections
// and is cheaper by far; what they say in common they say in fabric's words.
//
// Packets and queues are simnet's: each peer has an uplink and a downlink with fair
// queues that drop what waits for too long (FQ-CoDel), and a latency lies between.
// This package adds what simnet has not: loss, jitter, cuts, crashes, NATs, and lines
// that change. There are no routers between, and headers below UDP are counted but
// take no time.
//
// Invariant: a packet is delivered only if, when it arrives, its receiver has not
// crashed, no cut lies between, and its receiver's NAT has let one out to its sender.
package quicnet

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/marcopolo/simnet"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

// Options of a network. The zero value is one without delay.
type Options struct {
	// Latency is how long a packet takes from a to b, one way. Nil: no time.
	Latency func(a, b netip.Addr) time.Duration

	// Seed decides jitter and loss.
	Seed uint64
}

// Network is a network. Make it, and all hosts on it, in one bubble, or in none.
type Network struct {
	o       Options
	packets *simnet.Simnet

	// mu is never held while a packet is handed on, which may have to wait.
	mu       sync.Mutex // guards the following, and all of the NICs and their sockets
	nics     map[netip.Addr]*NIC
	made     uint64 // NICs so far
	cuts     map[[2]int]fabric.Cut
	arrivals map[[2]netip.Addr]time.Time // of the last packet from one to the other
	trace    hash.Hash
}

// New makes a network. Close it after its hosts.
func New(o Options) *Network {
	if o.Latency == nil {
		o.Latency = func(a, b netip.Addr) time.Duration { return 0 }
	}
	n := &Network{
		o: o, nics: make(map[netip.Addr]*NIC), cuts: make(map[[2]int]fabric.Cut),
		arrivals: make(map[[2]netip.Addr]time.Time), trace: sha256.New(),
	}
	// Whoever is not there gets no packets; that is no news.
	n.packets = &simnet.Simnet{LatencyFunc: n.delay, Logger: slog.New(slog.DiscardHandler)}
	n.packets.Start()
	return n
}

// Close ends the network: nothing moves any more.
func (n *Network) Close() { n.packets.Close() }

// delay is how long a packet is on its way between two lines. Jitter does not let a
// packet overtake another: it stands for queues on the way, which keep their order,
// and QUIC takes a packet that others have overtaken for lost.
func (n *Network) delay(p *simnet.Packet) time.Duration {
	from, to := addrPort(p.From).Addr(), addrPort(p.To).Addr()
	n.mu.Lock()
	defer n.mu.Unlock()
	a, b := n.nics[from], n.nics[to]
	if a == nil || b == nil {
		return 0
	}
	now := time.Now()
	d := n.o.Latency(from, to)
	if j := a.line.Jitter + b.line.Jitter; j > 0 {
		d += time.Duration(a.rng.Int64N(int64(j)))
	}
	pair := [2]netip.Addr{from, to}
	at := now.Add(d)
	if last := n.arrivals[pair]; at.Before(last) {
		at = last
	}
	n.arrivals[pair] = at
	return at.Sub(now)
}

// Trace is a hash of all packets that have arrived so far: when, from whom, to whom,
// and every byte.
func (n *Network) Trace() [32]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return [32]byte(n.trace.Sum(nil))
}

// note adds to the trace: time and length in 8 bytes each, from and to in 16 bytes
// each, data.
func (n *Network) note(from, to netip.Addr, data []byte) {
	a, b := from.As16(), to.As16()
	head := make([]byte, 0, 48)
	head = binary.LittleEndian.AppendUint64(head, uint64(time.Now().UnixNano()))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(data)))
	n.trace.Write(append(append(head, a[:]...), b[:]...))
	n.trace.Write(data)
}

// random is the source of a NIC's loss and jitter: its own, for the order in which
// peers send at the same moment is nobody's.
func (n *Network) random() *rand.Rand {
	n.made++
	return rand.New(rand.NewPCG(n.o.Seed, n.made))
}

func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
