package swarm

import (
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// frames takes what a peer says.
func (m *Machine) frames(e Frames) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	m.alive(r)
	for _, f := range e.Frames {
		if !m.frame(r, f) {
			m.do(Report{Peer: r.id, Fault: FaultFrame})
		}
		if m.peers[e.Peer] != r {
			return // banned
		}
	}
	m.watch(r)
}

// frame takes one. It returns false if that makes no sense. Those about a channel that is
// over may have crossed its end.
func (m *Machine) frame(r *remote, f frame.Frame) bool {
	switch f := f.(type) {
	case frame.Open:
		return m.opened(r, f)
	case frame.Request:
		return m.onTheirs(r, f.Channel, func(l *link) bool { return m.requested(l, f.Ranges) })
	case frame.Cancel:
		return m.onTheirs(r, f.Channel, func(l *link) bool { m.cancelled(l, f.Ranges); return true })
	case frame.Got:
		return m.onTheirs(r, f.Channel, func(l *link) bool { return m.has(l, f.Ranges) && m.acked(l, f.Ranges) })
	case frame.Close:
		return m.onTheirs(r, f.Channel, func(l *link) bool { m.closed(l); return true })
	case frame.Have:
		return m.onMine(r, f.Channel, func(l *link) bool { return m.having(l, f.Ranges) })
	case frame.Miss:
		return m.onMine(r, f.Channel, func(l *link) bool { m.missed(l, f); return true })
	case frame.End:
		return m.onMine(r, f.Channel, func(l *link) bool { m.ended(l, f.Reason); return true })
	case frame.Idle:
		r.idle = m.now
		m.roomy(r)
		return true
	case frame.Allow:
		switch r.allow = f.Size; {
		case f.Size > 0:
			r.choked = time.Time{}
		case r.choked.IsZero():
			r.choked = m.now
		}
		for _, l := range r.links {
			m.touch(l.d)
		}
		return true
	}
	return false
}

func (m *Machine) onTheirs(r *remote, number uint32, do func(*link) bool) bool {
	if l := r.byTheirs(number); l != nil && l.theirs.state == channelOpen {
		return do(l)
	}
	return true
}

func (m *Machine) onMine(r *remote, number uint32, do func(*link) bool) bool {
	if l := r.byMine(number); l != nil {
		return do(l)
	}
	return true
}

// having takes what a peer says that it has.
func (m *Machine) having(l *link, list []frame.Range) bool {
	// The first is empty if the peer does not know the leaves yet, the second if it has none.
	l.knows = len(list) > 0 || l.told
	l.told = true
	if m.answer(l); l.d.state == dagKnown {
		m.seekLeaves(l.d) // guests too, now that it is shared
	}
	if l.nodes && len(list) == 0 && l.d.state == dagAsked {
		l.later = true
		m.seek(l.d)
	}
	if l.has == nil {
		if len(l.early)+len(list) > earlyMax {
			return false
		}
		l.early = append(l.early, list...)
		if l.knows {
			m.seek(l.d)
		} else {
			m.settle(l.d)
		}
		return true
	}
	return m.has(l, list) && m.acked(l, list)
}

// answer notes that the peer has answered an Open.
func (m *Machine) answer(l *link) {
	if l.mine.state == channelAsked {
		l.mine.state = channelOpen
	}
}

// ended takes the end of a channel that this side has opened.
func (m *Machine) ended(l *link, reason frame.EndReason) {
	l.mine, l.nodes = channel{}, false
	l.refused = m.now.Add(m.jitter(refuseTime))
	m.takeBackAll(l)
	d := l.d
	if reason == frame.EndWrong {
		l.r.faults++
	}
	if l.theirs.state == channelNone {
		// What is left of the link is only that it is not to be opened again soon.
		l.early = nil
	}
	m.seek(d)
}

// walked notes that the peer goes on sending nodes.
func (m *Machine) walked(e Walked) {
	if r := m.peers[e.Peer]; r != nil {
		if l := r.byMine(e.Channel); l != nil {
			l.walked, l.walks, l.overdue = m.now, true, false
			m.watch(r)
		}
	}
}

// indexed takes the leaves of a DAG from a peer that has sent its nodes.
func (m *Machine) indexed(e Indexed) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	l := r.byMine(e.Channel)
	if l == nil || !l.nodes || l.d.state != dagAsked {
		return
	}
	m.useful(r)
	if e.Err != nil {
		m.do(Report{Peer: r.id, Fault: FaultNodes})
		r.faults++
		m.close(l)
		l.refused = m.now.Add(refuseTime)
		m.seek(l.d)
		return
	}
	m.answer(l)
	d := l.d
	d.leaves, d.nodes = e.Leaves, e.Nodes
	l.pushed = min(e.Pushed, len(e.Leaves))
	m.load(d, e.Leaves)
}

// begun notes the leaves that a peer sends unasked.
func (m *Machine) begun(l *link) {
	if f := l.d.fetch; l.pushed > 0 { // all of them fit the credit
		f.size = min(f.size, max(creditSize/l.pushed, sizeMin))
	}
	for i := range l.pushed {
		if l.d.fetch.need.has(i) && !l.d.fetch.busy.has(i) {
			m.ask(l, i)
		}
	}
	l.asking = l.asking[:0] // it knows
	l.pushed = 0
}

// send puts a frame into the next Send to r.
func (m *Machine) send(r *remote, f frame.Frame) {
	r.outbox = append(r.outbox, f)
	m.mail(r)
}

// flush sends what has gathered.
func (m *Machine) flush() {
	for _, r := range m.mails {
		r.mailed = false
		if m.peers[r.id] != r || r.sending {
			continue
		}
		for _, l := range r.links {
			if len(l.asking) == 0 {
				continue
			}
			slices.Sort(l.asking)
			list := rangesOf(l.asking)
			for part := range slices.Chunk(list, frame.RangesMax) {
				r.outbox = append(r.outbox, frame.Request{Channel: l.mine.number, Ranges: part})
			}
			l.asking = l.asking[:0]
		}
		if len(r.outbox) > 0 {
			r.sending = true
			m.do(Send{Peer: r.id, Frames: r.outbox})
			r.outbox = nil
		}
	}
	clear(m.mails)
	m.mails = m.mails[:0]
}

func (m *Machine) sent(e Sent) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	r.sending = false
	m.mail(r)
}
