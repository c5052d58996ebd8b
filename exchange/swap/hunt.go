package swap

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/alarm"
)

// Limits of a hunt.
const (
	huntsMax   = 32 // wants of a session that hunt at a time; the others wait
	groupMin   = 8  // peers that are asked first; each further group is twice as large
	probesMax  = 64 // peers that are asked about a want before they were named by a search
	huntPeriod = 100 * time.Millisecond
	// hesitateTime, or hesitateTrips round trips, is how long a peer that has never sent anything
	// may take to begin, if others have the block.
	hesitateTime  = 150 * time.Millisecond
	hesitateTrips = 3
	// graceTime is how long a want lives on without hope: a peer may connect.
	graceTime = 2 * time.Second
	// silenceMax is how long a want waits for peers that should have it, once they
	// have fallen silent and nobody sends anything of its session. They are probed
	// meanwhile, five times at least (see stall). As long as blocks arrive, such a peer
	// may be one that many ask and that has not got round to us.
	silenceMax = 35 * time.Second
	// hushMax is how long it waits for them in all, whoever comes and promises it meanwhile.
	hushMax = 2 * silenceMax
)

// hunt is the part of a want that asks around.
type hunt struct {
	began      time.Time
	look       alarm.Alarm
	round      int       // groups asked so far
	roundEnd   time.Time // when the next group is due
	probed     int
	searches   int // ended
	searching  bool
	nextSearch time.Time
	providers  map[peer.ID]bool // that were named; true: it could not be reached
	dialErr    error            // of the last that could not
	dialing    int
	lastHope   time.Time // when a peer was last expected to answer
	hushed     time.Time // since when nobody says anything who should have it
}

// undialable is how many of the providers could not be reached.
func (h *hunt) undialable() (n int) {
	for _, failed := range h.providers {
		if failed {
			n++
		}
	}
	return n
}

func (m *Machine) beginHunt(w *want) {
	h := &hunt{began: m.now, providers: make(map[peer.ID]bool), lastHope: m.now, nextSearch: w.born}
	if w.barren() {
		h.lastHope = w.born
	}
	h.look.Fire = func() { m.pursue(w) }
	w.hunt = h
	for _, s := range w.sessions {
		s.hunting++
		if s.leader == nil {
			s.leader = w
		}
	}
	m.pursue(w)
}

func (m *Machine) endHunt(w *want) {
	if w.hunt == nil {
		return
	}
	m.alarms.Stop(&w.hunt.look)
	w.hunt = nil
	for _, s := range w.sessions {
		s.hunting--
		if s.leader == w {
			s.leader = nil
			s.probed = w.cid
		}
	}
}

// leads tells whether the want may ask many: it is the first of a session, or
// its session has peers and they do not have it.
func (w *want) leads() bool {
	for _, s := range w.sessions {
		if s.leader == w || s.leader == nil || len(s.members) > 0 {
			return true
		}
	}
	return false
}

// pursue takes the next step of a hunt.
func (m *Machine) pursue(w *want) {
	h := w.hunt
	if h == nil || m.wants[w.cid] != w {
		return
	}
	if m.hesitates(w) {
		m.takeBack(w, w.holder) // and somebody else is asked
		return
	}
	hope := false
	if w.holder == nil {
		var r *remote
		if r, hope = m.pick(w); r != nil {
			m.assign(w, r)
		}
	}
	open := m.openAsks(w)
	var fresh []*remote
	if hope && w.holder == nil {
		open++ // somebody will be asked who is only busy now
	} else {
		fresh = m.unasked(w)
	}
	if hope || w.hopeful() {
		h.lastHope = m.now
	}
	left := len(fresh)
	if left > 0 && (open == 0 || !m.now.Before(h.roundEnd)) {
		left = m.probe(w, fresh)
		open = m.openAsks(w)
	}
	m.maybeSearch(w, open, left)
	if m.maybeFail(w, open, left) {
		return
	}
	m.alarms.Set(&h.look, m.now.Add(huntPeriod))
}

// hesitates tells whether somebody else had better be asked for the want, which is the first of its
// sessions: its holder has never sent anything, nor begun to in hesitateTime, and another says
// that it has the block. Later on wants wait in turn, and whoever is asked anew loses its place.
func (m *Machine) hesitates(w *want) bool {
	h := w.holder
	if h == nil || h.blocks > 0 || h.partial > 0 || m.now.Sub(w.since) < max(hesitateTime, hesitateTrips*h.window.RTT) || !w.fed().IsZero() {
		return false
	}
	return slices.ContainsFunc(w.asks, func(a ask) bool {
		return a.r != h && a.state == saidHave && a.vain == 0 && a.r.stalled.IsZero() && a.r.room(false)
	})
}

// openAsks counts the peers that may still answer, and marks the others silent.
func (m *Machine) openAsks(w *want) int {
	open := 0
	for i := range w.asks {
		a := &w.asks[i]
		switch {
		case !a.state.open():
		case a.state == openHave && m.now.Sub(a.at) > a.r.patience():
			w.note(a.r, m.now, silent)
		default:
			open++
		}
	}
	return open
}

