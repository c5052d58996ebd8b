package swarm

import (
	"cmp"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// Limits of choking.
const (
	// unchokedMin is how many peers may ask at a time at least: those who are sent a leaf
	// soon can pass it on soon. There are more if they do not ask for enough.
	unchokedMin = 6
	// strangersMax is how many of these are chosen because they were not served for the
	// longest time, whatever they give.
	strangersMax = 2
	// strangersShare is what they may be sent, as a share of what those are who give, while these
	// wait for more.
	strangersShare = 0.125
	// holdTime is for how long a peer that may ask is sure of it.
	holdTime       = time.Second
	rotationPeriod = 500 * time.Millisecond
	idlePeriod     = 100 * time.Millisecond // the same while nobody asks for anything
	allowCrowd     = 512 << 10              // bytes that each may ask for when several want something
	allowMax       = 16 << 20               // bytes that one may ask for who is alone
	// incomeTime is the time over which what a peer gives counts.
	incomeTime = 20 * time.Second
	// trustTime is for how long a leaf counts that a peer has and does not pass on.
	trustTime = 10 * time.Second
	// paceTurn is how long it may take until all who may ask have had their turn, if a
	// limit holds.
	paceTurn = askTimeMax * 2 / 3
)

// earn notes that the peer has sent size bytes.
func (s *served) earn(now time.Time, size int) {
	s.income = s.incomeAt(now) + float64(size)
	s.earned = now
}

// incomeAt is what the peer has sent lately, in bytes.
func (s *served) incomeAt(now time.Time) float64 {
	left := 1 - now.Sub(s.earned).Seconds()/incomeTime.Seconds()
	return s.income * max(0, left)
}

// interested tells whether the peer lacks something that is here.
func (r *remote) interested() bool {
	return slices.ContainsFunc(r.links, func(l *link) bool {
		return l.theirs.state == channelOpen && l.has != nil && l.has.lacks(l.d.have)
	})
}

// busy tells whether anything is on its way.
func (m *Machine) busy() bool {
	return slices.ContainsFunc(m.order, func(r *remote) bool { return len(r.server.replies) > 0 })
}

func (m *Machine) beginRotation() {
	if !m.server.rotation.IsSet() {
		m.alarms.Set(&m.server.rotation, m.now.Add(rotationPeriod))
	}
}

// rotate decides who may ask.
func (m *Machine) rotate() {
	m.server.rotated = m.now
	var want []*remote
	for _, r := range m.order {
		if r.interested() && !r.guest {
			want = append(want, r)
		}
	}
	if len(want) == 0 {
		m.alarms.Stop(&m.server.rotation)
		return
	}
	idle := m.waiting() == 0 && !m.busy()
	if s := &m.server; idle {
		s.unchoked = min(max(unchokedMin, 2*s.unchoked), max(len(want), unchokedMin))
	} else {
		s.unchoked = max(unchokedMin, s.unchoked*3/4)
	}
	chosen := make(map[*remote]bool, m.server.unchoked)
	if turns := m.o.Pace.Turns(paceTurn); turns < m.server.unchoked {
		// Who asks and does not get his turn would take this side for silent.
		far := slices.DeleteFunc(slices.Clone(want), func(r *remote) bool { return r.near })
		near := slices.DeleteFunc(slices.Clone(want), func(r *remote) bool { return !r.near })
		m.elect(far, chosen, turns)
		m.elect(near, chosen, len(chosen)+m.server.unchoked)
	} else {
		m.elect(want, chosen, m.server.unchoked)
	}
	for _, r := range want {
		m.allow(r, chosen[r], len(want) > 1)
	}
	period := rotationPeriod
	if idle && len(chosen) < len(want) {
		period = idlePeriod
	}
	m.alarms.Set(&m.server.rotation, m.now.Add(period))
}

// elect chooses who may ask of those that want: who may for less than holdTime or has not
// had what it was let in for, who has given most, who passes on what it gets, and who has waited
// longest.
func (m *Machine) elect(want []*remote, chosen map[*remote]bool, most int) {
	if len(chosen)+len(want) <= most {
		for _, r := range want {
			chosen[r] = true
		}
		return
	}
	for _, r := range want {
		if r.server.gives && (m.now.Sub(r.server.since) < holdTime || m.isOwed(r)) && len(chosen) < most {
			chosen[r] = true
		}
	}
	// Equals in random order, or all would serve the same.
	m.rng.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
	slices.SortStableFunc(want, func(a, b *remote) int {
		return cmp.Compare(b.server.incomeAt(m.now), a.server.incomeAt(m.now))
	})
	for _, r := range want {
		if len(chosen) < most-strangersMax && r.server.incomeAt(m.now) > 0 {
			chosen[r] = true
		}
	}
	slices.SortStableFunc(want, func(a, b *remote) int {
		return cmp.Or(cmp.Compare(a.server.lost, b.server.lost), cmp.Compare(m.keeps(a), m.keeps(b)), a.server.last.Compare(b.server.last))
	})
	for _, r := range want {
		if len(chosen) < most {
			chosen[r] = true
		}
	}
}

// keeps is how many leaves the peer was entrusted with lately, and has passed on to nobody. As in
// BEP 16, those are given the next one first that spread what they have.
func (m *Machine) keeps(r *remote) (n int) {
	for _, l := range r.links {
		for len(l.trusts) > 0 { // those that do not count any more
			at, kept := l.entrusted[l.trusts[0]]
			if kept && m.now.Sub(at) < trustTime {
				break
			}
			delete(l.entrusted, l.trusts[0])
			l.trusts = l.trusts[1:]
		}
		n += len(l.entrusted)
	}
	return n
}

// isOwed tells whether a peer waits that was let in and has not had its turn, which a limit
// may hold up.
func (m *Machine) isOwed(r *remote) bool {
	s := &r.server
	return m.o.Pace.Limited() && s.size > 0 && s.last.Before(s.elected)
}

// allow tells a peer how much it may ask for, if that has changed or it has waited long.
func (m *Machine) allow(r *remote, gives, crowd bool) {
	s := &r.server
	size := 0
	switch {
	case gives && crowd:
		size = allowCrowd
	case gives:
		size = allowMax
	}
	waits := s.size > 0 && m.now.Sub(s.last) >= aliveEvery
	if gives && m.now.Sub(s.since) >= holdTime || gives != s.gives {
		s.since = m.now
	}
	if gives && !s.gives {
		s.elected = m.now
	}
	changed := size != s.allowed || gives != s.gives
	s.gives, s.allowed = gives, size
	if changed || waits {
		m.send(r, frame.Allow{Size: size})
	}
	if gives || s.size <= slotFree {
		return
	}
	for _, l := range r.links {
		if l.theirs.state == channelOpen {
			m.miss(l, frame.MissChoked, m.unqueue(l, func(int) bool { return false }))
		}
	}
}
