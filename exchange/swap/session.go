package swap

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/alarm"
)

// Limits of a session.
const (
	membersMax   = 32  // peers that a session remembers
	lookAheadMax = 256 // wants that are passed over because their peers are busy
	// What a block is taken for, in bytes, before any was seen.
	leafUnknown = 256 << 10
	nodeUnknown = 32 << 10
	sizeMin     = 64
	// movesMax is how often a want is moved to a faster peer.
	movesMax = 2
	// rescueMin is what moving a want must save at least.
	rescueMin = 20 * time.Millisecond
	// copyMin is what must be saved to ask for a block that may be on its way:
	// there may be two of it then.
	copyMin = 500 * time.Millisecond
	// lateMin is how long a peer may be silent before its wants are moved.
	lateMin = 250 * time.Millisecond
	// askedMin is how many blocks of a session may be asked for whatever the limit.
	askedMin = 2
)

// session is a group of wants that the same peers can probably serve.
type session struct {
	id      uint64
	root    cid.Cid // who has it probably has the rest
	wants   map[*want]struct{}
	retry   []*want // to be asked for again
	ready   []*want // to be asked for, oldest first, but for the urgent one
	members []*member
	sizes   map[uint64]int // estimated block size in bytes by codec
	hunting int
	fed     time.Time // when a block of it came last
	barren  bool      // a want of it was given up, and since then neither a block came nor a peer
	urgent  *want     // the last that was asked for again: it may hunt beside huntsMax others
	leader  *want     // the hunting want that asks around for all
	probed  cid.Cid   // the last leader that is done: late answers still tell who is of use
	review  alarm.Alarm
	reviews int // since there was nothing to want
	dirty   bool
	closed  bool
}

// member is a peer that has shown to have content of the session.
type member struct {
	r            *remote
	hits, misses float64 // decaying counts of blocks and DONT_HAVEs
}

// reliable tells whether the peer probably has what it was not asked for yet.
func (b *member) reliable() bool { return b.misses <= 1+b.hits }

func (m *Machine) session(id uint64) *session {
	s := m.sessions[id]
	if s == nil {
		s = &session{id: id, wants: make(map[*want]struct{}), sizes: make(map[uint64]int)}
		s.review.Fire = func() { m.review(s) }
		m.sessions[id] = s
	}
	return s
}

func (m *Machine) closeSession(id uint64) {
	s := m.sessions[id]
	if s == nil {
		return
	}
	for _, w := range inOrder(s.wants) {
		m.leave(w, s)
	}
	for _, b := range s.members {
		b.r.memberOf = slices.DeleteFunc(b.r.memberOf, func(o *session) bool { return o == s })
	}
	s.closed = true
	m.alarms.Stop(&s.review)
	delete(m.sessions, id)
	m.leaveSearches(s)
}

func inOrder(set map[*want]struct{}) []*want {
	list := make([]*want, 0, len(set))
	for w := range set {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *want) int { return int(int64(a.seq) - int64(b.seq)) })
	return list
}

func (s *session) member(r *remote) *member {
	for _, b := range s.members {
		if b.r == r {
			return b
		}
	}
	return nil
}

// join remembers that r has content of the session.
func (m *Machine) join(s *session, r *remote) *member {
	b := s.member(r)
	if b == nil {
		if len(s.members) == membersMax {
			worst := slices.MaxFunc(s.members, func(a, b *member) int { return a.r.rank() - b.r.rank() })
			if worst.r.rank() <= r.rank() {
				return &member{r: r}
			}
			s.members = slices.DeleteFunc(s.members, func(b *member) bool { return b == worst })
			worst.r.memberOf = slices.DeleteFunc(worst.r.memberOf, func(o *session) bool { return o == s })
		}
		b = &member{r: r}
		s.members = append(s.members, b)
		r.memberOf = append(r.memberOf, s)
		s.barren = false
		m.touch(s)
	}
	return b
}

