package swarm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/flow"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

// Limits on serving.
const (
	// quantum is the size of a reply of several leaves, in bytes.
	quantum = 256 << 10
	// replyLeavesMax is how many leaves one reply may hold.
	replyLeavesMax = 1024
	// repliesMax is how many replies to a peer may be written at a time. It begins with
	// one, and gets one more for each that was written at once.
	repliesMax = 4
	slowTime   = 100 * time.Millisecond // to write a quantum to a slow peer
	// quickTime is how long it takes at most, beside a round trip, until a quick peer says
	// that it has a quantum; quickSize is how many bytes in a row must have gone so. It is
	// in nobody's way, and needs no slot.
	quickTime = 10 * time.Millisecond
	quickSize = 1 << 20
	// slotFree is how many bytes a peer may wait for that needs no slot, nor leave to ask: a
	// small file is not to wait for large ones.
	slotFree = 64 << 10
	queueMax = 1 << 14 // leaves that a peer may have asked for
	loadsMax = 4       // DAGs that are walked at a time for strangers
	// idleTime is how often others are let in while nobody asks for anything.
	idleTime = 50 * time.Millisecond
	// newcomerTime is for how long a reply may have the line to a peer that has not said yet
	// that anything arrived, beside twice what it should take.
	newcomerTime = 500 * time.Millisecond
	// aliveEvery is how often a peer that waits hears that it is not forgotten.
	aliveEvery = time.Second
)

// server is the other half of the machine: what peers want of this one.
type server struct {
	uplink   flow.Uplink
	ready    alarm.Alarm // when it can take more
	paced    alarm.Alarm // when the pace lets another reply begin
	unchoked int         // peers that may ask at a time
	rotated  time.Time
	seq      uint64
	sending  int // bytes of replies that are not written yet
	// strangers is how many bytes may be sent to those who give nothing while others wait.
	strangers float64
	rotation  alarm.Alarm
	invited   time.Time // when somebody was last
	invites   alarm.Alarm
}

// served is a peer as the server sees it.
type served struct {
	gives   bool      // it may ask
	since   time.Time // for how long that has been so
	elected time.Time // when it was last let in
	last    time.Time // when it was sent something
	invited time.Time // when it was last told that nobody waits
	ignored int       // how often it was since it has asked for something
	allowed int       // bytes that it was told that it may ask for
	size    int       // bytes that it has asked for
	replies []*reply  // oldest first
	beside  int       // replies that may be written beside the first
	quick   int       // bytes of the last replies, each of which was there at once
	out     int64     // bytes that it was sent, ever
	proven  bool      // it has said that something of it arrived
	lost    int       // replies in a row of which it has not said so in time
	income  float64   // bytes that it has sent lately
	earned  time.Time // when that was counted
	partial int       // bytes of leaves on their way from it that were counted already
}

// reply is leaves on their way to a peer.
type reply struct {
	seq     uint64
	l       *link
	begun   time.Time
	size    int
	left    map[int]struct{} // leaves that it has not said that it has, as guests need not
	nodes   bool             // and the nodes before them
	slot    bool
	line    flow.Reply // if it has a slot
	written bool
	old     alarm.Alarm
}

// opened takes an Open.
func (m *Machine) opened(r *remote, f frame.Open) bool {
	if r.byTheirs(f.Channel) != nil {
		return false
	}
	refuse := func(reason frame.EndReason) bool {
		m.send(r, frame.End{Channel: f.Channel, Reason: reason})
		return true
	}
	if r.channels() >= channelsMax {
		return refuse(frame.EndBusy)
	}
	if m.dags[f.Root] == nil && m.loads() >= loadsMax {
		return refuse(frame.EndBusy)
	}
	known := m.dags[f.Root] != nil
	d := m.dag(f.Root)
	l := m.link(r, d)
	if l.theirs.state != channelNone {
		m.closed(l)
		l = m.link(r, d)
	}
	l.open, l.theirs, l.waits = f, channel{f.Channel, channelWaits}, false
	switch {
	case d.state == dagKnown:
		m.admit(l)
	case d.state == dagLoading:
	case !known || d.fetch == nil:
		m.load(d, nil)
	default: // what there is comes when the leaves are known
		l.waits = true
		m.send(r, frame.Have{Channel: f.Channel})
	}
	return true
}

