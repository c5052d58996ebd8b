package alarm_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/exchange/alarm"
)

// TestRandom sets, puts off, hurries and stops alarms at random: each rings at its time,
// in the order of times, and at no other.
func TestRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	begin := time.Unix(1e9, 0)
	var all alarm.Alarms
	var set [20]alarm.Alarm
	due := make(map[int]time.Time)
	now := begin
	var rung []int
	for i := range set {
		set[i].Fire = func() { rung = append(rung, i) }
	}
	for range 20_000 {
		i := rng.IntN(len(set))
		switch rng.IntN(4) {
		case 0:
			all.Stop(&set[i])
			delete(due, i)
		case 1, 2:
			due[i] = now.Add(time.Duration(1+rng.IntN(1000)) * time.Millisecond)
			all.Set(&set[i], due[i])
		case 3:
			now = now.Add(time.Duration(rng.IntN(200)) * time.Millisecond)
			rung = rung[:0]
			all.Ring(now)
			for n, i := range rung {
				if at, ok := due[i]; !ok || at.After(now) || n > 0 && due[rung[n-1]].After(at) && !due[rung[n-1]].IsZero() {
					t.Fatalf("alarm %d rings at %v, due %v, after %v", i, now.Sub(begin), due[i].Sub(begin), rung[:n])
				}
			}
			for _, i := range rung {
				delete(due, i)
			}
		}
		var next time.Time
		for i, at := range due {
			if !at.After(now) && !set[i].IsSet() {
				t.Fatalf("alarm %d has not rung", i)
			}
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
		if got := all.Next(); !got.Equal(next) && !(got.IsZero() && next.IsZero()) {
			t.Fatalf("next at %v, want %v", got.Sub(begin), next.Sub(begin))
		}
	}
}

// TestEqual: those of one time ring in the order in which they were set, and may set
// others.
func TestEqual(t *testing.T) {
	var all alarm.Alarms
	var a, b, c alarm.Alarm
	at := time.Unix(1e9, 0)
	var rung []string
	a.Fire = func() { rung = append(rung, "a"); all.Set(&c, at) }
	b.Fire = func() { rung = append(rung, "b") }
	c.Fire = func() { rung = append(rung, "c") }
	all.Set(&b, at)
	all.Set(&a, at)
	if all.Ring(at); !slices.Equal(rung, []string{"b", "a", "c"}) || a.IsSet() || !all.Next().IsZero() {
		t.Errorf("rung: %v", rung)
	}
}
