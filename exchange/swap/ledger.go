package swap

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/flow"
)

// Limits on what is kept for a peer.
const (
	owedMax = 1024 // wants
	lookMax = 256  // CIDs in one Look
	// answersMax is how many presences may wait for a peer that asks but does
	// not read.
	answersMax = 8 * owedMax
	// inlineMax is the block size in bytes up to which a question for HAVE is
	// answered with the block: it is as short as the answer.
	inlineMax = 1 << 10
)

// server is the other half of the machine: what peers want of us.
type server struct {
	owing  map[cid.Cid][]*owed // by CID, oldest first
	lines  [2]line             // of peers with blocks to send: swift ones, slow ones
	seq    uint64
	slots  flow.Slots
	paced  alarm.Alarm // when the pace lets another reply begin
	copies copies
}

// line is a queue of peers, and what is being sent to those that were in it.
type line struct {
	active  []*remote // whose turn is next first
	sending int       // bytes of replies under way
}

// Lines of the server. Slow peers have one of their own, so that those who ask
// for much and read little do not keep the others waiting.
const (
	swift = 0
	slow  = 1
)

// ledger is what one peer wants of us, and has got.
type ledger struct {
	wants   map[cid.Cid]*owed
	told    []*owed // answered DONT_HAVE, oldest first; some may be gone
	look    []*owed // to be looked up
	looking bool
	queue   []*owed // found, to be sent, oldest first; some may be gone
	size    int     // bytes in queue
	active  bool
	deficit int // bytes it may send in this round
	replies []*reply
	beside  int   // how many replies may be under way beside the first
	line    int   // which it stands in: slow if its last reply took long to write
	sent    int64 // bytes
	quick   int   // bytes of the last replies, each of which was written in no time
}

// owed is one want of a peer.
type owed struct {
	cid      cid.Cid
	to       *remote
	have     bool // wants to know, not to have
	sendDont bool
	state    owedState
	size     int // bytes, once known
}

type owedState uint8

const (
	owedLooking owedState = iota // whether we have it
	owedKept                     // we have not; answered when we get it
	owedTold                     // we have not, and said so; told when we get it
	owedQueued                   // the block is to be sent
	owedGone                     // answered or cancelled
)

type presence struct {
	cid  cid.Cid
	have bool
}

// reply is a Serve under way.
type reply struct {
	seq   uint64
	begun time.Time
	moved time.Time // when some of it was last known to have been written
	line  int       // that it is accounted to
	slot  bool      // it has one
	old   alarm.Alarm
	size  int
	left  int // bytes of it that are known to have been written
	sent  []*owed
}

func newLedger() ledger { return ledger{wants: make(map[cid.Cid]*owed)} }

// wanted takes a wantlist.
func (m *Machine) wanted(r *remote, e Received) {
	if e.Full {
		m.keepOnly(r, e.Entries)
	}
	for _, entry := range e.Entries {
		o := r.ledger.wants[entry.Cid]
		switch {
		case entry.Cancel:
			if o != nil {
				m.settle(o)
			}
			continue
		case o == nil:
			m.stats.WantsIn++
			o = m.owe(r, entry)
		case o.state == owedQueued || o.state == owedLooking:
			o.have = o.have && entry.Have
			continue
		default: // kept or told: asked again, so answered again
			o.have = entry.Have
			o.sendDont = entry.SendDontHave
		}
		if o != nil {
			o.state = owedLooking
			r.ledger.look = push(r.ledger.look, o)
		}
	}
	m.lookUp(r)
}

// keepOnly cancels all wants that are not among the entries.
func (m *Machine) keepOnly(r *remote, entries []Entry) {
	keep := make(map[cid.Cid]bool, len(entries))
	for _, e := range entries {
		keep[e.Cid] = !e.Cancel
	}
	for c, o := range r.ledger.wants {
		if !keep[c] {
			m.settle(o)
		}
	}
}