// served notes that r delivered b.
func (s *session) served(m *Machine, r *remote, b block.Block) {
	s.fed, s.barren = m.now, false
	e := m.join(s, r)
	e.hits, e.misses = 0.95*e.hits+1, 0.95*e.misses
	codec := b.Cid().Prefix().Codec
	old := s.size(codec)
	now := max((3*old+b.Size())/4, sizeMin)
	s.sizes[codec] = now
	if change := now - old; max(change, -change) > old/8 {
		s.resize(codec, now)
	}
}

// resize corrects what was assigned while blocks were taken for larger, or
// smaller, than they are.
func (s *session) resize(codec uint64, size int) {
	for _, b := range s.members {
		for _, w := range b.r.assigned {
			if w.size > 0 && w.cid.Prefix().Codec == codec && slices.Contains(w.sessions, s) {
				b.r.out += size - w.size
				w.size = size
			}
		}
	}
}

// size is what a block of the codec is taken for, in bytes.
func (s *session) size(codec uint64) int {
	if size, known := s.sizes[codec]; known {
		return size
	}
	if codec == cid.Raw {
		return leafUnknown
	}
	return nodeUnknown
}

// largest is what its largest blocks are taken for, in bytes.
func (s *session) largest() int {
	most := 0
	for _, size := range s.sizes {
		most = max(most, size)
	}
	return most
}

// estimate guesses the size of the block in bytes.
func (w *want) estimate() int {
	codec := w.cid.Prefix().Codec
	for _, s := range w.sessions {
		if _, known := s.sizes[codec]; known {
			return s.sizes[codec]
		}
	}
	return w.sessions[0].size(codec)
}

// fill assigns what is ready, as far as windows allow.
func (m *Machine) fill(s *session) {
	s.takeIn()
	kept, passed := 0, 0
	i := 0
	for ; i < len(s.ready) && passed < lookAheadMax; i++ {
		w := s.ready[i]
		if m.wants[w.cid] != w || w.holder != nil || w.hunt != nil || !slices.Contains(w.sessions, s) {
			continue
		}
		r, hope := m.pick(w)
		switch {
		case r != nil:
			m.assign(w, r)
			continue
		case !hope && (s.hunting < huntsMax || w == s.urgent && s.hunting < 2*huntsMax):
			m.beginHunt(w)
			continue
		case !m.roomy(s):
			passed = lookAheadMax
		}
		s.ready[kept] = w
		kept++
		passed++
	}
	s.ready = slices.Delete(s.ready, kept, i)
	if len(s.ready) == 0 {
		m.rescue(s)
	}
}

// takeIn puts what is to be asked for again among what is ready, by age: a reader needs the
// oldest first, and others come when it has that, or is told that it will not have it.
func (s *session) takeIn() {
	if len(s.retry) == 0 {
		return
	}
	slices.SortStableFunc(s.retry, s.order)
	merged, rest := make([]*want, 0, len(s.retry)+len(s.ready)), s.ready
	for _, w := range s.retry {
		for len(rest) > 0 && s.order(rest[0], w) < 0 {
			merged, rest = append(merged, rest[0]), rest[1:]
		}
		merged = append(merged, w)
	}
	s.ready, s.retry = append(merged, rest...), nil
}

// order is that in which wants are asked for.
func (s *session) order(a, b *want) int {
	switch {
	case a == b:
		return 0
	case a == s.urgent:
		return -1
	case b == s.urgent:
		return 1
	}
	return cmp.Compare(a.seq, b.seq)
}

// sated tells whether the limit has no room for more of the session from peers that are not
// near. Every session may have a few blocks under way.
func (m *Machine) sated(s *session) bool {
	if !m.o.Appetite.Limited() {
		return false
	}
	asked, out := 0, 0
	for _, r := range m.order {
		if r.near {
			continue
		}
		out += r.out
		for _, w := range r.assigned {
			if asked < askedMin && slices.Contains(w.sessions, s) {
				asked++
			}
		}
	}
	return asked >= askedMin && m.o.Appetite.Sated(m.now, out)
}

// roomy tells whether any peer of the session could take another want.
func (m *Machine) roomy(s *session) bool {
	sated := m.sated(s)
	for _, b := range s.members {
		if b.r.stalled.IsZero() && b.r.room(true) && (b.r.near || !sated) {
			return true
		}
	}
	return false
}

