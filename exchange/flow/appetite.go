package flow

import "time"

const (
	// aheadTime is how much may be asked for at least, in time at the limit, and aheadMax
	// how many times as much at most.
	aheadTime = 2 * time.Second
	aheadMax  = 16
	// appetiteTime is how long a sample is of what comes, and enough which part of the limit
	// that has to be, or more is asked for.
	appetiteTime = time.Second
	enough       = 0.9
)

// Appetite decides how much may be asked of all peers together, so that what comes has not
// to wait for a limit: it would fill buffers, and peers would take this side for slow. It
// grows while less comes than may. The zero Appetite has no limit.
type Appetite struct {
	limit float64   // bytes/s; 0 is none
	most  float64   // bytes that may be asked for
	since time.Time // of the current sample; zero if there is none
	bytes int       // that have come in it
	sated bool      // more was to be asked for in it, and could not
}

// Set changes the limit, in bytes/s; 0 is none.
func (a *Appetite) Set(limit int64) {
	*a = Appetite{limit: float64(limit), most: float64(limit) * aheadTime.Seconds()}
}

// Limited tells whether there is a limit.
func (a *Appetite) Limited() bool { return a.limit > 0 }

// Credit is how many bytes may come unasked, which is most if there is no limit.
func (a *Appetite) Credit(most int) int {
	if a.limit == 0 {
		return most
	}
	return min(most, int(a.limit*aheadTime.Seconds()))
}

// Came notes that size bytes have come that were asked for.
func (a *Appetite) Came(now time.Time, size int) {
	if a.limit == 0 {
		return
	}
	if a.since.IsZero() {
		a.since = now
		return
	}
	a.bytes += size
	a.judge(now)
}

// judge ends the current sample if it is long enough.
func (a *Appetite) judge(now time.Time) {
	span := now.Sub(a.since)
	if span < appetiteTime {
		return
	}
	least := a.limit * aheadTime.Seconds()
	if rate := float64(a.bytes) / span.Seconds(); rate > enough*a.limit {
		a.most = max(least, a.most*3/4)
	} else if a.sated {
		a.most = min(2*a.most, aheadMax*least)
	}
	a.since, a.bytes, a.sated = now, 0, false
}

// Sated tells whether no more is to be asked for than these bytes.
func (a *Appetite) Sated(now time.Time, bytes int) bool {
	if a.limit == 0 {
		return false
	}
	if a.since.IsZero() && bytes > 0 {
		a.since = now
	}
	a.judge(now)
	if float64(bytes) < a.most {
		return false
	}
	a.sated = true
	return true
}
