package flow

import (
	"math"
	"time"
)

const (
	// paceTime is for how long a reply of several blocks may take the limit, but that it may
	// always have paceMin bytes.
	paceTime = 500 * time.Millisecond
	paceMin  = 16 << 10
	// turnShare is what the last reply counts in the time that one takes.
	turnShare = 0.25
)

// Pace spaces replies so that together they keep to a limit: the next begins when the limit
// has room for it, however fast the line is. What is begun before would only be late
// together with all others. The zero Pace has no limit.
type Pace struct {
	limit float64       // bytes/s; 0 is none
	free  time.Time     // when what has begun has taken its part of the limit
	turn  time.Duration // that a reply takes of late
}

// Set changes the limit, in bytes/s; 0 is none.
func (p *Pace) Set(limit int64) { *p = Pace{limit: float64(limit)} }

// Limited tells whether there is a limit.
func (p *Pace) Limited() bool { return p.limit > 0 }

// Begin notes that a reply of size bytes begins.
func (p *Pace) Begin(now time.Time, size int) {
	if p.limit == 0 || size == 0 {
		return
	}
	if p.free.Before(now) {
		p.free = now
	}
	took := time.Duration(float64(size) / p.limit * float64(time.Second))
	p.free = p.free.Add(took)
	if p.turn == 0 {
		p.turn = took
	}
	p.turn += time.Duration(turnShare * float64(took-p.turn))
}

// Ready is when the next reply may begin.
func (p *Pace) Ready(now time.Time) time.Time {
	if p.free.Before(now) {
		return now
	}
	return p.free
}

// Reply is how many bytes a reply of several blocks may have, which is most if there is no
// limit.
func (p *Pace) Reply(most int) int {
	if p.limit == 0 {
		return most
	}
	return min(most, max(paceMin, int(p.limit*paceTime.Seconds())))
}

// Turns is for how many replies, as they are of late, there is room in a time: for one at
// least.
func (p *Pace) Turns(d time.Duration) int {
	if p.turn == 0 {
		return math.MaxInt
	}
	return max(1, int(d/p.turn))
}
