package swap

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/exchange/flow"
)

// Limits on serving.
const (
	// quantum is what a peer may be sent in one round, in bytes, and the size
	// of a reply of several blocks. A larger one would save little, and the
	// first of its blocks would wait for the last.
	quantum = 256 << 10
	// replyBlocksMax is how many blocks one reply may hold.
	replyBlocksMax = 1024
	// repliesMax is how many replies to a peer may be under way: some are
	// written, each on a stream of its own, while others are read from the store.
	// It begins with one, and gets one more for each that was written at once,
	// half as many after one that was not: many replies to many peers that share
	// a slow link would all be late, and what is under way cannot be cancelled.
	repliesMax = 4
	// slowTime is how long it takes to write a quantum to a slow peer.
	slowTime = 100 * time.Millisecond
	// quickTime is how long it takes at most to write one to a peer that nobody has to
	// wait for, as one on the same network: it needs no slot.
	quickTime = 10 * time.Millisecond
	// quickSize is how many bytes in a row must have been written so: a socket takes
	// some of them at once, however slow the line.
	quickSize = 1 << 20
	// slotFree is how large a reply may be that takes no slot.
	slotFree = 16 << 10
	// stuckTime is how long a reply counts against what the swift may have, and has a
	// slot while nothing of it is written.
	stuckTime = 2 * time.Second
)

// ready tells whether another reply may begin.
func (l *ledger) ready() bool {
	return len(l.replies) <= l.beside
}

// activate puts a peer in line to be served.
func (m *Machine) activate(r *remote) {
	if l := &r.ledger; !l.active && len(l.queue) > 0 && l.ready() {
		l.active = true
		line := &m.server.lines[l.line]
		line.active = append(line.active, r)
	}
}

// serve begins replies in deficit round robin: each peer in line may send a
// quantum of bytes, then it is the turn of the next. Weighing the quantum by
// what a peer has done for us is choking's place.
func (m *Machine) serve() {
	for i := range m.server.lines {
		line := &m.server.lines[i]
		for len(line.active) > 0 && line.sending < m.o.ServingSizeMax/len(m.server.lines) {
			i := slices.IndexFunc(line.active, m.mayReply)
			if i < 0 {
				break
			}
			r := line.active[i]
			line.active = slices.Delete(line.active, i, i+1)
			l := &r.ledger
			l.active = false
			l.deficit += quantum
			m.reply(r)
			if len(l.queue) == 0 {
				l.deficit = 0
			}
			m.activate(r)
		}
	}
}

// needsSlot tells whether the next reply to a peer may be in others' way. One that is near is
// not if a limit holds for the others.
func (m *Machine) needsSlot(r *remote) bool {
	return r.ledger.quick < quickSize && r.ledger.size > slotFree && !(r.near && m.o.Pace.Limited())
}

// mayReply tells whether a reply to the peer may begin now. Slots are for those that are
// in each other's way: a peer that is alone needs none.
func (m *Machine) mayReply(r *remote) bool {
	if !r.near && !m.inPace() {
		return false
	}
	slots := &m.server.slots
	return slots.Free() || !m.needsSlot(r) || slots.Busy() == r.ledger.slots() && m.inLine() == 1
}

// inPace tells whether the limit has room for another reply; when it has is seen to.
func (m *Machine) inPace() bool {
	at := m.o.Pace.Ready(m.now)
	if at.After(m.now) {
		m.alarms.Set(&m.server.paced, at)
		return false
	}
	return true
}

// quantum is the size of a reply of several blocks to the peer, in bytes.
func (m *Machine) quantum(r *remote) int {
	if r.near {
		return quantum
	}
	return m.o.Pace.Reply(quantum)
}

// slots is how many the peer has.
func (l *ledger) slots() (n int) {
	for _, p := range l.replies {
		if p.slot {
			n++
		}
	}
	return n
}

