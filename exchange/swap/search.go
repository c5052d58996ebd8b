package swap

import (
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of searches.
const (
	// searchDelay is what connected peers get to answer before the search starts.
	searchDelay = 200 * time.Millisecond
	searchesMax = 3
	searchPause = 500 * time.Millisecond // after the first search; then twice that
	// searchingTime is how long after a hunt began it may be searched again for what was
	// searched for before: searches may take long in a bad network, and who asks is to have
	// an answer.
	searchingTime = 30 * time.Second
	providersMax  = 16 // members with which a session stops searching
	dialsMax      = 64 // dials under way or waiting
)

// search is a Find under way, what it is for, and the sessions that profit from it.
type search struct {
	wants    []cid.Cid
	sessions []*session
}

// dial is a Dial under way, and what for.
type dial struct {
	wants    []cid.Cid
	sessions []*session
}

// maySearch tells whether there may be another search for providers.
func (m *Machine) maySearch(w *want) bool {
	h := w.hunt
	late := h.searches > 1 && m.now.Sub(h.began) > searchingTime
	return m.o.Search && h.searches < w.searchesMax() && !late
}

// maybeSearch begins a search for providers if it is time for one.
func (m *Machine) maybeSearch(w *want, open, fresh int) {
	h := w.hunt
	if h.searching || !m.maySearch(w) || m.now.Before(h.nextSearch) {
		return
	}
	if open+fresh > 0 && m.now.Sub(w.born) < searchDelay {
		return
	}
	h.searching = true
	c := w.target()
	sr := m.searches[c]
	if sr == nil {
		sr = &search{}
		m.searches[c] = sr
		m.do(Find{Cid: c})
	}
	if !slices.Contains(sr.wants, w.cid) {
		sr.wants = append(sr.wants, w.cid)
	}
	for _, s := range w.sessions {
		if !slices.Contains(sr.sessions, s) {
			sr.sessions = append(sr.sessions, s)
		}
	}
}

// target is what to search for: the block itself, and if nobody provides that, what
// its session began with. Often only the root of a file is provided.
func (w *want) target() cid.Cid {
	if w.hunt.searches > 0 && len(w.hunt.providers) == 0 {
		return w.sessions[0].root
	}
	return w.cid
}

func (m *Machine) found(e Found) {
	sr := m.searches[e.Cid]
	if sr == nil {
		return
	}
	delete(m.searches, e.Cid)
	for _, c := range sr.wants {
		w := m.wants[c]
		if w == nil || w.hunt == nil {
			continue
		}
		w.hunt.searching = false
		w.hunt.searches++
		w.hunt.nextSearch = m.now.Add(m.jitter(searchPause << (w.hunt.searches - 1)))
		m.pursue(w)
	}
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
	var fresh []cid.Cid // wants for which the peer was not named yet
	stale := false
	for _, c := range sr.wants {
		w := m.wants[c]
		if w == nil {
			continue
		}
		if w.hunt != nil {
			// One whose connection has ended is dialled again.
			undialable, known := w.hunt.providers[e.Peer]
			if known && (undialable || m.peers[e.Peer] != nil || m.dials[e.Peer] != nil) {
				stale = true
				continue
			}
			w.hunt.providers[e.Peer] = false
		}
		fresh = append(fresh, c)
	}
	if stale && len(fresh) == 0 {
		return
	}
	if r := m.peers[e.Peer]; r != nil {
		m.named(r, fresh, sr.sessions)
	} else {
		m.dial(e.Peer, fresh, sr)
	}
	if len(sr.sessions) > 0 && !slices.ContainsFunc(sr.sessions, func(s *session) bool { return len(s.members) < providersMax }) {
		m.do(StopFind{Cid: e.Cid})
	}
}

func (m *Machine) dial(id peer.ID, cids []cid.Cid, sr *search) {
	d := m.dials[id]
	if d == nil {
		if len(m.dials) >= dialsMax {
			return
		}
		d = &dial{}
		m.dials[id] = d
		m.do(Dial{Peer: id})
	}
	for _, c := range cids {
		if w := m.wants[c]; w.hunt != nil && !slices.Contains(d.wants, c) {
			w.hunt.dialing++
			d.wants = append(d.wants, c)
		}
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
			w.hunt.providers[e.Peer] = true
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
