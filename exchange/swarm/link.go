package swarm

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/flow"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

// Limits on a peer.
const (
	// AllowStart is how many bytes may be asked of a peer before it has said how many.
	AllowStart = 1 << 20
	// patience is how long a peer may be silent that owes something, in round trips
	// and in time: one that serves others first says so each second (aliveEvery).
	patience      = 4 * time.Second
	patienceTrips = 8
	// askTimeMax is how long a peer that says so may send nothing that was asked for.
	askTimeMax = 15 * time.Second
	// walkTimeMax is how long a peer that is alive may not answer an Open, or send none of
	// the nodes that it owes: the stream that they came on may have broken.
	walkTimeMax = time.Minute
	// cancelTime is how long a Cancel may go unanswered before another is asked all the
	// same, and cancelTrips the same in round trips.
	cancelTime  = 250 * time.Millisecond
	turnMax     = 2 * time.Second // that it is taken to need
	cancelTrips = 3
	// What is said to be on its way has lateTime to come, and lateTimes as long as it
	// should take.
	lateTime  = time.Second
	lateTimes = 3
	// A peer that has sent nothing yet is doubted when it has begun to send nothing for
	// doubtTimes as long as those need that have, and doubtMin at least. If these need more
	// than doubtUsualMax nobody is: who has a slow line may have to serve others first.
	doubtTimes    = 3
	doubtMin      = 200 * time.Millisecond
	doubtUsualMax = time.Second
	// doubtShare is of how much of its first leaf one part must have come by then.
	doubtShare = 16
	// answerTrips is how many round trips, and doubtMin at least, an answer to an Open or the first
	// nodes may take before others are asked too, and once some have come nodesMin at least. Each
	// that is late has twice as many asked beside it, up to lateMax times.
	answerTrips = 4
	nodesMin    = time.Second
	lateMax     = 2
	// A peer that has stalled is left alone for stallTime, twice as long each time.
	stallTime    = 2 * time.Second
	stallTimeMax = 30 * time.Second
	// refuseTime is how long a peer is not asked again for what it has not got.
	refuseTime = 15 * time.Second
	// vainMax is how often a peer may say that it has a leaf, and send a Miss when it is asked for
	// it. Then its word counts for nothing. If it has done so with more leaves than it has sent,
	// once is enough for each.
	vainMax = 8
	// earlyMax is how many ranges of leaves are kept for a peer before they are known.
	earlyMax = frame.RangesMax
	banTime  = time.Hour
)

// remote is a peer.
type remote struct {
	id    peer.ID
	near  bool    // what is exchanged with it is not limited
	guest bool    // it has no nodes to give, and wants nothing
	links []*link // oldest first
	last  uint32  // channel that was opened last; the first is random, see peerUp

	// Of what is asked of it.
	window  flow.Window
	allow   int           // bytes that it allows to be asked for
	choked  time.Time     // since when that is nothing; zero if it is not
	asked   int           // leaves
	out     int           // bytes that these are taken for
	got     int           // leaves that it has sent, ever
	vain    int           // that it had said to have, and had not
	idle    time.Time     // when it said that nobody waits for it; zero once it was taken at its word
	began   time.Time     // when the leaf that is on its way began to come
	head    int           // bytes of it that came then
	pace    float64       // bytes/s at which the last came, once it had begun to; 0 if unknown
	took    time.Duration // that the last of them took, once those asked for before it were there
	arrived time.Time     // when it came
	in, dup int64         // bytes of these, and of those that were here
	faults  int
	heard   time.Time // the last sign of life
	sent    time.Time // when something came that was asked for, or it began to owe
	stalls  int       // in a row
	stalled time.Time // nothing is asked before then; zero if fine
	// silent is for how long a guest had sent nothing when something was taken back from it; zero if
	// it has sent something since.
	silent time.Duration
	check  alarm.Alarm

	server served

	outbox  []frame.Frame
	mailed  bool // in Machine.mails
	sending bool
}

