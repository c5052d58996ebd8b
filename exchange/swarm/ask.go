package swarm

import (
	"slices"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// ask asks the peer for a leaf.
func (m *Machine) ask(l *link, i int) {
	r, f := l.r, l.d.fetch
	if r.asked == 0 {
		r.window.Begin(m.now)
		r.heard, r.sent = m.now, m.now
	}
	a := &ask{n: i, size: f.size, since: m.now}
	f.busy.add(i)
	m.turns++
	l.d.turn = m.turns
	l.asks = append(l.asks, a)
	r.asked++
	r.out += a.size
	l.asking = append(l.asking, i)
	m.mail(r)
	m.watch(r)
}

// cancel tells the peer not to send a leaf. It says so by a miss, or sends it.
func (m *Machine) cancel(l *link, a *ask) {
	if a.cancelled {
		return
	}
	a.cancelled, a.told = true, m.now
	a.until = m.now.Add(max(cancelTime, cancelTrips*l.r.window.RTT, 2*m.turn))
	if k := slices.Index(l.asking, a.n); k >= 0 { // not sent yet
		l.asking = slices.Delete(l.asking, k, k+1)
		m.takeBack(l, a)
		return
	}
	m.send(l.r, frame.Cancel{Channel: l.mine.number, Ranges: []frame.Range{{First: a.n, Count: 1}}})
	m.watch(l.r)
}

// answered ends an ask.
func (m *Machine) answered(l *link, a *ask) {
	if k := slices.Index(l.asks, a); k >= 0 {
		l.asks = slices.Delete(l.asks, k, k+1)
		l.r.asked--
		l.r.out -= a.size
		m.roomy(l.r)
	}
	if a.heir != nil {
		a.heir.inherits--
	}
}

// disinherit lets the heir ask for something else.
func (a *ask) disinherit() {
	if a.heir != nil {
		a.heir.inherits--
		a.heir = nil
	}
}

// takeBack ends an ask in vain: another may be asked.
func (m *Machine) takeBack(l *link, a *ask) {
	m.answered(l, a)
	d := l.d
	if d.fetch == nil || !d.fetch.need.has(a.n) || d.askedOf(a.n) {
		return
	}
	d.fetch.busy.remove(a.n)
	if h := a.heir; h != nil && h.room() && h.has.has(a.n) {
		m.ask(h, a.n)
	}
	m.touch(d)
}

// askedOf tells whether a peer is asked for the leaf.
func (d *dag) askedOf(i int) bool {
	for _, l := range d.links {
		for _, a := range l.asks {
			if a.n == i {
				return true
			}
		}
	}
	return false
}

func (m *Machine) takeBackAll(l *link) {
	l.asking = l.asking[:0]
	for _, a := range slices.Clone(l.asks) {
		m.takeBack(l, a)
	}
}

// byNumber is the ask for a leaf, nil if there is none.
func (l *link) byNumber(i int) *ask {
	for _, a := range l.asks {
		if a.n == i {
			return a
		}
	}
	return nil
}