// channels is how many the peer has opened.
func (r *remote) channels() (n int) {
	for _, l := range r.links {
		if l.theirs.state != channelNone {
			n++
		}
	}
	return n
}

// loads is how many DAGs are being walked.
func (m *Machine) loads() (n int) {
	for _, d := range m.dags {
		if d.state == dagLoading {
			n++
		}
	}
	return n
}

// admit answers an Open now that the leaves are known.
func (m *Machine) admit(l *link) {
	d, f := l.d, l.open
	if !f.Nodes && f.Leaves != 0 && f.Leaves != len(d.leaves) {
		m.end(l, frame.EndWrong)
		return
	}
	l.theirs.state = channelOpen
	if f.Nodes {
		m.serveNodes(l)
	}
	list := d.have.ranges(len(d.leaves), len(d.leaves))
	m.send(l.r, frame.Have{Channel: f.Channel, Ranges: list[:min(len(list), frame.RangesMax)]})
	for len(list) > frame.RangesMax {
		list = list[frame.RangesMax:]
		m.send(l.r, frame.Have{Channel: f.Channel, Ranges: list[:min(len(list), frame.RangesMax)]})
	}
	m.rotate()
	if l.mine.state == channelNone && d.fetch != nil && d.fetch.left > 0 && m.mayOpen(l.r, d) {
		m.open(l, false)
	}
	m.seekLeaves(d) // guests too, now that it is shared
}

// serveNodes has the nodes sent. If nobody else waits, or they are small, the first leaves are
// taken for requested, up to the peer's credit.
func (m *Machine) serveNodes(l *link) {
	d, pushed, size := l.d, 0, 0
	push := m.alone(l.r) || d.isSmall()
	for push && pushed < len(d.leaves) && d.have.has(pushed) && size+d.sizes[pushed] <= l.open.Credit {
		size += d.sizes[pushed]
		l.queue = append(l.queue, pushed)
		l.queued[pushed] = struct{}{}
		pushed++
	}
	l.r.server.size += size
	p := m.reply(l, 0)
	p.nodes = true
	m.do(ServeNodes{Peer: l.r.id, Seq: p.seq, Channel: l.theirs.number, Root: d.root, From: l.open.From, Pushed: pushed})
}

// isSmall tells whether all leaves together need no slot.
func (d *dag) isSmall() bool {
	size := 0
	for _, n := range d.sizes {
		if size += n; size > slotFree {
			return false
		}
	}
	return true
}

// alone tells whether nobody but the peer has a channel open.
func (m *Machine) alone(r *remote) bool {
	return !slices.ContainsFunc(m.order, func(o *remote) bool { return o != r && o.channels() > 0 })
}

// end ends a channel that the peer has opened.
func (m *Machine) end(l *link, reason frame.EndReason) {
	if l.theirs.state != channelNone {
		m.send(l.r, frame.End{Channel: l.theirs.number, Reason: reason})
		m.closed(l)
	}
}

// closed ends a channel that the peer has opened, and has closed.
func (m *Machine) closed(l *link) {
	m.dropQueue(l)
	l.theirs = channel{}
	if l.mine.state == channelNone {
		m.unlink(l)
	}
}

// dropQueue forgets what the peer has asked for.
func (m *Machine) dropQueue(l *link) {
	for _, i := range l.queue {
		l.r.server.size -= l.d.sizes[i]
	}
	l.queue = nil
	clear(l.queued)
	for _, p := range slices.Clone(l.r.server.replies) {
		if p.l == l && p.written {
			m.finish(p)
		}
	}
}

// requested takes a Request.
func (m *Machine) requested(l *link, list []frame.Range) bool {
	d, r := l.d, l.r
	var gone, choked []int
	for _, g := range list {
		if g.First+g.Count > len(d.leaves) {
			return false
		}
		for i := g.First; i < g.First+g.Count; i++ {
			_, twice := l.queued[i]
			switch {
			case twice:
			case !d.have.has(i):
				gone = append(gone, i)
			case !r.server.gives || len(l.queue) >= queueMax:
				choked = append(choked, i)
			default:
				l.queue = append(l.queue, i)
				l.queued[i] = struct{}{}
				r.server.size += d.sizes[i]
				r.server.ignored = 0
			}
		}
	}
	m.miss(l, frame.MissGone, gone)
	m.miss(l, frame.MissChoked, choked)
	m.beginRotation()
	return true
}

