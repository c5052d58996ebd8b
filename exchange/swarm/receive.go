package swarm

import (
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

// receiving takes notice of something that is on its way.
func (m *Machine) receiving(e Receiving) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	m.useful(r)
	if r.asked > 0 {
		if r.server.partial == 0 {
			r.began, r.head = m.now, e.Size
		}
		r.server.partial += e.Size
		m.came(r, e.Size)
	}
}

// came notes that bytes have come that were asked for.
func (m *Machine) came(r *remote, size int) {
	r.window.Delivered(m.now, size)
	if !r.near {
		m.o.Appetite.Came(m.now, size)
	}
}

// leaf takes a leaf.
func (m *Machine) leaf(e Leaf) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	l, size := r.byMine(e.Channel), e.Block.Size()
	if l == nil || e.Number >= len(l.d.leaves) {
		m.stats.DupLeaves++
		m.stats.DupBytes += int64(size)
		return
	}
	d := l.d
	if d.state == dagLoading { // pushed
		m.stats.LeavesIn++
		m.stats.BytesIn += int64(size)
		d.pushed = append(d.pushed, e.Number)
		m.deliver(d, e.Block, r)
		return
	}
	if span := m.now.Sub(r.began); r.server.partial > 0 && span > 0 && size > r.head {
		r.pace = float64(size-r.head) / span.Seconds()
	}
	known := min(r.server.partial, size)
	r.server.partial -= known
	m.came(r, size-known)
	r.window.Counted()
	if a := l.byNumber(e.Number); a != nil {
		if len(l.asks) == 1 || l.asks[0] == a {
			r.window.RoundTrip(m.now.Sub(a.since))
		}
		m.answered(l, a)
		began := a.since
		if r.arrived.After(began) { // it had others to send before
			began = r.arrived
		}
		r.took = m.now.Sub(began)
	}
	r.arrived = m.now
	if r.got++; r.got == 1 {
		for _, o := range d.links {
			m.watch(o.r) // who has sent nothing yet can be compared now
		}
	}
	r.in += int64(size)
	r.server.earn(m.now, size)
	m.useful(r)
	m.has(l, []frame.Range{{First: e.Number, Count: 1}})
	m.touch(d)
	if d.fetch == nil || !d.fetch.need.has(e.Number) {
		r.dup += int64(size)
		m.stats.DupLeaves++
		m.stats.DupBytes += int64(size)
		return
	}
	m.stats.LeavesIn++
	m.stats.BytesIn += int64(size)
	d.fetch.size = max((3*d.fetch.size+size)/4, sizeMin)
	m.deliver(d, e.Block, r)
	m.gain(d, e.Number)
}

func (m *Machine) deliver(d *dag, b block.Block, from *remote) {
	a := Deliver{Block: b, From: from.id}
	if d.fetch != nil {
		a.IDs = d.fetch.ids // of which a changed one is a new one, see leave
	}
	m.do(a)
}

func (m *Machine) corrupt(e Corrupt) {
	if r := m.peers[e.Peer]; r != nil {
		m.do(Report{Peer: r.id, Fault: FaultCorrupt})
		m.ban(r)
	}
}

func (m *Machine) ban(r *remote) {
	m.do(Ban{Peer: r.id, For: banTime})
	m.peerDown(r.id)
}

// barTime is how long a leaf is not asked of a peer that has sent for others.
const barTime = 2 * time.Second

// turned takes a sample of how long an answer to a Cancel takes.
func (m *Machine) turned(d time.Duration) {
	if d < m.turn {
		d = (7*m.turn + d) / 8
	}
	m.turn = min(d, turnMax)
}

// missed takes misses.
func (m *Machine) missed(l *link, f frame.Miss) {
	for _, g := range f.Ranges {
		for i := g.First; i < g.First+g.Count; i++ {
			a := l.byNumber(i)
			if a == nil {
				continue
			}
			if a.cancelled && !a.told.IsZero() {
				m.turned(m.now.Sub(a.told))
				a.told = time.Time{}
			}
			switch f.Reason {
			case frame.MissLate:
				a.until = m.now.Add(max(lateTime, lateTimes*l.r.window.Finish(l.r.out)))
				a.disinherit()
				continue
			case frame.MissGone:
				l.vain[i]++
				l.r.vain++
				m.lost(l, i)
			case frame.MissElsewhere:
				l.barred[i] = m.now.Add(barTime)
				if l.vain[i]++; l.vain[i] >= vainMax {
					m.lost(l, i)
				}
			}
			m.takeBack(l, a)
		}
	}
	m.touch(l.d)
	if f.Reason == frame.MissElsewhere && l.d.fetch != nil {
		m.seekAgain(l.d)
	}
}
