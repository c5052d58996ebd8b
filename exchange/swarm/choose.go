package swarm

import (
	"math"
	"slices"
	"time"
)

const (
	// triesMax is how many leaves are compared to choose the rarest.
	triesMax = 256
	// asksMin is how many leaves a peer may always be asked for, asksAlone the same if there
	// is nobody else, and asksStart if moreover no rate was measured.
	asksMin   = 2
	asksAlone = 3
	asksStart = 8
	// asksFresh is how many leaves a peer may be asked for beyond that which it has just got and
	// no more than freshMax have.
	asksFresh = 2
	freshMax  = 2
	// asksGuest is how many leaves a guest may always be asked for. Each is one that others of the
	// swarm may ask it for as well: guests do not say what they are about to send.
	asksGuest = 4
	// heirsMax is how many leaves may be taken back at a time for one peer.
	heirsMax = 4
	// urgentFirst is how many of the leaves that somebody waits for come before those that
	// are rare: who reads ahead waits for many.
	urgentFirst = 4
	// copiesLeft is with how many leaves to come a second peer is asked for one, even if the
	// first is not much slower.
	copiesLeft = 2
	// againTime is after which time it is looked again who had better be asked for what guests are
	// asked for, though nothing has happened: that may be what is wrong.
	againTime = 500 * time.Millisecond
	// takeMin is what must be saved at least by asking another peer for a leaf.
	takeMin = 20 * time.Millisecond
)

// fill asks for leaves, as far as windows and peers allow.
func (m *Machine) fill(d *dag) {
	if d.fetch == nil || d.state != dagKnown {
		return
	}
	for {
		var best *link
		leaf := -1
		end, sated := d.end(), m.sated(d)
		for _, l := range d.links {
			if !l.room() || sated && !l.r.near || best != nil && l.finish() >= best.finish() {
				continue
			}
			if i := m.choose(l); i >= 0 && (l.finish() <= end || !m.soonerElsewhere(l, i)) {
				best, leaf = l, i
			}
		}
		if best == nil {
			break
		}
		m.ask(best, leaf)
	}
	m.freshen(d)
	m.relieve(d)
	if f := d.fetch; !f.again.IsSet() && slices.ContainsFunc(d.links, func(l *link) bool { return l.r.guest && len(l.asks) > 0 }) {
		m.alarms.Set(&f.again, m.now.Add(againTime))
	}
	m.watchLack(d)
}

// freshen asks peers for leaves that they have just got and few have, before all that they are
// asked for already: otherwise what is rarest would wait for the longest queues.
func (m *Machine) freshen(d *dag) {
	f := d.fetch
	for _, l := range d.links {
		i := l.fresh
		if l.fresh = -1; i < 0 || !f.need.has(i) || f.busy.has(i) || !f.near(i) || l.isBarred(m.now, i) {
			continue
		}
		if !l.serves() || l.r.guest || !f.isRead() && l.r.isRead() || !l.r.near && m.sated(d) {
			continue
		}
		rarer := !slices.ContainsFunc(l.asks, func(a *ask) bool { return d.avail[a.n] <= d.avail[i] })
		if rarer && l.r.asked > 0 && l.r.asked < asksMin+asksFresh {
			m.ask(l, i)
		}
	}
}

// sated tells whether the limit has no room for more of the DAG from peers that are not
// near. Every DAG may have a few leaves under way.
func (m *Machine) sated(d *dag) bool {
	asked := 0
	for _, l := range d.links {
		if !l.r.near {
			asked += len(l.asks)
		}
	}
	return asked >= asksMin && m.atLimit()
}

// atLimit tells whether more from peers that are not near would only wait for the limit.
func (m *Machine) atLimit() bool {
	if !m.o.Appetite.Limited() {
		return false
	}
	out := 0
	for _, r := range m.order {
		if !r.near {
			out += r.out
		}
	}
	return m.o.Appetite.Sated(m.now, out)
}