// miss answers requests with no block.
func (m *Machine) miss(l *link, reason frame.MissReason, numbers []int) {
	if len(numbers) == 0 {
		return
	}
	slices.Sort(numbers)
	for part := range slices.Chunk(rangesOf(numbers), frame.RangesMax) {
		m.send(l.r, frame.Miss{Channel: l.theirs.number, Reason: reason, Ranges: part})
	}
}

// unqueue takes requests that keep does not want out of the queue, and returns them.
func (m *Machine) unqueue(l *link, keep func(i int) bool) (out []int) {
	l.queue = slices.DeleteFunc(l.queue, func(i int) bool {
		if keep(i) {
			return false
		}
		out = append(out, i)
		delete(l.queued, i)
		l.r.server.size -= l.d.sizes[i]
		return true
	})
	return out
}

// cancelled takes requests back.
func (m *Machine) cancelled(l *link, list []frame.Range) {
	in := func(i int) bool {
		return slices.ContainsFunc(list, func(g frame.Range) bool { return g.First <= i && i < g.First+g.Count })
	}
	m.miss(l, frame.MissCancelled, m.unqueue(l, func(i int) bool { return !in(i) }))
	var late []int
	for _, p := range l.r.server.replies {
		for i := range p.left {
			if p.l == l && in(i) {
				late = append(late, i)
			}
		}
	}
	m.miss(l, frame.MissLate, late)
}

// waiting is how many peers wait for something that they have asked for.
func (m *Machine) waiting() (n int) {
	for _, r := range m.order {
		if r.server.size > 0 {
			n++
		}
	}
	return n
}

// serve begins replies: the next is to the peer that was served the longest ago.
func (m *Machine) serve() {
	waiting := m.waiting()
	for waiting > 0 && m.server.sending < m.o.ServingSizeMax {
		var next *remote
		for _, r := range m.order {
			if r.server.size > 0 && m.mayReply(r, waiting) && (next == nil || m.before(r, next)) {
				next = r
			}
		}
		if next == nil {
			return
		}
		m.serveNext(next, m.crowded(next, waiting))
		waiting = m.waiting()
	}
}

// crowded tells whether others wait for what the limit, or the line, has no room for: if a
// limit holds, most of them may not even ask.
func (m *Machine) crowded(r *remote, waiting int) bool {
	if !m.o.Pace.Limited() {
		return waiting > 1
	}
	return !r.near && slices.ContainsFunc(m.order, func(o *remote) bool { return o != r && !o.near && o.interested() })
}

// before tells whose turn is sooner: that of the one whose last was the longest ago, as if each
// leaf that it has to pass on had been another turn; of two that were never served, whose was let in
// sooner. Who does not take what it is sent comes after all others, and before that who
// gives nothing, once strangers have had their share.
func (m *Machine) before(r, o *remote) bool {
	a, b := &r.server, &o.server
	if c := cmp.Compare(a.lost, b.lost); c != 0 {
		return c < 0
	}
	if ra, rb := m.isStranger(r), m.isStranger(o); ra != rb && m.server.strangers <= 0 {
		return rb
	}
	return cmp.Or(m.turnOf(r).Compare(m.turnOf(o)), a.elected.Compare(b.elected)) < 0
}

// turnOf is when the peer was served last, and a turn later for each leaf that it was entrusted with
// and has not passed on: what goes to those who pass it on soon comes to the others through them.
func (m *Machine) turnOf(r *remote) time.Time {
	at, rate := r.server.last, m.server.uplink.Rate()
	if at.IsZero() || rate == 0 {
		return at
	}
	return at.Add(time.Duration(float64(m.keeps(r)) * quantum / rate * float64(time.Second)))
}

// isStranger tells whether a peer has given nothing lately, and wants more than a little.
func (m *Machine) isStranger(r *remote) bool {
	return r.server.incomeAt(m.now) == 0 && r.server.size > slotFree && !r.guest
}

// spend counts what is sent to strangers while others wait who have given something.
func (m *Machine) spend(r *remote, stranger bool, size int) {
	s := &m.server
	switch {
	case !stranger:
		s.strangers = min(s.strangers+strangersShare*float64(size), quantum)
	case slices.ContainsFunc(m.order, func(o *remote) bool { return o != r && o.server.size > 0 && !m.isStranger(o) }):
		s.strangers = max(s.strangers-float64(size), -quantum)
	}
}