// link is what a peer and this one know of each other's part of a DAG.
type link struct {
	r *remote
	d *dag

	mine, theirs channel   // opened by this side, and by the other
	nodes        bool      // mine asks for the nodes
	later        bool      // which the peer has not got yet
	walked       time.Time // when some of them came, or mine was opened
	walks        bool      // some have come
	overdue      bool      // mine was not answered for so long that others are asked
	told         bool      // the peer has said what it has
	knows        bool      // the peer has the nodes
	pushed       int       // leaves that the peer takes for requested
	refused      time.Time
	early        []frame.Range // that it has, told before the leaves were known
	has          leaves        // nil until they are
	asks         []*ask        // oldest first
	fresh        int           // leaf that it got last and few have, -1 if there is none
	asking       []int         // to be in the next Request
	inherits     int           // leaves that are being taken back for it
	barred       map[int]time.Time
	vain         map[int]int // how often it was asked for a leaf that it had said to have, and sent a Miss

	open   frame.Open // by which theirs was opened
	waits  bool       // it was told that the leaves are not known yet
	queue  []int      // asked for by the peer, and not answered yet, oldest first
	queued map[int]struct{}
	// entrusted are leaves that were sent to the peer when nobody else had them but this side, and
	// nobody else has yet.
	entrusted map[int]time.Time
	trusts    []int // the same, oldest first, and some that are no more
}

// channel is one direction of a link.
type channel struct {
	number uint32
	state  channelState
}

type channelState uint8

const (
	channelNone  channelState = iota
	channelAsked              // opened, and not answered yet
	channelWaits              // to be answered when the leaves are known
	channelOpen
)

// ask is a leaf that a peer is to send.
type ask struct {
	n         int // its number
	size      int // bytes that it is taken for
	since     time.Time
	cancelled bool
	told      time.Time // when; zero if that was answered
	copied    bool      // another is asked for it as well
	until     time.Time // for so long an answer to the Cancel is waited for
	heir      *link     // that is to be asked when the peer has said that it will not send it
}

func (m *Machine) peerUp(e PeerUp) {
	if r := m.peers[e.Peer]; r != nil {
		r.near = e.Near
		r.window.RoundTrip(e.RTT)
		return
	}
	r := &remote{id: e.Peer, near: e.Near, guest: e.Guest, allow: AllowStart, window: flow.Window{Size: flow.WindowStart, RTT: e.RTT}, heard: m.now}
	// What the peer still sends on channels of a time before must not be taken for that of
	// new ones.
	r.last = uint32(m.rng.Int64N(frame.ChannelMax))
	r.server = served{gives: true, allowed: AllowStart}
	r.check.Fire = func() { m.checkDeadlines(r) }
	m.peers[e.Peer] = r
	m.order = append(m.order, r)
	for _, d := range m.inOrder() {
		m.seek(d)
	}
}

func (m *Machine) peerDown(id peer.ID) {
	r := m.peers[id]
	if r == nil {
		return
	}
	delete(m.peers, id)
	m.order = slices.DeleteFunc(m.order, func(o *remote) bool { return o == r })
	m.alarms.Stop(&r.check)
	m.forgetServed(r)
	for _, l := range slices.Clone(r.links) {
		m.unlink(l)
	}
}

// link returns that of the peer and the DAG.
func (m *Machine) link(r *remote, d *dag) *link {
	if l := r.about(d); l != nil {
		return l
	}
	l := &link{r: r, d: d, fresh: -1, barred: make(map[int]time.Time), vain: make(map[int]int), queued: make(map[int]struct{}), entrusted: make(map[int]time.Time)}
	if d.state == dagKnown {
		l.has = newLeaves(len(d.leaves))
	}
	r.links = append(r.links, l)
	d.links = append(d.links, l)
	return l
}

// about returns the peer's link about the DAG, nil if there is none.
func (r *remote) about(d *dag) *link {
	for _, l := range r.links {
		if l.d == d {
			return l
		}
	}
	return nil
}

// unlink forgets a link: what was asked of the peer is asked of others.
func (m *Machine) unlink(l *link) {
	m.takeBackAll(l)
	if l.has != nil {
		for i := range l.d.leaves {
			m.lost(l, i)
		}
	}
	m.dropQueue(l)
	l.mine, l.theirs = channel{}, channel{}
	l.r.links = slices.DeleteFunc(l.r.links, func(o *link) bool { return o == l })
	l.d.links = slices.DeleteFunc(l.d.links, func(o *link) bool { return o == l })
	if l.d.state == dagAsked {
		m.seek(l.d)
	}
}

// byMine and byTheirs find a link by the number of a channel.
func (r *remote) byMine(number uint32) *link {
	for _, l := range r.links {
		if l.mine.state != channelNone && l.mine.number == number {
			return l
		}
	}
	return nil
}

func (r *remote) byTheirs(number uint32) *link {
	for _, l := range r.links {
		if l.theirs.state != channelNone && l.theirs.number == number {
			return l
		}
	}
	return nil
}

