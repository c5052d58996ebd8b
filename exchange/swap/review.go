package swap

import "time"

// The peers of a session may all be slow while a faster one idles, or was never asked
// because the nearest had what was wanted first. So a session that waits is looked at
// now and then, even if nothing is delivered.
const (
	// reviewPeriod is until the first review; then it is twice that, and so on.
	reviewPeriod = 500 * time.Millisecond
	reviewGroup  = 8 // peers that are asked at a time
	reviewsMax   = 8 // the last is after two minutes
)

func (m *Machine) beginReview(s *session) {
	if len(s.wants) > 0 && !s.review.IsSet() && s.reviews < reviewsMax {
		m.alarms.Set(&s.review, m.now.Add(reviewPeriod<<s.reviews))
	}
}

// review has wants moved to faster peers, if there are, and asks more peers.
func (m *Machine) review(s *session) {
	if len(s.wants) == 0 {
		s.reviews = 0
		return
	}
	if s.leader == nil && len(s.members) < membersMax {
		m.widen(s)
	}
	s.reviews++
	m.beginReview(s)
	m.touch(s)
}

// widen asks connected peers that are not members yet.
func (m *Machine) widen(s *session) {
	w, left := s.sample(), reviewGroup
	for _, r := range m.unasked(w) {
		if left > 0 && !r.caps.BlocksOnly && s.member(r) == nil {
			w.note(r, m.now, openHave)
			m.ask(r, Entry{Cid: w.cid, Have: true})
			left--
		}
	}
}
