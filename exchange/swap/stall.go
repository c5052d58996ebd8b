package swap

import (
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/exchange/flow"
)

const (
	// stallTime is the backoff after a stall, doubled with each further one until
	// there were stallsMax. The longest is well below silenceMax: a peer that comes
	// back before that is noticed before it is given up.
	stallTime = time.Second
	stallsMax = 4
	// probeWants is how many wants a probe has: more than one, as what is asked
	// for may be lost while the peer is fine.
	probeWants = 3
)

// watch has the peer's deadlines looked after.
func (m *Machine) watch(r *remote) {
	switch {
	case m.peers[r.id] != r:
		return // banned a moment ago
	case !r.stalled.IsZero():
		m.alarms.Set(&r.check, r.stalled)
		return
	case len(r.assigned) == 0:
		m.alarms.Stop(&r.check)
		return
	}
	due := r.lastHeard.Add(r.patience())
	if d := r.deadline(r.assigned[0]); d.Before(due) && !m.mayCome(r) {
		due = d
	}
	if !due.After(m.now) {
		due = m.now.Add(time.Millisecond)
	}
	m.alarms.Set(&r.check, due)
}

// checkDeadlines runs when a deadline of the peer may be over, or its backoff.
func (m *Machine) checkDeadlines(r *remote) {
	if !r.stalled.IsZero() {
		m.tryAgain(r)
		return
	}
	if len(r.assigned) == 0 {
		return
	}
	if !m.now.Before(r.lastHeard.Add(r.patience())) {
		m.stall(r)
		return
	}
	for _, w := range slices.Clone(r.assigned) {
		if w.holder == r && !m.mayCome(r) && !m.now.Before(r.deadline(w)) {
			m.giveUp(w, r) // it sends other things, but not this
		}
	}
	m.watch(r)
}

// mayCome tells whether what is overdue may be what comes from the peer now: if a limit of
// this side holds it up, it is no wonder that it is late. What was lost is given up when
// nothing comes any more.
func (m *Machine) mayCome(r *remote) bool {
	return r.partial > 0 && !r.near && m.o.Appetite.Limited()
}

// giveUp takes an overdue want back. The peer may still deliver it, so it is
// told to forget it only when somebody else has.
func (m *Machine) giveUp(w *want, r *remote) {
	if m.takeBack(w, r) {
		m.breach(r)
	}
}

// takeBack is giveUp for nothing. It tells whether a promise was broken.
func (m *Machine) takeBack(w *want, r *remote) (broken bool) {
	a := w.ask(r)
	broken = a != nil && a.promised
	w.note(r, m.now, silent)
	w.ask(r).vain++
	m.release(w, r)
	m.requeue(w)
	return broken
}

// breach charges a peer for a promise that it broke.
func (m *Machine) breach(r *remote) {
	r.credit--
	m.do(Report{Peer: r.id, Fault: FaultPromise})
}

// stall takes all wants back from a silent peer and leaves it alone for a
// while, longer each time.
func (m *Machine) stall(r *remote) {
	r.stalls = min(r.stalls+1, stallsMax)
	r.stalled = m.now.Add(m.jitter(stallTime << (r.stalls - 1)))
	m.alarms.Set(&r.check, r.stalled)
	if len(r.assigned) > 0 {
		m.do(Report{Peer: r.id, Fault: FaultStall})
	}
	r.window.Size = flow.WindowStart
	broken := false
	for _, w := range slices.Clone(r.assigned) {
		broken = m.takeBack(w, r) || broken
	}
	if broken { // once: it may only have many to serve, and its turn not come yet
		m.breach(r)
	}
}

// tryAgain ends the backoff of a stalled peer with a probe: a few wants that
// nobody else has taken, each time others.
func (m *Machine) tryAgain(r *remote) {
	r.stalled = time.Time{}
	if !r.greeted { // a message could not be sent
		r.unsure = true
		m.mail(r)
	}
	probe := slices.DeleteFunc(r.askedInOrder(), func(w *want) bool {
		a := w.ask(r)
		return w.holder != nil || a.state != silent && a.state != saidHave && a.state != provider
	})
	slices.SortStableFunc(probe, func(a, b *want) int { return a.ask(r).vain - b.ask(r).vain })
	for _, w := range probe[:min(len(probe), probeWants)] {
		m.assign(w, r)
	}
	if len(probe) > 0 {
		return
	}
	for _, s := range r.memberOf {
		m.touch(s)
	}
}