// open opens a channel to a peer.
func (m *Machine) open(l *link, nodes bool) {
	r := l.r
	if !r.owes() {
		r.heard, r.sent = m.now, m.now
	}
	r.last = r.last%frame.ChannelMax + 1
	l.mine = channel{r.last, channelAsked}
	l.nodes, l.later, l.told, l.knows = nodes, false, false, false
	l.walked, l.walks, l.overdue = m.now, false, false
	f := frame.Open{Channel: l.mine.number, Root: l.d.root, Nodes: nodes}
	if nodes {
		// If two are asked for the nodes, as others keep them back, the same would come twice.
		if l.d.fetch != nil && !l.d.fetch.parts() && !l.d.awaitsNodes(l) {
			f.Credit = creditSize
		}
		if !r.near {
			f.Credit = m.o.Appetite.Credit(f.Credit)
		}
	} else {
		f.Leaves = len(l.d.leaves)
	}
	m.send(r, f)
	m.watch(r)
}

// awaitsNodes tells whether another peer than that of l is to send nodes, and not late.
func (d *dag) awaitsNodes(l *link) bool {
	return slices.ContainsFunc(d.links, func(o *link) bool { return o != l && o.mine.state != channelNone && o.owesNodes() && !o.overdue })
}

// mayOpen tells whether a peer can be asked about the DAG.
func (m *Machine) mayOpen(r *remote, d *dag) bool {
	if !r.stalled.IsZero() {
		return false
	}
	l := r.about(d)
	return l == nil || l.mine.state == channelNone && !m.now.Before(l.refused)
}

const (
	// creditSize is how many bytes of leaves may follow the nodes unasked: what a line
	// carries until the first Request arrives.
	creditSize = 4 << 20
	// seekersMax is how many peers are asked about a DAG before one has answered.
	seekersMax = 8
	// guessesMax is how many peers are asked about a DAG that nobody has named as providers: who
	// is connected to many does not ask them all, and searches meanwhile.
	guessesMax = 64
	namedMax   = 256 // providers of a DAG that are remembered
)

// seekNodes asks a peer for the nodes of a DAG, and others whether they have it: one that
// has said so rather than one that may.
func (m *Machine) seekNodes(d *dag) {
	if d.state != dagAsked {
		return
	}
	open, most, sources, late, walks := 0, seekersMax, 0, 0, false
	for _, l := range d.links {
		switch {
		case l.mine.state == channelNone && l.refused.After(m.now):
			most++ // who has said no costs nothing more: so there are soon many
		case l.mine.state != channelNone && !l.overdue:
			open++
			if l.owesNodes() {
				sources++
				walks = walks || l.walks
			}
		case l.owesNodes():
			late++
		}
	}
	sourcesMax := 1
	if !walks { // nobody can be relied on yet
		sourcesMax <<= min(late, lateMax)
	}
	for _, l := range slices.Clone(d.links) {
		if sources < sourcesMax && !l.nodes && l.knows && l.mine.state == channelOpen && l.r.stalled.IsZero() {
			m.close(l)
			m.open(l, true)
			sources++
		}
	}
	guesses := 0
	for _, l := range d.links {
		if l.theirs.state == channelNone && !d.fetch.isNamed(l.r.id) {
			guesses++
		}
	}
	candidates := m.nearest()
	slices.SortStableFunc(candidates, func(a, b *remote) int { return cmp.Compare(d.rank(a), d.rank(b)) })
	for _, r := range candidates {
		guess := r.about(d) == nil && !d.fetch.isNamed(r.id)
		if open >= most || r.guest || guess && guesses >= guessesMax || !m.mayOpen(r, d) {
			continue
		}
		m.open(m.link(r, d), sources < sourcesMax)
		sources++
		open++
		if guess {
			guesses++
		}
	}
}

// rank is lower for a peer that is said to have the DAG.
func (d *dag) rank(r *remote) int {
	if d.fetch.isNamed(r.id) {
		return 0
	}
	return 1
}

// nearest lists peers that can be asked, the best first.
func (m *Machine) nearest() []*remote {
	list := slices.DeleteFunc(slices.Clone(m.order), func(r *remote) bool { return !r.stalled.IsZero() })
	slices.SortStableFunc(list, func(a, b *remote) int {
		return cmp.Or(cmp.Compare(a.faults, b.faults), cmp.Compare(a.window.RTT, b.window.RTT))
	})
	return list
}

