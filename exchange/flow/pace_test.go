package flow_test

import (
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/exchange/flow"
)

// TestPace: replies begin as fast as the limit allows and no faster, after a pause too.
func TestPace(t *testing.T) {
	const limit, size, quantum = 100_000, 30_000, 256 << 10
	var p flow.Pace
	now := time.Unix(1e9, 0)
	if at := p.Ready(now); !at.Equal(now) || p.Reply(quantum) != quantum || p.Turns(time.Second) < 1e6 {
		t.Errorf("without a limit: ready at %v, replies of %d, %d turns", at, p.Reply(quantum), p.Turns(time.Second))
	}
	p.Set(limit)
	for range 2 {
		began, sent := now, 0
		for now.Sub(began) < time.Minute {
			p.Begin(now, size)
			sent += size
			now = p.Ready(now)
		}
		if most := limit*60 + size; sent > most || sent < most-2*size {
			t.Errorf("%d bytes were begun in a minute, %d may be", sent, most)
		}
		now = now.Add(time.Hour)
	}
	if n := p.Turns(3 * time.Second); n < 9 || n > 11 {
		t.Errorf("%d turns in the time of ten", n)
	}
	if n := p.Turns(time.Millisecond); n != 1 {
		t.Errorf("%d turns in the time of none", n)
	}
	if n := p.Reply(quantum); n != limit/2 {
		t.Errorf("replies of %d bytes", n)
	}
}