// unasked lists the connected peers that were not asked yet, best first.
func (m *Machine) unasked(w *want) []*remote {
	var list []*remote
	for _, r := range m.order {
		if r.stalled.IsZero() && r.open < entriesMax && w.ask(r) == nil {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *remote) int {
		if d := a.rank() - b.rank(); d != 0 {
			return d
		}
		return int(a.window.RTT - b.window.RTT)
	})
	return list
}

// hopeful tells whether a peer may still answer, or is busy with other wants. One
// that has fallen silent gives hope again when it has answered something; that
// it is probed does not, or the pauses between probes would add to silenceMax.
func (w *want) hopeful() bool {
	for _, a := range w.asks {
		if a.r.stalls == 0 && (a.state.open() || a.state != saidDont && len(a.r.assigned) > 0) {
			return true
		}
	}
	return false
}

// barren tells whether another want of the same sessions was given up a moment ago. This
// one has waited as long, for the same peers: it is given up as soon as it is clear that
// nobody else has it.
func (w *want) barren() bool {
	return !slices.ContainsFunc(w.sessions, func(s *session) bool { return !s.barren })
}

// searchesMax is how often its providers are searched for.
func (w *want) searchesMax() int {
	if w.barren() {
		return 1
	}
	return searchesMax
}

// fed is when a block came last of a session that wants w.
func (w *want) fed() (last time.Time) {
	for _, s := range w.sessions {
		last = later(last, s.fed)
	}
	return last
}

// unheard tells whether a connected peer could not be asked yet because it is
// stalled or busy.
func (m *Machine) unheard(w *want) bool {
	for _, r := range m.order {
		if (r.stalls > 0 || r.open >= entriesMax) && !r.hopeless() && w.ask(r) == nil {
			return true
		}
	}
	return false
}

// probe asks the best of the peers for the block and a group of others whether
// they have it, so that a good guess costs no extra round trip. It returns how
// many of the group are still to be asked, because they are busy now.
func (m *Machine) probe(w *want, fresh []*remote) (busy int) {
	h := w.hunt
	group := min(groupMin<<min(h.round, 3), probesMax-h.probed, len(fresh))
	if !w.leads() {
		group = min(group, 1)
	}
	for _, r := range fresh[:max(group, 0)] {
		switch {
		case w.holder == nil && r.room(false):
			m.assign(w, r)
		case w.leads() && !r.caps.BlocksOnly:
			w.note(r, m.now, openHave)
			m.ask(r, Entry{Cid: w.cid, Have: true})
		default:
			busy++
			continue
		}
		h.probed++
		h.roundEnd = later(h.roundEnd, m.now.Add(max(huntPeriod, 2*r.window.RTT)))
	}
	h.round++
	return busy
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// maybeFail gives the want up if there is nothing left to hope for. While a search goes on
// the time of those runs already who have fallen silent.
func (m *Machine) maybeFail(w *want, open, fresh int) bool {
	h := w.hunt
	if w.holder != nil || open > 0 {
		return false
	}
	reason := Reason{Phase: PhaseNoProviders, Providers: len(h.providers), Undialable: h.undialable(), DialErr: h.dialErr}
	hushed := m.unheard(w)
	for _, a := range w.asks {
		if a.state != provider {
			reason.Asked++
		}
		hushed = hushed || !a.r.hopeless() && (a.state == silent || a.state == provider || a.state == saidHave)
	}
	if hushed && h.hushed.IsZero() {
		h.hushed = m.now
	}
	if fresh > 0 || h.searching || h.dialing > 0 {
		return false
	}
	if m.maySearch(w) || m.now.Sub(h.lastHope) < graceTime {
		return false
	}
	switch {
	case hushed && m.now.Sub(later(h.lastHope, w.fed())) < silenceMax && m.now.Sub(later(h.hushed, w.fed())) < hushMax:
		return false
	case hushed:
		reason.Phase = PhaseStalled
	case reason.Undialable > 0 && reason.Undialable == reason.Providers:
		reason.Phase = PhaseUndialable
	case len(h.providers) > 0:
		reason.Phase = PhaseRefused
	case reason.Asked == 0 && !m.o.Search:
		reason.Phase = PhaseNoPeers
	}
	m.fail(w, reason)
	return true
}

func (m *Machine) inOrder() []*session {
	list := make([]*session, 0, len(m.sessions))
	for _, s := range m.sessions {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *session) int { return int(int64(a.id) - int64(b.id)) })
	return list
}

// sample is a want by which to find out whether a new peer is of use.
func (s *session) sample() *want {
	if s.leader != nil {
		return s.leader
	}
	for _, list := range [][]*want{s.ready, s.retry} {
		for _, w := range list {
			if _, live := s.wants[w]; live {
				return w
			}
		}
	}
	var oldest *want
	for w := range s.wants {
		if oldest == nil || w.seq > oldest.seq {
			oldest = w
		}
	}
	return oldest
}