// linksMax is with how many peers leaves of one DAG are exchanged, those included that have
// just said that they do not know it.
const linksMax = 64

// seekLeaves opens channels to peers that may have leaves.
func (m *Machine) seekLeaves(d *dag) {
	if d.fetch == nil || d.state != dagKnown || d.fetch.left == 0 {
		return
	}
	open, guests, crowd := 0, 0, d.isShared()
	for _, l := range d.links {
		if l.mine.state != channelNone || l.refused.After(m.now) {
			open++
		}
		if l.r.guest {
			guests++
		}
	}
	for _, r := range m.nearest() {
		if open >= linksMax {
			return
		}
		if r.guest && (!crowd || guests >= guestsMax) || !m.mayOpen(r, d) {
			continue
		}
		m.open(m.link(r, d), false)
		open++
		if r.guest {
			guests++
		}
	}
}

// guestsMax is how many guests are asked for leaves of one DAG.
const guestsMax = 16

// isShared tells whether peers exchange the DAG that speak the protocol. Guests alone are
// asked by name.
func (d *dag) isShared() bool {
	return slices.ContainsFunc(d.links, func(l *link) bool {
		return !l.r.guest && (l.mine.state == channelOpen || l.theirs.state == channelOpen)
	})
}

// close ends the channel that this side has opened.
func (m *Machine) close(l *link) {
	if l.mine.state != channelNone {
		m.send(l.r, frame.Close{Channel: l.mine.number})
		l.mine = channel{}
		l.nodes = false
		m.takeBackAll(l)
	}
}

// patience is how long the peer may be silent.
func (r *remote) patience() time.Duration {
	if r.guest {
		return askTimeMax // it does not say that it serves others first
	}
	return max(patience, patienceTrips*r.window.RTT)
}

// deadline is when the peer has stalled if nothing is heard of it.
func (r *remote) deadline() time.Time {
	due := r.heard.Add(r.patience())
	if late := r.sent.Add(askTimeMax); r.asked > 0 && late.Before(due) {
		due = late
	}
	for _, l := range r.links {
		if late := l.walked.Add(walkTimeMax); l.owesAnswer() && late.Before(due) {
			due = late
		}
	}
	return due
}

// owesNodes tells whether the peer is to send nodes.
func (l *link) owesNodes() bool { return l.nodes && !l.later && l.d.state == dagAsked }

// owesAnswer tells whether the peer is to say that it knows the DAG, or to send nodes.
func (l *link) owesAnswer() bool { return l.mine.state == channelAsked || l.owesNodes() }

// doubtAt is when the peer has been waited for long enough that has sent nothing yet; zero
// if it has, or if nobody else has sent anything of what it is asked for.
func (r *remote) doubtAt() (at time.Time) {
	if r.got > 0 || r.asked == 0 || r.guest {
		return at
	}
	for _, l := range r.links {
		if len(l.asks) == 0 || r.server.partial > l.asks[0].size/doubtShare {
			continue
		}
		if usual, trip := l.d.usual(); usual > 0 && usual <= doubtUsualMax {
			due := l.asks[0].since.Add(max(trip, r.window.RTT) + max(doubtMin, doubtTimes*usual))
			if at.IsZero() || due.Before(at) {
				at = due
			}
		}
	}
	return at
}

// usual is how long a leaf takes from the slowest of those who have sent one, and the longest round
// trip to any of them; 0 if nobody has.
func (d *dag) usual() (longest, trip time.Duration) {
	for _, l := range d.links {
		if l.r.got > 0 && l.r.stalled.IsZero() {
			longest, trip = max(longest, l.r.took), max(trip, l.r.window.RTT)
		}
	}
	return longest, trip
}

// doubt takes back what a peer is asked for that has sent nothing yet, and tells it so.
func (m *Machine) doubt(r *remote) {
	for _, l := range r.links {
		for _, a := range slices.Clone(l.asks) {
			m.cancel(l, a)
		}
	}
	m.leaveAlone(r)
}

// next is when the deadline may be over, or that of the answer to a Cancel, or the peer
// doubted.
func (r *remote) next() time.Time {
	due := r.deadline()
	if at := r.doubtAt(); !at.IsZero() && at.Before(due) {
		due = at
	}
	for _, l := range r.links {
		if at := l.overdueAt(); l.owesAnswer() && !l.overdue && at.Before(due) {
			due = at
		}
		for _, a := range l.asks {
			if a.cancelled && a.until.Before(due) {
				due = a.until
			}
		}
	}
	return due
}

