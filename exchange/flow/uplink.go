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
	probeGain = 1.25
	// rateTime is for how long, and up to twice that, the highest rate counts.
	rateTime = 5 * time.Second
	// With less than lowShare of its rate a line is not full, and with fullShare it is. Between
	// trials the depth grows by a reply in the time that those under way take while it is not, and
	// shrinks by depthRounds times less while it is.
	lowShare    = 0.75
	fullShare   = 0.9
	depthRounds = 2
	// depthDrift is how far it grows so, unless a trial has shown that more are of use: the rate may
	// have been overestimated.
	depthDrift = 4
	// lineMax is how many replies more than the depth may be in the line before one is heard: all
	// that share it are late together, and if the rate was overestimated ever more would.
	lineMax = 2
	// trialFirst is when the first trial may be: to a crowd, what is sent first is worth the most.
	trialFirst = 2 * time.Second
)

// Uplink decides when the next reply may begin, so that the line is never idle and, if it
// is what makes peers slow, each reply has it alone: what is under way at the same time
// is late together, and nobody can pass on the half of a block. It goes by what the
// receivers say that they have, not by what a socket has taken.
//
// The rate is measured as BBR does it, see Cardwell et al., "Delivery Rate Estimation"
// (draft-cheng-iccrg-delivery-rate-estimation): by what has arrived in the lifetime of each
// reply. The highest lately is that of the line, for one connection alone may not fill it.
//
// If it is their lines that are slow, or connections that have not found their speed, there must
// be many replies at a time. So it tries: a greater depth stays if it raises the rate, and as long
// as the rate is not reached without.
type Uplink struct {
	queue float64   // bytes that are taken to wait in the line
	at    time.Time // when that was so
	out   int       // bytes that no receiver has said to have
	onWay float64   // bytes of these that were taken to have left the line, when one was heard last

	arrived int        // bytes, ever
	last    time.Time  // when some did, or the line began to be busy
	begun   time.Time  // when the reply began of which the receiver was heard last, or the same
	rates   [2]float64 // bytes/s, the highest since turned, and in the time before
	turned  time.Time  // when the first of these began
	depth   float64    // replies that may share the line
	proven  float64    // depth that has raised the rate in the last trial
	trial   trial
}

// Reply is one under way.
type Reply struct {
	size    int
	begun   time.Time
	arrived int       // Uplink's, when it began
	last    time.Time // the same
	before  time.Time // Uplink's begun, the same
}

// trial is of twice the depth.
type trial struct {
	before float64   // bytes/s, the rate before it; 0 if there is no trial
	began  time.Time // when the depth was doubled
	ended  int       // replies since
	rest   time.Time // before which there is no other
}

// drain takes off the queue what has gone.
func (u *Uplink) drain(now time.Time) {
	u.queue = max(0, u.queue-probeGain*u.Rate()*now.Sub(u.at).Seconds())
	u.at = now
}

// Begin notes that a reply of size bytes begins.
func (u *Uplink) Begin(now time.Time, size int) Reply {
	u.drain(now)
	if u.out == 0 {
		u.last, u.begun = now, now // from now on it is busy
	}
	if u.turned.IsZero() {
		u.trial.rest = now.Add(trialFirst)
	}
	u.queue += float64(size)
	u.out += size
	return Reply{size: size, begun: now, arrived: u.arrived, last: u.last, before: u.begun}
}

// Arrived notes that a reply has arrived, as was heard over a path with the round trip time.
// waiting tells whether another is to follow at once: only then does the line limit the rate.
func (u *Uplink) Arrived(now time.Time, r Reply, rtt time.Duration, waiting bool) {
	u.Lost(now, r)
	sample := u.measure(now, r, rtt)
	// What was begun after it, but for what has left meanwhile, is still in the line. That was no
	// more than the reply waited beyond what it takes to send: round trips are often overestimated.
	u.onWay = min(u.Rate()*rtt.Seconds(), max(0, u.Rate()*now.Sub(r.begun).Seconds()-float64(r.size)))
	u.queue = max(0, float64(u.out)-u.onWay)
	u.judge(now, r.size, sample, waiting)
}

// measure returns a sample of the rate, 0 if there is none. Receivers are not heard evenly: so it
// counts neither what was heard in less time than it took to send, nor in less than a round trip.
func (u *Uplink) measure(now time.Time, r Reply, rtt time.Duration) (sample float64) {
	u.arrived += r.size
	u.last = now
	if r.begun.After(u.begun) {
		u.begun = r.begun
	}
	span := max(now.Sub(r.last), r.begun.Sub(r.before))
	if span < max(rtt, sampleMin) && u.Rate() > 0 {
		return 0
	}
	if now.Sub(u.turned) >= rateTime {
		u.rates, u.turned = [2]float64{0, u.rates[0]}, now
	}
	sample = float64(u.arrived-r.arrived) / max(span, time.Millisecond).Seconds()
	u.rates[0] = max(u.rates[0], sample)
	return sample
}

// Lost notes that a reply will not be heard of.
func (u *Uplink) Lost(now time.Time, r Reply) {
	u.drain(now)
	u.out -= r.size
	u.queue = min(u.queue, float64(u.out))
}

// Rate is what was measured, in bytes/s; 0 if nothing was.
func (u *Uplink) Rate() float64 { return max(u.rates[0], u.rates[1]) }

// IsFull tells whether there is room for a reply of size bytes when one has arrived, and not before.
func (u *Uplink) IsFull(size int) bool {
	if u.Rate() == 0 {
		return u.out >= depthStart*size
	}
	return float64(u.out) >= u.onWay+(max(u.depth, 1)+lineMax)*float64(size)
}

// Ready is when the next reply may begin, if nothing arrives before.
func (u *Uplink) Ready(now time.Time, size int) time.Time {
	u.drain(now)
	rate := u.Rate()
	switch {
	case u.IsFull(size):
		return time.Time{} // when one arrives
	case rate == 0:
		return now
	}
	over := u.queue - (max(u.depth, 1)-1)*float64(size)
	return now.Add(time.Duration(max(0, over) / (probeGain * rate) * float64(time.Second)))
}

// judge tries what another depth is good for. sample is a rate, 0 if none was measured.
func (u *Uplink) judge(now time.Time, size int, sample float64, waiting bool) {
	u.depth = max(u.depth, 1)
	t := &u.trial
	switch {
	case !waiting:
		u.giveUp() // it says nothing of the line
	case t.before > 0:
		t.ended++
		if span := now.Sub(t.began); span < trialMin || t.ended < int(2*u.depth) && span < trialMax {
			return
		}
		if u.Rate() < trialGain*t.before {
			u.giveUp()
			u.proven = u.depth
			t.rest = now.Add(trialPause)
			return
		}
		u.double(now)
	case !now.Before(t.rest):
		u.double(now)
	case sample > 0:
		share := float64(size) / float64(u.out+size) // of what was under way
		switch full := sample / u.Rate(); {
		case full < lowShare:
			u.depth = max(u.depth, min(u.depth+share, max(u.proven, depthDrift)))
		case full > fullShare:
			u.depth = max(u.depth-share/depthRounds, 1)
		}
	}
}

// double begins a trial.
func (u *Uplink) double(now time.Time) {
	if u.depth > depthMax/2 {
		return
	}
	u.depth *= 2
	u.trial = trial{before: u.Rate(), began: now}
}

// giveUp ends a trial, if there is one.
func (u *Uplink) giveUp() {
	if u.trial.before > 0 {
		u.depth = max(1, u.depth/2)
		u.trial.before = 0
	}
}
