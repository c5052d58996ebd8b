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
		reply     flow.Reply
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
			under = append(under, &sent{left: float64(size), far: float64(size), reply: u.Begin(now, size)})
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
				u.Arrived(now, s.reply, rtt, true)
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

// TestUplinkToSlowPeers: if it is the peers' lines that are slow, or connections that do not fill
// the line, many are served at a time.
func TestUplinkToSlowPeers(t *testing.T) {
	for _, c := range []struct {
		rate, down float64 // bytes/s
		least      float64
	}{{10e6, 1e6, 0.7}, {2.5e6, 0.65e6, 0.8}, {2.5e6, 1.6e6, 0.8}} {
		busy, _ := drive(c.rate, c.down, 50*time.Millisecond, 256<<10)
		t.Logf("%.0f of %.0f kB/s: busy %.0f %%", c.down/1e3, c.rate/1e3, 100*busy)
		if busy < c.least {
			t.Errorf("%.0f of %.0f kB/s: busy for %.0f %% of the time", c.down/1e3, c.rate/1e3, 100*busy)
		}
	}
}

// TestUplinkUneven: who is heard late and who soon do not make the line seem faster than it is.
func TestUplinkUneven(t *testing.T) {
	const size, line, rtt = 256 << 10, 2.5e6, 50 * time.Millisecond
	var u flow.Uplink
	now := time.Unix(1e9, 0)
	took := time.Duration(size / line * float64(time.Second))
	for range 50 { // pairs, of which the first is heard when the second is
		first, second := u.Begin(now, size), u.Begin(now.Add(took), size)
		now = now.Add(2*took + rtt)
		u.Arrived(now, first, rtt, true)
		u.Arrived(now.Add(time.Millisecond), second, rtt, true)
		now = now.Add(took)
	}
	if rate := u.Rate(); rate > 1.2*line {
		t.Errorf("%.0f kB/s were measured, %.0f are there", rate/1e3, line/1e3)
	}
}

// TestUplinkUnheard: however fast the line was a moment ago, few replies begin before one is heard.
func TestUplinkUnheard(t *testing.T) {
	const size, rtt, most = 256 << 10, 50 * time.Millisecond, 4
	var u flow.Uplink
	now := time.Unix(1e9, 0)
	for range 10 {
		r := u.Begin(now, size)
		now = now.Add(2 * rtt)
		u.Arrived(now, r, rtt, false)
	}
	under := 0
	for end := now.Add(time.Minute); now.Before(end); now = now.Add(10 * time.Millisecond) {
		if at := u.Ready(now, size); !at.IsZero() && !at.After(now) {
			u.Begin(now, size)
			under++
		}
	}
	if under == 0 || under > most {
		t.Errorf("%d replies began, of which nothing was heard", under)
	}
}

// TestUplinkLost: what is lost does not keep others from being sent.
func TestUplinkLost(t *testing.T) {
	var u flow.Uplink
	now := time.Unix(1e9, 0)
	lost := u.Begin(now, 1000)
	if at := u.Ready(now, 1000); !at.IsZero() {
		t.Fatalf("the second reply may begin at %v, before anything has arrived", at)
	}
	u.Lost(now, lost)
	if at := u.Ready(now, 1000); !at.Equal(now) {
		t.Fatalf("the second reply may begin at %v, want now", at)
	}
}
