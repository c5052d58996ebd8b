package swap

import (
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// Limits of searches.
const (
	// searchDelay is what connected peers get to answer before the search starts.
	searchDelay  = 200 * time.Millisecond
	searchesMax  = 3
	searchPause  = 500 * time.Millisecond // after the first search; then twice that
	providersMax = 16                     // members with which a session stops searching
	dialsMax     = 64                     // dials under way or waiting
)

// search is a Find under way, and the sessions that profit from it.
type search struct{ sessions []*session }

// dial is a Dial under way, and what for.
type dial struct {
	wants    []cid.Cid
	sessions []*session
}

// maybeSearch begins a search for providers if it is time for one.
func (m *Machine) maybeSearch(w *want, open, fresh int) {
	h := w.hunt
	if !m.o.Search || h.searching || h.searches >= searchesMax || m.now.Before(h.nextSearch) {
		return
	}
	if open+fresh > 0 && m.now.Sub(w.born) < searchDelay {
		return
	}
	h.searching = true
	sr := m.searches[w.cid]
	if sr == nil {
		sr = &search{}
		m.searches[w.cid] = sr
		m.do(Find{Cid: w.cid})
	}
	for _, s := range w.sessions {
		if !slices.Contains(sr.sessions, s) {
			sr.sessions = append(sr.sessions, s)
		}
	}
}

func (m *Machine) found(e Found) {
	delete(m.searches, e.Cid)
	w := m.wants[e.Cid]
	if w == nil || w.hunt == nil {
		return
	}
	w.hunt.searching = false
	w.hunt.searches++
	w.hunt.nextSearch = m.now.Add(m.jitter(searchPause << (w.hunt.searches - 1)))
	m.pursue(w)
}

// leaveSearches stops what was searched for the session alone.
func (m *Machine) leaveSearches(s *session) {
	var stop []cid.Cid
	for c, sr := range m.searches {
		sr.sessions = slices.DeleteFunc(sr.sessions, func(o *session) bool { return o == s })
		if len(sr.sessions) == 0 {
			stop = append(stop, c)
		}
	}
	slices.SortFunc(stop, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
	for _, c := range stop {
		m.do(StopFind{Cid: c})
	}
}

func (m *Machine) provider(e Provider) {
	sr := m.searches[e.Cid]
	if sr == nil {
		return
	}
	w := m.wants[e.Cid]
	if w != nil && w.hunt != nil {
		if _, known := w.hunt.providers[e.Peer]; known {
			return
		}
		w.hunt.providers[e.Peer] = struct{}{}
	}
	if r := m.peers[e.Peer]; r != nil {
		m.named(r, []cid.Cid{e.Cid}, sr.sessions)
	} else {
		m.dial(e, w, sr)
	}
	if len(sr.sessions) > 0 && !slices.ContainsFunc(sr.sessions, func(s *session) bool { return len(s.members) < providersMax }) {
		m.do(StopFind{Cid: e.Cid})
	}
}

func (m *Machine) dial(e Provider, w *want, sr *search) {
	d := m.dials[e.Peer]
	if d == nil {
		if len(m.dials) >= dialsMax {
			return
		}
		d = &dial{}
		m.dials[e.Peer] = d
		m.do(Dial{Peer: e.Peer})
	}
	if w != nil && w.hunt != nil && !slices.Contains(d.wants, e.Cid) {
		w.hunt.dialing++
		d.wants = append(d.wants, e.Cid)
	}
	for _, s := range sr.sessions {
		if !slices.Contains(d.sessions, s) {
			d.sessions = append(d.sessions, s)
		}
	}
}

func (m *Machine) dialFailed(e DialFailed) {
	d := m.dials[e.Peer]
	if d == nil {
		return
	}
	delete(m.dials, e.Peer)
	for _, c := range d.wants {
		if w := m.wants[c]; w != nil && w.hunt != nil {
			w.hunt.dialing--
			w.hunt.undialable++
			w.hunt.dialErr = e.Err
			m.pursue(w)
		}
	}
}

// named puts a provider to use.
func (m *Machine) named(r *remote, cids []cid.Cid, sessions []*session) {
	for _, s := range sessions {
		if !s.closed {
			m.join(s, r)
		}
	}
	for _, c := range cids {
		w := m.wants[c]
		if w == nil {
			continue
		}
		if a := w.ask(r); a == nil || a.state == silent && r.stalled.IsZero() {
			w.note(r, m.now, provider)
		}
		m.pursue(w)
	}
}

// introduce offers a new peer to those that could use one.
func (m *Machine) introduce(r *remote) {
	if d := m.dials[r.id]; d != nil {
		delete(m.dials, r.id)
		for _, c := range d.wants {
			if w := m.wants[c]; w != nil && w.hunt != nil {
				w.hunt.dialing--
			}
		}
		m.named(r, d.wants, d.sessions)
	}
	for _, s := range m.inOrder() {
		w := s.sample()
		if w == nil || s.member(r) != nil || len(s.members) >= providersMax {
			continue
		}
		if w.hunt != nil {
			w.hunt.roundEnd = m.now // ask the newcomer at once
			m.pursue(w)
		} else if w.ask(r) == nil && !r.caps.BlocksOnly {
			w.note(r, m.now, openHave)
			m.ask(r, Entry{Cid: w.cid, Have: true})
		}
	}
}
