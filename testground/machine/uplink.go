package machine

import "time"

// offer puts a lane in line for the uplink, if it has something to send and not too
// much on the way.
func (p *Peer) offer(l *lane) {
	if l.waiting || l.end.closed || len(l.queue) == 0 || l.flight >= p.flightMax(l.end.to) {
		return
	}
	l.waiting = true
	p.ring = append(p.ring, l)
	p.pump()
}

// flightMax is how many bytes a lane may have on the way: what fits into the path,
// and into the routers of it.
func (p *Peer) flightMax(to *Peer) int {
	rate := p.line.Up
	if d := to.line.Down; d > 0 && (rate <= 0 || d < rate) {
		rate = d
	}
	if rate <= 0 {
		return flightMax
	}
	delay := 2*p.w.o.Latency(p, to) + p.line.Jitter + to.line.Jitter + queueTime
	return min(max(flightMin, int(delay.Seconds()*float64(rate)/8)), flightMax)
}

// pump sends the next slice, if the uplink is free.
func (p *Peer) pump() {
	for !p.busy && len(p.ring) > 0 {
		l := p.ring[0]
		p.ring[0] = nil
		p.ring = p.ring[1:]
		l.waiting = false
		if l.end.closed || len(l.queue) == 0 {
			continue
		}
		k := &packet{lane: l, m: l.queue[0]}
		k.size = min(p.line.slice(), k.m.size-k.m.left)
		p.busy = true
		p.After(duration(k.size, p.line.Up), func() {
			p.busy = false
			p.left(k)
			p.pump()
		})
	}
}

// left notes that a packet has left.
func (p *Peer) left(k *packet) {
	if k.lane.end.closed {
		return
	}
	l, m := k.lane, k.m
	m.left += k.size
	l.flight += k.size
	if m.left == m.size {
		l.queue[0] = nil
		l.queue = l.queue[1:]
		p.report(m, true)
	} else if m.leaves != nil && p.w.now-m.leftAt >= leavingEvery {
		size := m.left - m.leftTold
		m.leftAt, m.leftTold = p.w.now, m.left
		p.Do(func() { m.leaves(size) })
	}
	p.w.forward(k)
	p.offer(l)
}

// forward carries a packet to its receiver's line, or holds it if there is a cut.
func (w *World) forward(k *packet) {
	from, to := k.lane.end.from, k.lane.end.to
	if w.cut(from, to) == Hold {
		w.held = append(w.held, k)
		return
	}
	once := w.o.Latency(from, to)
	d := once * time.Duration(1+2*retries(from.line, to.line, k.size, w.rng))
	if j := from.line.Jitter + to.line.Jitter; j > 0 {
		d += time.Duration(w.rng.Int64N(int64(j)))
	}
	k.lane.last = max(k.lane.last, w.now+d)
	w.queue.push(k.lane.last, func() { to.enter(k) })
}

// enter takes a packet into the downlink.
func (p *Peer) enter(k *packet) {
	if !p.hears(k) {
		return
	}
	p.downFree = max(p.downFree, p.w.now) + duration(k.size, p.line.Down)
	if p.downFree == p.w.now {
		p.arrive(k)
		return
	}
	p.After(p.downFree-p.w.now, func() { p.arrive(k) })
}

// hears tells whether the peer knows of the connection that a packet is on. If not,
// the packet is lost, and the sender's lane stays as full as it was.
func (p *Peer) hears(k *packet) bool {
	e := p.ends[k.lane.end.from]
	return p.up && e != nil && e.serial == k.lane.end.serial
}

// arrive completes a message, or a part of it.
func (p *Peer) arrive(k *packet) {
	if !p.hears(k) {
		return
	}
	from, m := k.lane.end.from, k.m
	k.lane.flight -= k.size
	from.offer(k.lane)
	m.arrived += k.size
	switch {
	case m.dropped:
	case m.arrived == m.size:
		p.handle(Message{From: from.id, Content: m.content})
	case m.toldAt == 0:
		m.toldAt = p.w.now
	case p.w.now-m.toldAt > arrivingEvery:
		size := m.arrived - m.told
		m.told, m.toldAt = m.arrived, p.w.now
		p.handle(Arriving{From: from.id, Size: size})
	}
}