// reply begins one reply with as much of the queue as the deficit allows.
func (m *Machine) reply(r *remote) {
	l := &r.ledger
	p := &reply{begun: m.now, moved: m.now, line: l.line}
	slot := m.needsSlot(r)
	if slot && m.inLine() > 0 {
		slices.SortStableFunc(l.queue, func(a, b *owed) int { return m.server.copies[a.cid] - m.server.copies[b.cid] })
	}
	var cids []cid.Cid
	n, most := 0, m.quantum(r)
	for ; n < len(l.queue) && len(cids) < replyBlocksMax; n++ {
		o := l.queue[n]
		if o.state != owedQueued {
			continue
		}
		if o.size > l.deficit || len(cids) > 0 && p.size+o.size > most {
			break
		}
		l.deficit -= o.size
		p.size += o.size
		p.sent = append(p.sent, o)
		cids = append(cids, o.cid)
		m.server.copies.add(o.cid)
		m.settle(o)
	}
	l.queue = slices.Delete(l.queue, 0, n)
	if len(cids) == 0 {
		return
	}
	if p.slot = slot && p.size > slotFree; p.slot {
		m.server.slots.Take()
	}
	if !r.near {
		m.o.Pace.Begin(m.now, p.size)
	}
	m.server.seq++
	p.seq = m.server.seq
	p.old.Fire = func() { m.age(r, p) }
	m.alarms.Set(&p.old, m.now.Add(stuckTime))
	l.replies = append(l.replies, p)
	m.server.lines[p.line].sending += p.size
	m.do(Serve{Peer: r.id, Seq: p.seq, Cids: cids, Pending: l.size})
}

// age takes a reply that has been under way for long off the account of the swift, and
// its slot if it does not get anywhere.
func (m *Machine) age(r *remote, p *reply) {
	m.server.lines[p.line].sending -= p.size
	p.line, r.ledger.line, r.ledger.beside = slow, slow, 0
	m.server.lines[p.line].sending += p.size
	due := p.moved.Add(stuckTime)
	if end := p.begun.Add(flow.SlotTime(p.size)); end.Before(due) {
		due = end
	}
	if p.slot && due.After(m.now) {
		m.alarms.Set(&p.old, due)
		return
	}
	m.vacate(p)
}

func (m *Machine) serving(e Serving) {
	if r := m.peers[e.Peer]; r != nil {
		if p := r.ledger.reply(e.Seq); p != nil {
			p.moved = m.now
			m.left(p, e.Size)
		}
	}
}

// left notes that size more bytes of a reply have gone.
func (m *Machine) left(p *reply, size int) {
	p.left += size
	if p.slot {
		m.server.slots.Sent(size)
	}
}

// reply is that with the number, nil if it has ended, or was to an earlier connection.
func (l *ledger) reply(seq uint64) *reply {
	for _, p := range l.replies {
		if p.seq == seq {
			return p
		}
	}
	return nil
}

// inLine is how many peers wait for a reply to begin.
func (m *Machine) inLine() int {
	return len(m.server.lines[swift].active) + len(m.server.lines[slow].active)
}

// vacate gives the slot of a reply back.
func (m *Machine) vacate(p *reply) {
	if p.slot {
		p.slot = false
		m.server.slots.Release(m.now, m.inLine() > 0)
	}
}

// finish ends the account of a reply.
func (m *Machine) finish(p *reply) {
	m.server.lines[p.line].sending -= p.size
	m.alarms.Stop(&p.old)
	m.vacate(p)
}

func (m *Machine) served(e Served) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	l := &r.ledger
	p := l.reply(e.Seq)
	if p == nil {
		return
	}
	l.replies = slices.DeleteFunc(l.replies, func(o *reply) bool { return o == p })
	if !e.Failed {
		m.left(p, max(0, e.Size-p.left))
	}
	m.finish(p)
	took, quanta := m.now.Sub(p.begun), time.Duration(max(1, (p.size+quantum-1)/quantum))
	if l.quick = min(l.quick+p.size, quickSize); e.Failed || took > quanta*quickTime {
		l.quick = 0
	}
	if took > quanta*slowTime {
		l.line, l.beside = slow, (l.beside+1)/2
	} else {
		l.line, l.beside = swift, min(l.beside+1, repliesMax-1)
	}
	if !e.Failed {
		l.sent += int64(e.Size)
		m.stats.BytesOut += int64(e.Size)
		m.stats.BlocksOut += int64(len(p.sent) - len(e.Missing))
		for _, c := range e.Missing {
			m.answer(r, c, false)
		}
	}
	m.activate(r)
}
