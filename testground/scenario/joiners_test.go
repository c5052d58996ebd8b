package scenario

import (
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

// TestShare: a peer alone has the uplink of the one that has it all; of two each gets half of
// three uplinks, for as long as both are there, but not by its own; a downlink is a limit.
func TestShare(t *testing.T) {
	const size, up = 1_000_000, 8_000_000 // a second
	line := fabric.Line{Up: up}
	stayed := func(number int, line fabric.Line, since, until time.Duration) stay {
		return stay{number, line, since, until}
	}
	for _, c := range []struct {
		all  []stay
		want time.Duration
	}{
		{[]stay{stayed(1, line, time.Second, time.Hour)}, time.Second},
		{[]stay{stayed(1, fabric.Line{Up: up, Down: up / 2}, 0, time.Hour)}, 2 * time.Second},
		{[]stay{stayed(1, line, 0, time.Hour), stayed(2, line, 0, time.Hour)}, 2 * time.Second / 3},
		{[]stay{stayed(1, line, 0, time.Hour), stayed(2, line, 0, time.Second/3)}, time.Second/3 + time.Second/2},
		{[]stay{stayed(1, line, 0, time.Second), stayed(2, fabric.Line{Up: 1}, 0, time.Hour), stayed(3, fabric.Line{Up: 1}, 0, time.Hour)}, 3 * time.Second / 2},
	} {
		got := c.all[0].share(c.all, up, size)
		if d := got - c.want; d < -time.Millisecond || d > time.Millisecond {
			t.Errorf("%v: got %v, want %v", c.all, got, c.want)
		}
	}
}
