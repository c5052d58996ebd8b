package fabric

import (
	"math"
	"net/netip"
	"time"
)

// Line is how a peer is connected. The zero value is a perfect line.
type Line struct {
	Up, Down int           // bits/s; 0 is unlimited
	Jitter   time.Duration // added to the latency of a packet, at most
	Loss     float64       // share of packets, 0 to 1
	// NoInbound drops what tries to connect, as a NAT does.
	NoInbound bool
}

const (
	packetSize = 1400 // bytes of a packet that carry data
	headerSize = 60   // bytes of a packet that do not
	// queueTime bounds what is on the way of a connection beyond bandwidth times
	// delay: the queue that congestion control leaves at a bottleneck.
	queueTime = 20 * time.Millisecond
	// flightMin is the least that may be on the way, in bytes.
	flightMin = 64 << 10
)

// Traffic counts what went over a line, in bytes and packets.
type Traffic struct {
	BytesOut, BytesIn     int64
	PacketsOut, PacketsIn int64
	Lost                  int64 // packets that were sent again
}

// NIC is a peer's end of the network.
type NIC struct {
	f     *Fabric
	addr  netip.Addr
	line  Line
	group int
	dead  bool

	listeners map[uint16]*listener
	conns     map[*conn]uint64 // and in which order they were made
	waiting   []*conn          // with something to send, in turn
	sending   bool
	downFree  time.Time
	traffic   Traffic
}

// NIC returns the network interface of an address, made when it is asked for
// first, or anew after a crash.
func (f *Fabric) NIC(addr netip.Addr, line Line) *NIC {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nics[addr]
	if n == nil || n.dead {
		group := 0
		if n != nil {
			group = n.group
		}
		n = &NIC{f: f, addr: addr, group: group, listeners: make(map[uint16]*listener), conns: make(map[*conn]uint64)}
		f.nics[addr] = n
	}
	n.line = line
	return n
}

// SetLine changes the line from now on.
func (n *NIC) SetLine(l Line) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.line = l
}

// Traffic returns what went over the line so far.
func (n *NIC) Traffic() Traffic {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	return n.traffic
}

// Crash cuts the line for good, without a goodbye. The others notice when their
// patience ends, or at once when the address is in use again and they send to it.
func (n *NIC) Crash() {
	f := n.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.dead {
		return
	}
	n.dead = true
	n.waiting = nil
	for _, c := range n.inOrder() {
		remote := c.remote
		c.end(errCrashed)
		f.at(time.Now().Add(f.o.KeepAlive), func(time.Time) { remote.end(errTimeout) })
	}
}

// airtime is how long a line of so many bits per second is busy with size bytes.
func airtime(size, bits int) time.Duration {
	if bits == 0 {
		return 0
	}
	return time.Duration(float64(size) * 8 / float64(bits) * float64(time.Second))
}

// packets is how many packets size bytes are.
func packets(size int) int { return 1 + (size-1)/packetSize }

// wireSize is what size bytes are on the line.
func wireSize(size int) int { return size + packets(size)*headerSize }

// flightMax is how much a connection from n may have on the way to o, in bytes.
func (n *NIC) flightMax(o *NIC) int {
	rate := n.line.Up
	if rate == 0 || o.line.Down != 0 && o.line.Down < rate {
		rate = o.line.Down
	}
	if rate == 0 {
		return math.MaxInt
	}
	delay := n.f.o.Latency(n.addr, o.addr) + n.line.Jitter + o.line.Jitter + queueTime
	return max(flightMin, int(delay.Seconds()*float64(rate)/8))
}

// offer puts a connection in line for the uplink, if it may send.
func (n *NIC) offer(c *conn, now time.Time) {
	if c.waiting || n.dead || len(c.queue) == 0 || c.flight >= n.flightMax(c.remote.nic) {
		return
	}
	c.waiting = true
	n.waiting = append(n.waiting, c)
	if !n.sending {
		n.send(now)
	}
}

// send puts one frame of the connection whose turn it is on the line.
func (n *NIC) send(now time.Time) {
	n.sending = false
	for len(n.waiting) > 0 && !n.sending {
		c := n.waiting[0]
		n.waiting[0] = nil
		n.waiting = n.waiting[1:]
		c.waiting = false
		if len(c.queue) == 0 {
			continue
		}
		fr := c.queue[0]
		c.queue[0] = frame{}
		c.queue = c.queue[1:]
		size := wireSize(len(fr.data))
		n.traffic.BytesOut += int64(size)
		n.traffic.PacketsOut += int64(packets(len(fr.data)))
		left := now.Add(airtime(size, n.line.Up))
		c.flight += len(fr.data)
		c.travel(fr, left)
		if left.After(now) {
			n.sending = true
			n.f.at(left, n.send)
		}
		fr.from.sent(len(fr.data))
		n.offer(c, now)
	}
}

// travel brings a frame to the other end, which it reaches after all before it.
func (c *conn) travel(fr frame, left time.Time) {
	f := c.nic.f
	at := left.Add(f.delay(c.nic, c.remote.nic))
	if lost := c.lost(len(fr.data)); lost > 0 {
		c.nic.traffic.Lost += int64(lost)
		at = at.Add(f.delay(c.nic, c.remote.nic) + f.delay(c.remote.nic, c.nic)) // noticed, and sent again
	}
	if at.Before(c.lastArrival) {
		at = c.lastArrival
	}
	c.lastArrival = at
	f.at(at, func(now time.Time) { c.arrive(fr, now) })
}

// lost draws how many packets of a frame get lost.
func (c *conn) lost(size int) int {
	p := 1 - (1-c.nic.line.Loss)*(1-c.remote.nic.line.Loss)
	if p <= 0 {
		return 0
	}
	n := 0
	for range packets(size) {
		if c.nic.f.rng.Float64() < p {
			n++
		}
	}
	return n
}

// arrive takes a frame through the downlink of the other end.
func (c *conn) arrive(fr frame, now time.Time) {
	to := c.remote.nic
	switch {
	case to.dead && c.nic.f.nics[to.addr] == to:
		return // silence
	case c.remote.ended != nil:
		c.refuse(now)
		return
	case c.nic.f.cut(c.nic, to) != Open:
		c.held = append(c.held, fr)
		return
	}
	c.nic.f.note(now, c.nic.addr, to.addr, fr)
	size := wireSize(len(fr.data))
	to.traffic.BytesIn += int64(size)
	to.traffic.PacketsIn += int64(packets(len(fr.data)))
	if to.line.Down == 0 {
		c.deliver(fr, now)
		return
	}
	if to.downFree.Before(now) {
		to.downFree = now
	}
	to.downFree = to.downFree.Add(airtime(size, to.line.Down))
	c.nic.f.at(to.downFree, func(now time.Time) { c.deliver(fr, now) })
}

// refuse answers for an end that knows nothing of the connection any more, or a
// host that has crashed and come back.
func (c *conn) refuse(now time.Time) {
	if c.ended == nil {
		f := c.nic.f
		f.at(now.Add(f.delay(c.remote.nic, c.nic)), func(time.Time) { c.end(errRemoteReset) })
	}
}