// mayReply tells whether a reply to the peer may begin now.
func (m *Machine) mayReply(r *remote, waiting int) bool {
	writing := 0
	for _, p := range r.server.replies {
		if !p.written {
			writing++
		}
	}
	if writing > r.server.beside || !r.near && !m.inPace() {
		return false
	}
	return r.server.size <= slotFree || r.server.quick >= quickSize || m.exempt(r) || waiting == 1 && !m.othersServed(r) && !m.othersInterested(r) || m.lineReady()
}

// exempt tells whether a limit holds for others and not for the peer: it is not in their
// way, and what their replies take says nothing of its line.
func (m *Machine) exempt(r *remote) bool { return r.near && m.o.Pace.Limited() }

// inPace tells whether the limit has room for another reply; when it has is seen to.
func (m *Machine) inPace() bool {
	at := m.o.Pace.Ready(m.now)
	if at.After(m.now) {
		m.alarms.Set(&m.server.paced, at)
		return false
	}
	return true
}

// quantum is the size of a reply of several leaves to the peer, in bytes.
func (m *Machine) quantum(r *remote) int {
	if r.near {
		return quantum
	}
	return m.o.Pace.Reply(quantum)
}

// othersInterested tells whether others may ask for something soon.
func (m *Machine) othersInterested(r *remote) bool {
	return slices.ContainsFunc(m.order, func(o *remote) bool { return o != r && o.interested() })
}

// othersServed tells whether replies to others are under way.
func (m *Machine) othersServed(r *remote) bool {
	return slices.ContainsFunc(m.order, func(o *remote) bool { return o != r && len(o.server.replies) > 0 })
}

// lineReady tells whether the line can take another reply; when it can is seen to.
func (m *Machine) lineReady() bool {
	at := m.server.uplink.Ready(m.now, quantum)
	if at.IsZero() {
		return false
	}
	if at.After(m.now) {
		m.alarms.Set(&m.server.ready, at)
		return false
	}
	return true
}

// serveNext begins a reply to the peer. crowded tells whether others wait.
func (m *Machine) serveNext(r *remote, crowded bool) {
	k := slices.IndexFunc(r.links, func(l *link) bool { return len(l.queue) > 0 })
	l := r.links[k]
	r.links = append(slices.Delete(r.links, k, k+1), l) // the next time, the next
	d := l.d
	if crowded && d.unsent > 0 && !r.guest {
		// What others can pass on is not to be sent by the only one who has other leaves.
		m.miss(l, frame.MissElsewhere, m.unqueue(l, func(i int) bool { return d.copies[i] == 0 }))
		if len(l.queue) == 0 {
			r.server.last = m.now
			return
		}
	}
	if crowded {
		slices.SortStableFunc(l.queue, func(a, b int) int {
			if c := int(d.copies[a]) - int(d.copies[b]); c != 0 {
				return c
			}
			return int(d.avail[a]) - int(d.avail[b])
		})
	}
	size, n, most := 0, 0, m.quantum(r)
	for n < len(l.queue) && n < replyLeavesMax && (n == 0 || size+d.sizes[l.queue[n]] <= most) {
		size += d.sizes[l.queue[n]]
		n++
	}
	m.spend(r, m.isStranger(r), size)
	numbers := slices.Clone(l.queue[:n])
	m.unqueue(l, func(i int) bool { return !slices.Contains(numbers, i) })
	p := m.reply(l, size)
	a := Serve{Peer: r.id, Seq: p.seq, Channel: l.theirs.number, Numbers: numbers}
	for _, i := range numbers {
		a.Cids = append(a.Cids, d.leaves[i])
		p.left[i] = struct{}{}
		m.copied(l, i)
	}
	m.do(a)
}

// reply begins one of size bytes.
func (m *Machine) reply(l *link, size int) *reply {
	r := l.r
	m.server.seq++
	p := &reply{seq: m.server.seq, l: l, begun: m.now, size: size, left: make(map[int]struct{})}
	if p.slot = r.server.quick < quickSize && !m.exempt(r) && size > slotFree; p.slot {
		p.line = m.server.uplink.Begin(m.now, size)
	}
	if !r.near {
		m.o.Pace.Begin(m.now, size)
	}
	p.old.Fire = func() {
		if r.guest && p.written {
			m.finish(p)
			return
		}
		r.server.lost++
		m.vacate(p)
	}
	m.alarms.Set(&p.old, m.now.Add(m.slotTime(r, size)))
	r.server.replies = append(r.server.replies, p)
	r.server.last = m.now
	m.server.sending += size
	return p
}