// pick chooses whom to ask for a block: of those that may well have it, and are
// the least doubtful, the one that would deliver it first. hope means that
// somebody could, but is busy.
func (m *Machine) pick(w *want) (best *remote, hope bool) {
	size := w.estimate()
	proven, sated := false, true
	for _, s := range w.sessions {
		sated = sated && m.sated(s)
		for _, b := range s.members {
			proven = proven || b.r.blocks > 0 && b.r.stalled.IsZero()
		}
	}
	least, doubt := math.MaxInt, 0 // of those that could, and of best
	consider := func(r *remote) {
		if !r.stalled.IsZero() || !m.mayAsk(w, r) {
			return
		}
		hope = true
		d := w.doubt(r)
		least = min(least, d)
		if !r.room(proven) || sated && !r.near {
			return
		}
		if best == nil || d < doubt || d == doubt && r.window.Finish(r.out+size) < best.window.Finish(best.out+size) {
			best, doubt = r, d
		}
	}
	for _, a := range w.asks {
		if a.state == saidHave || a.state == provider || a.lost() {
			consider(a.r)
		}
	}
	for _, s := range w.sessions {
		for _, b := range s.members {
			if b.reliable() {
				consider(b.r)
			}
		}
	}
	if doubt > least {
		best = nil // rather wait for a good peer than trust a doubtful one
	}
	return best, hope
}

// rescue gives the fastest peer what would arrive last, as long as that saves
// much.
func (m *Machine) rescue(s *session) {
	size := s.largest() // or an idle peer that is slow, and near, would pass for the fastest
	for range lookAheadMax {
		var r *remote
		for _, b := range s.members {
			if b.r.blocks > 0 && b.r.stalled.IsZero() && b.reliable() &&
				(r == nil || b.r.window.Finish(b.r.out+size) < r.window.Finish(r.out+size)) {
				r = b.r
			}
		}
		if r == nil || !r.room(true) || !r.near && m.sated(s) {
			return
		}
		w := m.latest(s, r)
		if w == nil {
			return
		}
		late := w.holder
		m.release(w, late)
		w.note(late, m.now, silent) // assign cancels it
		w.moves++
		m.assign(w, r)
	}
}

// latest is the want of the session that will arrive last, if r would deliver
// it much earlier.
func (m *Machine) latest(s *session, r *remote) *want {
	var worst *want
	var at time.Duration
	for _, h := range m.order {
		w := h.lastOf(s, r)
		if w == nil {
			continue
		}
		t, saved := m.arrival(h), 2*r.window.Finish(r.out+w.size)+rescueMin
		if m.underWay(w) {
			saved = 2*saved + copyMin
		}
		if t > saved && (worst == nil || t > at) {
			worst, at = w, t
		}
	}
	return worst
}

// lastOf is the want of the session that r will deliver last, if it can be
// moved to another peer.
func (r *remote) lastOf(s *session, to *remote) *want {
	if r == to {
		return nil
	}
	for _, w := range slices.Backward(r.assigned) {
		if w.moves < movesMax && !w.refused(to) && slices.Contains(w.sessions, s) {
			return w
		}
	}
	return nil
}

// underWay tells whether the block was probably sent already, so that it is too
// late to cancel it: what is ahead of it is no more than the path holds. That a
// peer is late for twice what it should have taken says that it was not.
func (m *Machine) underWay(w *want) bool {
	h := w.holder
	if m.now.Sub(h.lastHeard) > max(lateMin, 2*h.window.Finish(w.size)) {
		return false
	}
	path := int(h.window.Rate*h.window.RTT.Seconds()) + 2*quantum
	return h.out-w.size < path
}

// arrival estimates when all that r owes will be there. A peer that is late
// already is taken to need as long again.
func (m *Machine) arrival(r *remote) time.Duration {
	gone := m.now.Sub(r.lastHeard)
	if left := r.window.Finish(r.out) - gone; left > 0 {
		return left
	}
	return gone
}
