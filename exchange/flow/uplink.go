package flow

import "time"

// Limits of an uplink.
const (
	// depthStart is how many replies may be under way before a rate is known, and
	// depthMax how many there may ever be.
	depthStart = 1
	depthMax   = 256
	// probeGain is how much faster than measured an uplink is taken to be, or it would
	// never be found to be faster.
	probeGain = 1.1
	// rateShare is what a new sample counts.
	rateShare = 0.25
)

// Uplink decides when the next reply may begin, so that the line is never idle and, if it
// is what makes peers slow, each reply has it alone: what is under way at the same time
// is late together, and nobody can pass on the half of a block. It goes by what the
// receivers say that they have, not by what a socket has taken.
//
// If it is their lines that are slow, there must be many replies at a time. So it tries:
// a greater depth stays if it raises the rate.
type Uplink struct {
	rate  float64   // bytes/s that were measured, 0 before
	queue float64   // bytes that are taken to wait in the line
	at    time.Time // when that was so
	out   int       // bytes that no receiver has said to have
	acked time.Time // since when the line was busy, and it was not measured; zero if it is not
	bytes int       // that have arrived since
	ended int       // replies
	depth int       // replies that may share the line
	trial trial
}

// trial is of a greater depth, or of the same.
type trial struct {
	began  time.Time // zero if there is none
	bytes  int       // that have arrived in it
	ended  int       // replies in it
	before float64   // bytes/s with half the depth; 0 if this is no trial of more
	rest   time.Time // before which there is no other
}

// drain takes off the queue what has gone.
func (u *Uplink) drain(now time.Time) {
	u.queue = max(0, u.queue-probeGain*u.rate*now.Sub(u.at).Seconds())
	u.at = now
}

// Begin notes that a reply of size bytes begins.
func (u *Uplink) Begin(now time.Time, size int) {
	u.drain(now)
	if u.out == 0 {
		u.acked = now // from now on it is busy
	}
	u.queue += float64(size)
	u.out += size
}

// Arrived notes that a reply of size bytes has arrived, as was heard over a path with the
// round trip time. waiting tells whether another is to follow at once: only then does the
// line limit the rate.
func (u *Uplink) Arrived(now time.Time, size int, rtt time.Duration, waiting bool) {
	u.Lost(now, size)
	u.measure(now, size)
	// What was begun after it, but for what has left meanwhile, is still in the line.
	u.queue = max(0, float64(u.out)-u.rate*rtt.Seconds())
	u.judge(now, size, waiting)
}

// measure takes samples of the rate while the line is busy.
func (u *Uplink) measure(now time.Time, size int) {
	if u.acked.IsZero() {
		return
	}
	u.bytes += size
	u.ended++
	span := now.Sub(u.acked)
	if span >= trialMin || u.ended >= sampleBlocks && span >= sampleMin || u.rate == 0 {
		sample := float64(u.bytes) / max(span, time.Millisecond).Seconds()
		if u.rate == 0 {
			u.rate = sample
		} else {
			u.rate += rateShare * (sample - u.rate)
		}
		u.acked, u.bytes, u.ended = now, 0, 0
	}
	if u.out == 0 {
		u.acked, u.bytes, u.ended = time.Time{}, 0, 0
	}
}

// Lost notes that a reply of size bytes will not be heard of.
func (u *Uplink) Lost(now time.Time, size int) {
	u.drain(now)
	u.out -= size
	u.queue = min(u.queue, float64(u.out))
}

// Rate is what was measured, in bytes/s; 0 if nothing was.
func (u *Uplink) Rate() float64 { return u.rate }

// Ready is when the next reply may begin, if nothing arrives before.
func (u *Uplink) Ready(now time.Time, size int) time.Time {
	u.drain(now)
	if u.rate == 0 {
		if u.out < depthStart*size {
			return now
		}
		return time.Time{}
	}
	over := u.queue - float64((max(u.depth, 1)-1)*size)
	return now.Add(time.Duration(max(0, over) / (probeGain * u.rate) * float64(time.Second)))
}

// judge tries what another depth is good for.
func (u *Uplink) judge(now time.Time, size int, waiting bool) {
	u.depth = max(u.depth, 1)
	t := &u.trial
	if !waiting || now.Before(t.rest) {
		t.began = time.Time{}
		u.giveUp()
		return
	}
	if t.began.IsZero() {
		t.began, t.bytes, t.ended = now, 0, 0
		return
	}
	t.bytes += size
	t.ended++
	span := now.Sub(t.began)
	if span < trialMin || t.ended < 2*u.depth && span < trialMax {
		return
	}
	rate := float64(t.bytes) / span.Seconds()
	switch {
	case t.before > 0 && rate < trialGain*t.before:
		u.giveUp()
		t.rest = now.Add(trialPause)
	case u.depth < depthMax:
		u.depth *= 2
		t.before = rate
	}
	t.began = time.Time{}
}

// giveUp ends a trial of more, if there is one.
func (u *Uplink) giveUp() {
	if u.trial.before > 0 {
		u.depth = max(1, u.depth/2)
		u.trial.before = 0
	}
}
