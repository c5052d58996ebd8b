package swap

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// want is a block that sessions wait for.
type want struct {
	cid      cid.Cid
	seq      uint64
	born     time.Time
	sessions []*session

	holder *remote // who is to send it; nil if nobody
	since  time.Time
	ahead  int // bytes asked of the holder before it, itself included
	size   int // bytes it was estimated at when it was assigned; 0 if overtaken
	moves  int // rescues
	asks   []ask

	hunt *hunt // nil unless nobody known could be asked
}

// ask is what a peer was asked about a want, and what it said.
type ask struct {
	r        *remote
	at       time.Time
	state    answer
	promised bool // it said that it has the block, and did not send it yet
	again    bool // asked more than once: the answer may be to the first time
	vain     int  // times that the block was asked for and did not come in time
	// cancelled says that the peer was told to forget it.
	cancelled bool
}

// answer is dated by ask.at.
type answer uint8

const (
	openHave  answer = iota // asked for HAVE
	openBlock               // asked for the block
	saidHave
	saidDont
	silent   // did not answer in time; may still
	provider // was named by a search
)

func (a answer) open() bool { return a == openHave || a == openBlock }

func (w *want) ask(r *remote) *ask {
	for i := range w.asks {
		if w.asks[i].r == r {
			return &w.asks[i]
		}
	}
	return nil
}

// note sets what r was asked or said, and returns what it was before.
func (w *want) note(r *remote, now time.Time, state answer) {
	a := w.ask(r)
	if a == nil {
		w.asks = append(w.asks, ask{r: r})
		a = &w.asks[len(w.asks)-1]
		r.asked[w] = struct{}{}
	} else if a.state.open() {
		r.open--
	}
	if state.open() {
		r.open++
		a.again = !a.at.IsZero()
		a.cancelled = false
	}
	a.state, a.at = state, now
	a.promised = a.promised && state != silent && state != saidDont
}

func (w *want) forget(r *remote) {
	if a := w.ask(r); a != nil {
		if a.state.open() {
			r.open--
		}
		w.asks = slices.DeleteFunc(w.asks, func(a ask) bool { return a.r == r })
	}
	delete(r.asked, w)
}

func (m *Machine) want(e Want) {
	s := m.session(e.Session)
	for _, c := range e.Cids {
		if !s.root.Defined() {
			s.root = c
		}
		w := m.wants[c]
		if w == nil {
			m.seq++
			w = &want{cid: c, seq: m.seq, born: m.now}
			m.wants[c] = w
		}
		if slices.Contains(w.sessions, s) {
			m.hurry(w, s)
			continue
		}
		w.sessions = append(w.sessions, s)
		s.wants[w] = struct{}{}
		switch {
		case w.hunt != nil:
			s.hunting++
		case w.holder == nil:
			s.ready = append(s.ready, w)
		}
	}
	m.beginReview(s)
	m.touch(s)
}

// hurry takes a want that was asked for again before those that nobody waits for in
// particular.
func (m *Machine) hurry(w *want, s *session) {
	if w.holder == nil && w.hunt == nil {
		s.urgent = w
		s.retry = append(s.retry, w)
	}
}

func (m *Machine) drop(e Drop) {
	s := m.sessions[e.Session]
	if s == nil {
		return
	}
	for _, c := range e.Cids {
		if w := m.wants[c]; w != nil {
			m.leave(w, s)
		}
	}
	m.touch(s)
}

// leave ends the interest of a session, and the want if it was the last.
func (m *Machine) leave(w *want, s *session) {
	w.sessions = slices.DeleteFunc(w.sessions, func(o *session) bool { return o == s })
	delete(s.wants, w)
	if s.urgent == w {
		s.urgent = nil
	}
	if w.hunt != nil {
		s.hunting--
		if s.leader == w {
			s.leader = nil
		}
	}
	if len(w.sessions) == 0 {
		m.end(w, nil)
	}
}

// assign asks r for the block.
func (m *Machine) assign(w *want, r *remote) {
	w.holder, w.since = r, m.now
	w.size = w.estimate()
	w.ahead = r.out + w.size
	if len(r.assigned) == 0 {
		r.window.Begin(m.now)
		r.lastHeard = m.now
	}
	for i := range w.asks {
		// Whoever was too slow is not to send it as well.
		if a := &w.asks[i]; a.r != r && a.state == silent && !a.cancelled {
			a.cancelled = true
			m.cancel(a.r, w.cid, a.again)
		}
	}
	r.assigned = append(r.assigned, w)
	r.out += w.size
	w.note(r, m.now, openBlock)
	m.ask(r, Entry{Cid: w.cid})
	m.watch(r)
}

// deadline is when r should have delivered the want, if it sends at all. It
// moves with what is known of the peer's speed.
func (r *remote) deadline(w *want) time.Time {
	return w.since.Add(r.patience() + 4*r.window.Finish(w.ahead))
}

// release takes the want back from r, if r has it.
func (m *Machine) release(w *want, r *remote) {
	if r == nil || w.holder != r {
		return
	}
	w.holder = nil
	if i := slices.Index(r.assigned, w); i >= 0 {
		r.assigned = slices.Delete(r.assigned, i, i+1)
		r.out -= w.size
	}
	for _, s := range r.memberOf {
		m.touch(s) // r has room
	}
}

// requeue looks for somebody else.
func (m *Machine) requeue(w *want) {
	if m.wants[w.cid] != w || w.holder != nil {
		return
	}
	if w.hunt != nil {
		m.pursue(w)
		return
	}
	for _, s := range w.sessions {
		s.retry = append(s.retry, w) // fill drops what it finds twice
		m.touch(s)
	}
}

// deliver ends a want well.
func (m *Machine) deliver(w *want, b block.Block, r *remote) {
	for _, s := range w.sessions {
		s.served(m, r, b)
	}
	m.do(Deliver{Block: b, From: r.id})
	m.end(w, r)
}

// fail ends a want badly.
func (m *Machine) fail(w *want, reason Reason) {
	m.stats.Failed++
	m.do(Fail{Cid: w.cid, Reason: reason})
	for _, s := range w.sessions {
		s.barren = true
	}
	m.end(w, nil)
}

// end forgets a want, and cancels it with everybody but from.
func (m *Machine) end(w *want, from *remote) {
	delete(m.wants, w.cid)
	m.late.add(m.now, w.cid)
	m.release(w, w.holder)
	for _, a := range slices.Clone(w.asks) {
		if a.r != from && a.keeps() {
			m.cancel(a.r, w.cid, a.again)
		}
		w.forget(a.r)
	}
	for _, s := range w.sessions {
		delete(s.wants, w)
		if s.urgent == w {
			s.urgent = nil
		}
		m.touch(s)
	}
	m.endHunt(w)
	w.sessions = nil
}
