package flow

import "time"

// Limits of slots.
const (
	slotsStart = 2
	slotsMax   = 256
	// A trial of more slots, or of as many as before, lasts for as many replies as there
	// are slots, and for these times.
	trialMin = 250 * time.Millisecond
	trialMax = 5 * time.Second
	// trialGain is by what more slots must raise the rate to be kept.
	trialGain = 1.2
	// trialPause is how long the slots stay as they are after more were of no use.
	trialPause = 10 * time.Second
	// A reply has its slot for slotTimeMin and what it takes at slotRateMin, in
	// bytes/s. Who reads more slowly, or not at all, keeps nobody else waiting.
	slotTimeMin = 2 * time.Second
	slotRateMin = 64 << 10
)

// SlotTime is for how long a reply of size bytes may have its slot.
func SlotTime(size int) time.Duration {
	return slotTimeMin + time.Duration(size)*time.Second/slotRateMin
}

// Slots decides how many replies to slow peers may be under way at a time. If the
// uplink is what makes them slow, all that more of them at a time achieve is that each
// takes longer: the first copy of every block leaves late, and nobody can pass it on. If
// it is the peers' downlinks, there must be many. So it tries: more slots stay if they
// raise the rate.
type Slots struct {
	most int // replies that may be under way
	busy int // that are

	began  time.Time // of the trial; zero if there is none
	bytes  int       // that were sent in it
	ended  int       // replies in it
	before float64   // bytes/s with half as many slots; 0 if this is no trial of more
	rest   time.Time
}

// NewSlots returns slots of which none is taken.
func NewSlots() Slots { return Slots{most: slotsStart} }

// Free tells whether another reply may begin.
func (s *Slots) Free() bool { return s.busy < s.most }

// Take begins a reply.
func (s *Slots) Take() { s.busy++ }

// Busy is how many replies are under way.
func (s *Slots) Busy() int { return s.busy }

// Sent notes that bytes of a reply have gone.
func (s *Slots) Sent(size int) { s.bytes += size }

// Release ends a reply. waiting tells whether another is to take its place: only then do
// the slots limit the rate.
func (s *Slots) Release(now time.Time, waiting bool) {
	s.busy--
	if !waiting || now.Before(s.rest) {
		s.began = time.Time{}
		s.giveUp()
		return
	}
	if s.began.IsZero() {
		s.began, s.bytes, s.ended = now, 0, 0
		return
	}
	s.ended++
	span := now.Sub(s.began)
	if span < trialMin || s.ended < s.most && span < trialMax {
		return
	}
	rate := float64(s.bytes) / span.Seconds()
	switch {
	case s.before > 0 && rate < trialGain*s.before:
		s.giveUp()
		s.rest = now.Add(trialPause)
	case s.most < slotsMax:
		s.most *= 2
		s.before = rate
	}
	s.began = time.Time{}
}

// giveUp ends a trial of more slots, if this is one, with as many as before.
func (s *Slots) giveUp() {
	if s.before > 0 {
		s.most /= 2
		s.before = 0
	}
}
