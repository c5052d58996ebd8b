package flow_test

import (
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/exchange/flow"
)

// eat asks for as much as it may for a minute, of peers that together send rate bytes/s, but
// no more than allowed pass the limit, and each byte after a delay. It returns how much came in
// a second, and the most that was asked for.
func eat(a *flow.Appetite, rate, allowed float64, delay time.Duration) (came float64, most int) {
	const step, block = 10 * time.Millisecond, 10_000
	now, out, sum := time.Unix(1e9, 0), 0, 0.0
	var under []time.Time // when each block may come
	free := now
	for end := now.Add(time.Minute); now.Before(end); now = now.Add(step) {
		for !a.Sated(now, out) && out < 1<<30 {
			out += block
			free = now.Add(max(free.Sub(now), 0) + time.Duration(block/min(rate, allowed)*float64(time.Second)))
			under = append(under, free.Add(delay))
		}
		most = max(most, out)
		for len(under) > 0 && !under[0].After(now) {
			under = under[1:]
			out -= block
			sum += block
			a.Came(now, block)
		}
	}
	return sum / 60, most
}

// TestAppetite: little more is asked for than the limit lets pass in a while, unless peers
// take so long that the limit would not be reached.
func TestAppetite(t *testing.T) {
	const limit = 1e6
	for _, c := range []struct {
		name  string
		rate  float64
		delay time.Duration
		least float64 // bytes/s that come
		most  int     // bytes that are asked for
	}{
		{"fast peers", 1e8, 50 * time.Millisecond, 0.95 * limit, 3 * limit},
		{"slow peers", 1e5, 50 * time.Millisecond, 0.9e5, 33 * limit},
		{"peers that serve others first", 1e8, 8 * time.Second, 0.7 * limit, 33 * limit},
	} {
		var a flow.Appetite
		a.Set(limit)
		came, most := eat(&a, c.rate, limit, c.delay)
		t.Logf("%s: %.0f bytes/s, %d asked for", c.name, came, most)
		if came < c.least || most > c.most {
			t.Errorf("%s: %.0f bytes/s came, want %.0f; %d were asked for, want %d", c.name, came, c.least, most, c.most)
		}
	}
	var none flow.Appetite
	if none.Limited() || none.Sated(time.Unix(1e9, 0), 1<<40) || none.Credit(5) != 5 {
		t.Error("there is no limit, and it is kept")
	}
}