// overdueAt is when others are asked beside a peer that has not answered an Open, or of whose
// nodes none have come for a while.
func (l *link) overdueAt() time.Time {
	wait := max(doubtMin, answerTrips*l.r.window.RTT)
	if l.walks {
		wait = max(wait, nodesMin)
	}
	return l.walked.Add(wait)
}

// lookBeside has others asked beside a peer that does not answer.
func (m *Machine) lookBeside(r *remote) {
	for _, l := range slices.Clone(r.links) {
		if l.owesAnswer() && !l.overdue && !m.now.Before(l.overdueAt()) {
			l.overdue = true
			m.seek(l.d)
		}
	}
}

// takeBackCancelled takes back what is cancelled and was not answered in time.
func (m *Machine) takeBackCancelled(r *remote) {
	for _, l := range slices.Clone(r.links) {
		for _, a := range slices.Clone(l.asks) {
			if a.cancelled && !m.now.Before(a.until) && r.heard.After(a.told) && m.now.Before(a.told.Add(turnMax)) {
				a.until = m.now.Add(cancelTime) // it lives, and may have much to say before
			}
			if a.cancelled && !m.now.Before(a.until) {
				if r.server.partial == 0 {
					r.faults++
				}
				if !a.told.IsZero() && r.got > 0 { // or all answers take longer than was thought
					m.turned(m.turn*3/2 + cancelTime/2)
				}
				m.takeBack(l, a)
			}
		}
	}
}

// owes tells whether something is expected of the peer.
func (r *remote) owes() bool {
	return r.asked > 0 || slices.ContainsFunc(r.links, func(l *link) bool {
		return l.owesAnswer()
	})
}

// isRead tells whether the peer is asked for leaves of a DAG that somebody reads.
func (r *remote) isRead() bool {
	return slices.ContainsFunc(r.links, func(l *link) bool { return len(l.asks) > 0 && l.d.fetch.isRead() })
}

// watch has the peer's deadline looked after.
func (m *Machine) watch(r *remote) {
	switch {
	case m.peers[r.id] != r:
	case !r.stalled.IsZero():
		m.alarms.Set(&r.check, r.stalled)
	case !r.owes():
		m.alarms.Stop(&r.check)
	default:
		due := r.next()
		if !due.After(m.now) {
			due = m.now.Add(time.Millisecond)
		}
		m.alarms.Set(&r.check, due)
	}
}

// alive notes a sign of life.
func (m *Machine) alive(r *remote) {
	r.heard = m.now
	m.watch(r)
}

// useful notes that something came that was asked for.
func (m *Machine) useful(r *remote) {
	r.sent, r.stalls, r.stalled, r.silent = m.now, 0, time.Time{}, 0
	m.alive(r)
}

// checkDeadlines runs when the peer's deadline may be over, or its backoff.
func (m *Machine) checkDeadlines(r *remote) {
	switch {
	case !r.stalled.IsZero() && !m.now.Before(r.stalled):
		r.stalled = time.Time{}
		r.heard = m.now
		for _, d := range m.inOrder() {
			m.seek(d)
		}
	case r.stalled.IsZero() && r.owes() && !m.now.Before(r.deadline()):
		m.do(Report{Peer: r.id, Fault: FaultStall})
		m.leaveAlone(r)
	case r.stalled.IsZero() && !r.doubtAt().IsZero() && !m.now.Before(r.doubtAt()):
		m.doubt(r)
	default:
		m.takeBackCancelled(r)
		m.lookBeside(r)
	}
	m.watch(r)
}

// leaveAlone takes back all that a silent peer owes, and asks it for nothing for a while.
func (m *Machine) leaveAlone(r *remote) {
	r.stalled = m.now.Add(m.jitter(min(stallTime<<r.stalls, stallTimeMax)))
	r.stalls = min(r.stalls+1, 10)
	r.faults++
	r.window.Size = flow.WindowStart
	m.forsake(r)
	for _, l := range slices.Clone(r.links) {
		wasNodes := l.owesNodes()
		if l.mine.state == channelAsked || wasNodes {
			m.close(l)
		}
		m.takeBackAll(l)
		if wasNodes {
			m.seek(l.d)
		} else {
			m.settle(l.d)
		}
	}
}

// jitter is d give or take a quarter.
func (m *Machine) jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(m.rng.Int64N(int64(d/2)+1))
}
