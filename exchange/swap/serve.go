package swap

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"
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
	// stuckTime is how long a reply counts against what the swift may have.
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
			r := line.active[0]
			line.active = slices.Delete(line.active, 0, 1)
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

// reply begins one reply with as much of the queue as the deficit allows.
func (m *Machine) reply(r *remote) {
	l := &r.ledger
	p := &reply{begun: m.now, line: l.line}
	var cids []cid.Cid
	n := 0
	for ; n < len(l.queue) && len(cids) < replyBlocksMax; n++ {
		o := l.queue[n]
		if o.state != owedQueued {
			continue
		}
		if o.size > l.deficit || len(cids) > 0 && p.size+o.size > quantum {
			break
		}
		l.deficit -= o.size
		p.size += o.size
		p.sent = append(p.sent, o)
		cids = append(cids, o.cid)
		m.settle(o)
	}
	l.queue = slices.Delete(l.queue, 0, n)
	if len(cids) == 0 {
		return
	}
	m.server.seq++
	p.seq = m.server.seq
	p.age.fire = func() { m.grow(r, p) }
	m.alarms.set(&p.age, m.now.Add(stuckTime))
	l.replies = append(l.replies, p)
	m.server.lines[p.line].sending += p.size
	m.do(Serve{Peer: r.id, Seq: p.seq, Cids: cids, Pending: l.size})
}

// grow takes a reply that is not getting anywhere off the account of the swift.
func (m *Machine) grow(r *remote, p *reply) {
	m.server.lines[p.line].sending -= p.size
	p.line, r.ledger.line, r.ledger.beside = slow, slow, 0
	m.server.lines[p.line].sending += p.size
}

// finish ends the account of a reply.
func (m *Machine) finish(p *reply) {
	m.server.lines[p.line].sending -= p.size
	m.alarms.stop(&p.age)
}

func (m *Machine) served(e Served) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	l := &r.ledger
	i := slices.IndexFunc(l.replies, func(p *reply) bool { return p.seq == e.Seq })
	if i < 0 {
		return // a reply to an earlier connection
	}
	p := l.replies[i]
	l.replies = slices.Delete(l.replies, i, i+1)
	m.finish(p)
	quanta := time.Duration(max(1, (p.size+quantum-1)/quantum))
	if m.now.Sub(p.begun) > quanta*slowTime {
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