// owe makes room for a want. It returns nil if there is none, and then the
// peer is told that we have not got the block: never silence.
func (m *Machine) owe(r *remote, e Entry) *owed {
	l := &r.ledger
	for len(l.wants) >= owedMax && len(l.told) > 0 {
		o := l.told[0]
		l.told = l.told[1:]
		if o.state == owedTold {
			m.settle(o)
		}
	}
	if len(l.wants) >= owedMax {
		m.answer(r, e.Cid, false)
		return nil
	}
	o := &owed{cid: e.Cid, to: r, have: e.Have, sendDont: e.SendDontHave}
	l.wants[e.Cid] = o
	m.server.owing[e.Cid] = append(m.server.owing[e.Cid], o)
	return o
}

// settle forgets a want that was answered or cancelled.
func (m *Machine) settle(o *owed) {
	l := &o.to.ledger
	if o.state == owedQueued {
		l.size -= o.size
	}
	o.state = owedGone
	delete(l.wants, o.cid)
	rest := slices.DeleteFunc(m.server.owing[o.cid], func(x *owed) bool { return x == o })
	if len(rest) == 0 {
		delete(m.server.owing, o.cid)
	} else {
		m.server.owing[o.cid] = rest
	}
}

// answer queues a presence for the peer.
func (m *Machine) answer(r *remote, c cid.Cid, have bool) {
	if len(r.haves) >= answersMax {
		m.do(Report{Peer: r.id, Fault: FaultFlood})
		return
	}
	r.haves = append(r.haves, presence{cid: c, have: have})
	m.mail(r)
}

func (m *Machine) lookUp(r *remote) {
	l := &r.ledger
	if l.looking || len(l.look) == 0 {
		return
	}
	n := min(len(l.look), lookMax)
	var cids []cid.Cid
	for _, o := range l.look[:n] {
		if o.state == owedLooking {
			cids = append(cids, o.cid)
		}
	}
	l.look = slices.Delete(l.look, 0, n)
	if len(cids) == 0 {
		m.lookUp(r)
		return
	}
	l.looking = true
	m.do(Look{Peer: r.id, Cids: cids})
}

func (m *Machine) looked(e Looked) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	r.ledger.looking = false
	for _, b := range e.Blocks {
		if o := r.ledger.wants[b.Cid]; o != nil && o.state == owedLooking {
			m.grant(o, b.Size)
		}
	}
	m.lookUp(r)
}

// grant answers a want, knowing the size of the block, -1 if we have not got it.
func (m *Machine) grant(o *owed, size int) {
	r := o.to
	switch {
	case size >= 0 && o.have && size > inlineMax:
		m.answer(r, o.cid, true)
		m.settle(o)
	case size >= 0:
		o.state, o.size = owedQueued, size
		r.ledger.queue = push(r.ledger.queue, o)
		r.ledger.size += size
		m.activate(r)
	case o.sendDont:
		o.state = owedTold
		r.ledger.told = push(r.ledger.told, o)
		m.answer(r, o.cid, false)
	default:
		o.state = owedKept
	}
}

// push appends to a list of owed wants, of which at most owedMax are alive in
// the state of the new one; the others are dropped before they are too many.
func push(list []*owed, o *owed) []*owed {
	if len(list) >= 2*owedMax {
		list = slices.DeleteFunc(list, func(x *owed) bool { return x.state != o.state })
	}
	return append(list, o)
}

// held answers those that wait for blocks that we have now. A peer that was
// told that we have not got a block may have it from elsewhere by now: it is
// told, not sent.
func (m *Machine) held(blocks []Sized) {
	for _, b := range blocks {
		for _, o := range slices.Clone(m.server.owing[b.Cid]) {
			switch o.state {
			case owedKept, owedLooking:
				m.grant(o, b.Size)
			case owedTold:
				m.answer(o.to, o.cid, true)
				m.settle(o)
			}
		}
	}
}

// forgetLedger frees what was kept for a peer.
func (m *Machine) forgetLedger(r *remote) {
	for _, o := range r.ledger.wants {
		m.settle(o)
	}
	for _, p := range r.ledger.replies {
		m.finish(p)
	}
	for i := range m.server.lines {
		l := &m.server.lines[i]
		l.active = slices.DeleteFunc(l.active, func(o *remote) bool { return o == r })
	}
	r.ledger = ledger{}
}