// room tells whether the peer can be asked for another leaf.
func (l *link) room() bool {
	r := l.r
	if !l.serves() || !l.d.fetch.isRead() && r.isRead() {
		return false
	}
	// A peer that may be slow gets little at first, if there are others.
	few := asksMin
	switch alone := l.d.alone(); {
	case r.guest:
		few = asksGuest
	case alone && r.window.Rate == 0:
		few = asksStart
	case alone:
		few = asksAlone
	}
	return r.asked < few || r.out < min(r.allow, r.window.Size) && (r.window.Rate > 0 || l.d.alone())
}

// finish estimates when another leaf from the peer would be there.
func (l *link) finish() time.Duration { return l.r.finish(l.d.fetch.size) }

// finish estimates when size more bytes from the peer would be there. A guest that was silent when
// something was taken back from it is taken to be so for as long again.
func (r *remote) finish(size int) time.Duration { return r.window.Finish(r.out+size) + r.silent }

// forsake notes for how long a guest has sent nothing, as something is taken back from it. Others
// say so when they serve somebody else first.
func (m *Machine) forsake(r *remote) {
	if r.guest {
		r.silent = max(r.silent, m.now.Sub(r.sent))
	}
}

// isMute tells whether a guest sent nothing when it was to: that it has a leaf is only its word.
func (r *remote) isMute() bool { return r.silent > 0 }

// soonerElsewhere tells whether another peer will have time for a leaf before this one
// would have sent it.
func (m *Machine) soonerElsewhere(l *link, i int) bool {
	return slices.ContainsFunc(l.d.links, func(o *link) bool {
		return o != l && o.serves() && o.has.has(i) && !o.isBarred(m.now, i) && o.finish() < l.finish()
	})
}

// serves tells whether the peer can be asked for leaves, be it not at the moment.
func (l *link) serves() bool {
	return l.mine.state == channelOpen && l.has != nil && l.r.stalled.IsZero() && l.r.allow > 0
}

// end estimates when all would be there if all peers sent at their rates: who would send a
// leaf later than that is not to be asked for it, if another can.
func (d *dag) end() time.Duration {
	rate, rtt := 0.0, time.Duration(0)
	for _, l := range d.links {
		if !l.serves() {
			continue
		}
		if l.r.window.Rate == 0 {
			return math.MaxInt64
		}
		rate += l.r.window.Rate
		rtt = max(rtt, l.r.window.RTT)
	}
	if rate == 0 {
		return math.MaxInt64
	}
	return 2*rtt + takeMin + time.Duration(float64(d.fetch.toCome()*d.fetch.size)/rate*float64(time.Second))
}

// choose returns a leaf that the peer has and nobody is asked for: one that somebody
// waits for, else the rarest, -1 if there is none. If nobody else has to do with the DAG,
// the first is as good as the others.
func (m *Machine) choose(l *link) int {
	d, f := l.d, l.d.fetch
	alone := d.alone()
	for _, w := range f.urgent[:min(len(f.urgent), urgentFirst)] {
		if !alone && m.now.Sub(w.since) < waitMin {
			continue
		}
		if i := w.n; !f.busy.has(i) && l.has.has(i) && !l.isBarred(m.now, i) {
			return i
		}
	}
	n := len(l.has)
	if n == 0 {
		return -1
	}
	start := 0
	if !alone {
		start = m.rng.IntN(n)
	}
	best, tries := -1, 0
	for k := range n {
		w := (start + k) % n
		free := l.has[w] & f.need[w] &^ f.busy[w]
		for ; free != 0; free &= free - 1 {
			i := w*64 + trailing(free)
			if l.isBarred(m.now, i) || !f.near(i) {
				continue
			}
			if alone {
				return i
			}
			tries++
			if best < 0 || d.avail[i] < d.avail[best] || d.avail[i] == d.avail[best] && m.rng.IntN(tries) == 0 {
				best = i
			}
		}
		if tries >= triesMax {
			break
		}
	}
	return best
}

