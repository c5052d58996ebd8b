package swap

import (
	"math"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/flow"
)

// Limits on what is asked of one peer.
const (
	// entriesMax is how many questions may be open at a peer: boxo keeps 1024
	// wants for each of its peers and drops what is beyond.
	entriesMax = 1000
	// coalesceTime is how long an entry may wait for others to share a message.
	coalesceTime = time.Millisecond
	// unprovenMax is how many wants a peer gets that has delivered nothing yet,
	// if others have.
	unprovenMax = 1
	// A peer that owes something is taken for stalled after patienceMin, four
	// round trips, or four of its usual silences, but those only to patienceMax.
	patienceMin = time.Second
	patienceMax = 10 * time.Second
	// creditMin is the credit after two broken promises.
	creditMin = -2
	// creditHopeless is the credit below which nothing is expected any more of a peer
	// that has delivered nothing.
	creditHopeless = -8
	// junkMax is how many bytes of junk a peer is forgiven.
	junkMax = 4 << 20
	// strikesMax is how many blocks of junk a peer is forgiven; one is
	// forgotten each strikeTime.
	strikesMax = 3
	strikeTime = time.Minute
	banTime    = time.Hour
)

// remote is a peer as the client sees it; what it wants of us is in its ledger.
type remote struct {
	id    peer.ID
	seq   uint64
	caps  Caps
	score float64
	near  bool // what is exchanged with it is not limited

	window    flow.Window
	assigned  []*want // oldest first
	out       int     // bytes that these are estimated at
	open      int     // questions that are not answered yet, HAVEs included
	asked     map[*want]struct{}
	memberOf  []*session
	blocks    int           // delivered, ever
	credit    int           // below 0 after broken promises
	lastHeard time.Time     // last useful byte, or when it began to owe
	gap       time.Duration // usual silence between two useful bytes
	partial   int           // bytes of messages under way that were counted already
	stalls    int           // in a row
	stalled   time.Time     // no want before then; zero if fine
	check     alarm.Alarm   // looks after deadlines
	junk      int           // bytes
	strikes   int
	struck    time.Time

	outbox    []Entry
	told      []Entry // of others than the machine, one for a block
	haves     []presence
	mailed    bool // in Machine.mails
	sending   bool
	greeted   bool // it was told what is wanted, and that nothing else is
	unsure    bool // it is to be told once more, for it may not have heard
	lastFlush time.Time
	flushAt   alarm.Alarm
	retries   int // failed Sends in a row

	ledger ledger
}

func (m *Machine) peerUp(e PeerUp) {
	if r := m.peers[e.Peer]; r != nil {
		r.near = e.Near
		r.window.RoundTrip(e.RTT)
		return
	}
	m.seq++
	r := &remote{id: e.Peer, seq: m.seq, caps: e.Caps, score: e.Score, near: e.Near, asked: make(map[*want]struct{})}
	r.window = flow.Window{Size: flow.WindowStart, RTT: e.RTT}
	r.check.Fire = func() { m.checkDeadlines(r) }
	r.flushAt.Fire = func() { m.mail(r) }
	r.ledger = newLedger()
	m.peers[e.Peer] = r
	m.order = append(m.order, r)
	m.introduce(r)
}

func (m *Machine) peerDown(id peer.ID) {
	r := m.peers[id]
	if r == nil {
		return
	}
	delete(m.peers, id)
	m.order = slices.DeleteFunc(m.order, func(o *remote) bool { return o == r })
	m.alarms.Stop(&r.check)
	m.alarms.Stop(&r.flushAt)
	m.forgetLedger(r)
	for _, s := range r.memberOf {
		s.members = slices.DeleteFunc(s.members, func(b *member) bool { return b.r == r })
	}
	r.memberOf = nil
	for _, w := range r.askedInOrder() {
		m.release(w, r)
		w.forget(r)
		m.requeue(w)
	}
}

// askedInOrder lists the wants that the peer was asked about, oldest first.
func (r *remote) askedInOrder() []*want {
	list := make([]*want, 0, len(r.asked))
	for w := range r.asked {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *want) int { return int(int64(a.seq) - int64(b.seq)) })
	return list
}

// patience is how long the peer may be silent while it owes something. A busy
// one that keeps sending, if slowly, earns more.
func (r *remote) patience() time.Duration {
	return max(patienceMin, 4*r.window.RTT, min(4*r.gap, patienceMax))
}

// useful notes that something came in that was asked for.
func (r *remote) useful(now time.Time) {
	if len(r.assigned) > 0 || r.stalls > 0 {
		r.gap = (3*r.gap + now.Sub(r.lastHeard)) / 4
	}
	r.lastHeard = now
	r.stalls = 0
	r.stalled = time.Time{}
}

