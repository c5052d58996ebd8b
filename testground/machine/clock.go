package machine

import "time"

// Clock is how wrong a peer's clock is. The zero Clock is right.
type Clock struct {
	Offset time.Duration
	Drift  int64 // parts per million that it is too fast; above -1,000,000
}

const million = 1_000_000

// epoch is the beginning of the world on a right clock.
var epoch = time.Unix(1_000_000_000, 0).UTC()

// local is what the clock shows at a time of the world.
func (c Clock) local(at time.Duration) time.Time {
	return epoch.Add(c.Offset + at + c.drift(at))
}

func (c Clock) drift(at time.Duration) time.Duration {
	s, ns := at/time.Second, at%time.Second // or the product would overflow after hours
	return s*time.Duration(c.Drift)*(time.Second/million) + ns*time.Duration(c.Drift)/million
}

// world is the first time of the world at which the clock shows t, or more.
func (c Clock) world(t time.Time) time.Duration {
	ahead := t.Sub(epoch) - c.Offset
	at := time.Duration(float64(ahead) / (1 + float64(c.Drift)/million))
	for c.local(at).Before(t) {
		at += max(1, t.Sub(c.local(at))/2)
	}
	return at
}
