package flow_test

import (
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/exchange/flow"
)

// drive has an uplink of rate bytes/s send replies of size bytes to peers at a distance of
// rtt, each of which can take no more than down bytes/s, for a while. It returns which share
// of the time the line was busy, once a rate was measured, and the most bytes that waited.
func drive(rate, down float64, rtt time.Duration, size int) (busy float64, most float64) {
	const step = time.Millisecond
	type sent struct {
		left, far float64 // bytes that have to leave, and to be taken
		heard     time.Time
	}
	var (
		u     flow.Uplink
		under []*sent
		used  float64
	)
	now := time.Unix(1e9, 0)
	start, total := now, 20*time.Second
	for ; now.Sub(start) < total; now = now.Add(step) {
		for {
			if at := u.Ready(now, size); at.IsZero() || at.After(now) {
				break
			}
			u.Begin(now, size)
			under = append(under, &sent{left: float64(size), far: float64(size)})
		}
		room, waits := rate*step.Seconds(), 0.0
		var rest []*sent
		for _, s := range under {
			n := min(room, s.left, down*step.Seconds())
			room -= n
			s.left -= n
			if waits += s.left; s.left == 0 && s.heard.IsZero() {
				s.heard = now.Add(rtt)
			}
			if s.heard.IsZero() || now.Before(s.heard) {
				rest = append(rest, s)
			} else {
				u.Arrived(now, size, rtt, true)
			}
		}
		under = rest
		if now.Sub(start) > total/2 {
			used += rate*step.Seconds() - room
			most = max(most, waits)
		}
	}
	return used / (rate * (total / 2).Seconds()), most
}

// TestUplinkIsBusy: the line is never long without work, and little waits for it.
func TestUplinkIsBusy(t *testing.T) {
	const size = 256 << 10
	for _, c := range []struct {
		rate float64 // bytes/s
		rtt  time.Duration
	}{{1.25e6, 50 * time.Millisecond}, {1.25e6, 200 * time.Millisecond}, {12.5e6, 20 * time.Millisecond}, {125e3, 100 * time.Millisecond}} {
		busy, most := drive(c.rate, c.rate, c.rtt, size)
		t.Logf("%.0f kB/s, %v: busy %.0f %%, %.0f kB wait", c.rate/1e3, c.rtt, 100*busy, most/1e3)
		if busy < 0.9 {
			t.Errorf("%.0f kB/s, %v: busy for %.0f %% of the time", c.rate/1e3, c.rtt, 100*busy)
		}
		if most > 5*size {
			t.Errorf("%.0f kB/s, %v: %.0f kB wait", c.rate/1e3, c.rtt, most/1e3)
		}
	}
}

// TestUplinkToSlowPeers: if it is the peers' lines that are slow, many are served at a time.
func TestUplinkToSlowPeers(t *testing.T) {
	busy, _ := drive(10e6, 1e6, 50*time.Millisecond, 256<<10)
	if busy < 0.7 {
		t.Errorf("busy for %.0f %% of the time", 100*busy)
	}
}

// TestUplinkLost: what is lost does not keep others from being sent.
func TestUplinkLost(t *testing.T) {
	var u flow.Uplink
	now := time.Unix(1e9, 0)
	u.Begin(now, 1000)
	if at := u.Ready(now, 1000); !at.IsZero() {
		t.Fatalf("the second reply may begin at %v, before anything has arrived", at)
	}
	u.Lost(now, 1000)
	if at := u.Ready(now, 1000); !at.Equal(now) {
		t.Fatalf("the second reply may begin at %v, want now", at)
	}
}