// room tells whether another want fits into the window; proven says that there
// are others that have delivered something.
func (r *remote) room(proven bool) bool {
	switch {
	case r.open >= entriesMax:
		return false
	case r.stalls > 0:
		return len(r.assigned) == 0 // a probe
	case r.blocks == 0 && proven:
		return len(r.assigned) < unprovenMax
	}
	return r.window.Fits(len(r.assigned), r.out)
}

// doubtful tells whether the peer is to be asked only if nobody else can be.
func (r *remote) doubtful() bool { return r.credit <= creditMin || r.score < 0 }

// hopeless tells whether the peer has broken its word again and again, and has never
// kept it.
func (r *remote) hopeless() bool { return r.credit <= creditHopeless && r.blocks == 0 }

// rank orders peers that might be asked: proven, unknown, doubtful.
func (r *remote) rank() int {
	switch {
	case r.doubtful():
		return 2
	case r.blocks == 0:
		return 1
	}
	return 0
}

// ask puts an entry into the next message to r.
func (m *Machine) ask(r *remote, e Entry) {
	r.outbox = append(r.outbox, e)
	m.mail(r)
}

// cancel tells r to forget what it was asked. An entry that was not sent yet needs no
// cancel, unless there was one before it.
func (m *Machine) cancel(r *remote, c cid.Cid, again bool) {
	for i := range r.outbox {
		if r.outbox[i].Cid == c && !r.outbox[i].Cancel {
			r.outbox = slices.Delete(r.outbox, i, i+1)
			if !again {
				return
			}
			break
		}
	}
	m.ask(r, Entry{Cid: c, Cancel: true})
}

// mail has flush look at r before the Step ends.
func (m *Machine) mail(r *remote) {
	if !r.mailed {
		r.mailed = true
		m.mails = append(m.mails, r)
	}
}

// flush sends what has gathered: at once if the peer owes nothing else or the
// last message is a while ago, else when coalesceTime is over.
func (m *Machine) flush() {
	for _, r := range m.mails {
		r.mailed = false
		if r.sending || !r.hasMail() || m.peers[r.id] != r {
			continue
		}
		due := r.lastFlush.Add(coalesceTime)
		if r.open > len(r.outbox) && m.now.Before(due) {
			m.alarms.Set(&r.flushAt, due)
			continue
		}
		m.send(r)
	}
	clear(m.mails)
	m.mails = m.mails[:0]
}

func (r *remote) hasMail() bool {
	return len(r.outbox)+len(r.told)+len(r.haves) > 0 || r.unsure
}

func (m *Machine) send(r *remote) {
	// The peer may remember what was wanted over a connection that ended for us and
	// not yet for it, if not by a process before this one.
	s := Send{Peer: r.id, Full: !r.greeted && len(r.outbox)+len(r.told) > 0 || r.unsure}
	if s.Full {
		r.greeted, r.unsure = true, false
		m.outboxAll(r)
	}
	n := min(len(r.outbox), 2*entriesMax)
	s.Entries = append(s.Entries, r.outbox[:n]...)
	for i := range s.Entries {
		if e := &s.Entries[i]; !e.Cancel {
			m.stats.WantsOut++
			m.seq++
			e.Priority = int32(math.MaxInt32 - m.seq%(1<<30))
			e.SendDontHave = !r.caps.BlocksOnly
		}
	}
	r.outbox = slices.Delete(r.outbox, 0, n)
	n = min(len(r.told), 2*entriesMax)
	s.Entries = append(s.Entries, r.told[:n]...)
	r.told = slices.Delete(r.told, 0, n)
	for _, p := range r.haves {
		if p.have {
			s.Haves = append(s.Haves, p.cid)
		} else {
			s.DontHaves = append(s.DontHaves, p.cid)
		}
	}
	r.haves = r.haves[:0]
	r.sending, r.lastFlush = true, m.now
	m.do(s)
}

// outboxAll makes the outbox a whole wantlist: all that the peer was asked and has not
// answered, and no cancels. What others have to say is added by them.
func (m *Machine) outboxAll(r *remote) {
	r.told = nil
	waiting := make(map[cid.Cid]bool, len(r.outbox))
	r.outbox = slices.DeleteFunc(r.outbox, func(e Entry) bool {
		waiting[e.Cid] = true
		return e.Cancel
	})
	for _, w := range r.askedInOrder() {
		if a := w.ask(r); a.state.open() && !waiting[w.cid] {
			r.outbox = append(r.outbox, Entry{Cid: w.cid, Have: a.state == openHave})
		}
	}
}

func (m *Machine) sent(e Sent) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	r.sending = false
	m.mail(r)
	r.unsure = r.unsure || e.Broken
	if !e.Failed {
		r.retries = 0
		return
	}
	// What was in the message may or may not have arrived: ask again, later.
	r.greeted = false
	m.stall(r)
}