// alone tells whether nobody but one peer has to do with the DAG.
func (d *dag) alone() bool {
	open := 0
	for _, l := range d.links {
		if l.mine.state == channelOpen || l.theirs.state != channelNone {
			open++
		}
	}
	return open == 1
}

// isBarred tells whether the peer serves others with that leaf first.
func (l *link) isBarred(now time.Time, i int) bool {
	until, known := l.barred[i]
	if known && !now.Before(until) {
		delete(l.barred, i)
		return false
	}
	return known
}

// relieve takes back from peers that serve others first what one would send that has
// nothing to do. It is asked for when the other has said that it will not send it: so
// nothing comes twice, but for what a slow peer has begun to send at the very end.
func (m *Machine) relieve(d *dag) {
	usual, _ := d.usual()
	for _, l := range d.links {
		if l.inherits == heirsMax || !l.room() || !l.r.near && m.atLimit() {
			continue // nor would another be faster if the limit is what makes them slow
		}
		if l.r.got == 0 && usual > 0 && !(m.isIdle(l.r) && d.mayTry()) {
			continue // nobody knows whether it would
		}
		switch from, a, begun := m.latest(l); {
		case a == nil:
		case begun:
			a.copied = true
			m.forsake(from.r)
			m.cancel(from, a)
			m.ask(l, a.n)
			l.asks[len(l.asks)-1].copied = true // two of it are enough
		default:
			a.heir = l
			l.inherits++
			l.r.idle = time.Time{}
			m.forsake(from.r)
			m.cancel(from, a)
		}
	}
}

// mayTry tells whether a leaf may be entrusted to a peer that has sent nothing yet: as long as most
// is to come, there is time to get it elsewhere, and a crowd has to find out who sends.
func (d *dag) mayTry() bool { return 2*d.have.count() < len(d.leaves) }

// latest is the leaf, of those that the peer has, that will come last from others, if it
// is worth asking the peer. begun tells that it comes already.
func (m *Machine) latest(to *link) (from *link, late *ask, begun bool) {
	var at time.Duration
	end, idle := to.d.fetch.allAsked(), m.isIdle(to.r)
	size := (to.inherits + 1) * to.d.fetch.size
	mine := to.r.finish(size)
	if idle {
		mine = min(mine, to.d.finishIdle(to.r, size))
	}
	mine += to.r.window.RTT + takeMin
	for _, l := range to.d.links {
		if l == to || !end && !idle && slices.ContainsFunc(l.asks, func(a *ask) bool { return a.cancelled }) {
			continue // one at a time
		}
		ahead := -l.r.server.partial
		for k, a := range l.asks {
			ahead += a.size
			gone := m.now.Sub(a.since)
			if !to.has.has(a.n) || to.isBarred(m.now, a.n) {
				continue
			}
			if idle && a.cancelled || !idle && gone < l.r.window.RTT+takeMin {
				continue // others get it already, or it may have been sent at once
			}
			comes := a.cancelled || k == 0 && l.r.server.partial > 0
			if comes && (!end || a.copied) {
				continue
			}
			left := l.r.window.Finish(max(0, ahead))
			if l.r.server.partial == 0 { // it serves others first
				left += gone
			}
			least := mine
			if comes {
				least *= 2
			}
			if comes && l.r.got > 0 && to.d.fetch.left > copiesLeft {
				least *= 4 // it keeps its word
			}
			if left > least && left > at {
				from, late, at, begun = l, a, left, comes
			}
		}
	}
	return from, late, begun
}

// allAsked tells whether every leaf that is needed is asked for.
func (f *fetch) allAsked() bool {
	for k, w := range f.need {
		for free := w &^ f.busy[k]; free != 0; free &= free - 1 {
			if f.near(k*64 + trailing(free)) {
				return false
			}
		}
	}
	return true
}
