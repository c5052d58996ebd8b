package flow

import (
	"testing"
	"time"
)

// TestSlots: peers that always wait are sent replies over an uplink that is shared by
// those under way, each of which its peer's downlink limits as well.
func TestSlots(t *testing.T) {
	const size, mbit = 256 << 10, 1e6 / 8
	for _, c := range []struct {
		name        string
		up, down    float64 // bytes/s
		least, most int     // slots that are right
	}{
		{"a slow uplink", 10 * mbit, 100 * mbit, 1, 4},
		{"slow downlinks", 1000 * mbit, 10 * mbit, 64, 256},
		{"one peer fills it", 10 * mbit, 10 * mbit, 1, 4},
		{"ten peers fill it", 100 * mbit, 10 * mbit, 8, 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, now := NewSlots(), time.Unix(1e9, 0)
			sum, rounds, sent := 0, 0, 0
			const span = 10 * time.Minute
			for end := now.Add(span); now.Before(end); {
				for s.Free() {
					s.Take()
				}
				// All replies under way end together: one round.
				n := s.busy
				rate := min(c.up/float64(n), c.down)
				now = now.Add(time.Duration(size / rate * float64(time.Second)))
				for range n {
					s.Sent(size)
					s.Release(now, true)
					sent += size
				}
				sum, rounds = sum+n, rounds+1
			}
			mean := float64(sum) / float64(rounds)
			share := float64(sent) / span.Seconds() / min(c.up, 256*c.down)
			t.Logf("%.1f slots, %.0f %% of the rate that is possible", mean, 100*share)
			if s.most < c.least/2 || s.most > 2*c.most || share < 0.75 {
				t.Errorf("%d slots in the end, %d to %d are right", s.most, c.least, c.most)
			}
		})
	}
}

// TestSlotsWithoutWaiting: when nobody waits the slots are not what limits the rate, and
// nothing is learned from it.
func TestSlotsWithoutWaiting(t *testing.T) {
	s, now := NewSlots(), time.Unix(1e9, 0)
	for range 1000 {
		s.Take()
		now = now.Add(100 * time.Millisecond)
		s.Sent(1 << 20)
		s.Release(now, false)
	}
	if s.most != slotsStart || s.busy != 0 {
		t.Errorf("%d slots, %d of them taken", s.most, s.busy)
	}
}

// TestSlotsOfFew: when there come to be more slots than peers that wait, it is not known
// what they are good for, and there are no more than before.
func TestSlotsOfFew(t *testing.T) {
	s, now := NewSlots(), time.Unix(1e9, 0)
	for range 20 {
		for s.most == slotsStart {
			s.Take()
			now = now.Add(time.Second)
			s.Sent(1 << 20)
			s.Release(now, true)
		}
		s.Take()
		if s.Release(now.Add(time.Second), false); s.most != slotsStart {
			t.Fatalf("%d slots", s.most)
		}
	}
}