// slotTime is for how long a reply of size bytes may have the line. Of many who ask for the
// first time most may never take what they get.
func (m *Machine) slotTime(r *remote, size int) time.Duration {
	long := flow.SlotTime(size)
	if r.server.proven || m.o.Pace.Limited() {
		return long
	}
	short := newcomerTime
	if rate := m.server.uplink.Rate(); rate > 0 {
		short += time.Duration(2 * float64(size) / rate * float64(time.Second))
	}
	return min(short, long)
}

// vacate takes a reply for lost, unless it has arrived.
func (m *Machine) vacate(p *reply) {
	if p.slot {
		p.slot = false
		m.server.uplink.Lost(m.now, p.line)
	}
}

// finish ends a reply that was written.
func (m *Machine) finish(p *reply) {
	m.alarms.Stop(&p.old)
	m.vacate(p)
	s := &p.l.r.server
	s.replies = slices.DeleteFunc(s.replies, func(o *reply) bool { return o == p })
}

func (m *Machine) served(e Served) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	k := slices.IndexFunc(r.server.replies, func(p *reply) bool { return p.seq == e.Seq })
	if k < 0 {
		return
	}
	p := r.server.replies[k]
	p.written = true
	m.server.sending -= p.size
	s := &r.server
	if took := m.now.Sub(p.begun); took > time.Duration(max(1, p.size/quantum))*slowTime {
		s.beside = (s.beside + 1) / 2
	} else {
		s.beside = min(s.beside+1, repliesMax-1)
	}
	if !e.Failed {
		m.stats.BytesOut += int64(e.Size)
		s.out += int64(e.Size)
		m.stats.LeavesOut += int64(len(p.left) - len(e.Missing))
	}
	for _, i := range e.Missing {
		delete(p.left, i)
		if p.l.theirs.state == channelOpen {
			m.miss(p.l, frame.MissGone, []int{i})
		}
	}
	if e.Failed {
		m.unserved(p)
	}
	if e.Failed || len(p.left) == 0 || r.guest && !p.old.IsSet() {
		m.finish(p)
	}
}

// unserved says that what is left of a reply will not come.
func (m *Machine) unserved(p *reply) {
	if p.l.theirs.state != channelOpen {
		return
	}
	if p.nodes {
		m.end(p.l, frame.EndBusy)
		return
	}
	m.miss(p.l, frame.MissCancelled, slices.Collect(maps.Keys(p.left)))
}

// acked takes note of what a peer says that it has: leaves that were sent to it have
// arrived, which no socket can tell.
func (m *Machine) acked(l *link, list []frame.Range) bool {
	s := &l.r.server
	for _, p := range slices.Clone(s.replies) {
		if p.l != l || len(p.left) == 0 {
			continue
		}
		for i := range p.left {
			if l.has.has(i) {
				delete(p.left, i)
			}
		}
		if len(p.left) > 0 {
			continue
		}
		if p.slot {
			p.slot = false
			m.server.uplink.Arrived(m.now, p.line, l.r.window.RTT, m.waiting() > 0)
		}
		s.proven, s.lost = true, 0
		quanta := time.Duration(max(1, (p.size+quantum-1)/quantum))
		if s.quick = min(s.quick+p.size, quickSize); m.now.Sub(p.begun) > quanta*quickTime+l.r.window.RTT {
			s.quick = 0
		}
		if p.written {
			m.finish(p)
		}
	}
	m.idle()
	return true
}

// idle lets others ask if those who may have nothing to ask for.
func (m *Machine) idle() {
	if m.waiting() == 0 && !m.busy() && m.now.Sub(m.server.rotated) >= idleTime {
		m.rotate()
	}
}

// forgetServed forgets what a peer that is gone was being sent.
func (m *Machine) forgetServed(r *remote) {
	for _, p := range slices.Clone(r.server.replies) {
		if !p.written {
			m.server.sending -= p.size
		}
		m.finish(p)
	}
}
