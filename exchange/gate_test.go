package exchange

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestGate: however many ask for what is not here, what they are told is bounded, who asks for
// as much for the first time comes first, and who is given what he asks for never waits.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		const flooders, questions = 200, 1000
		g := newGate()
		go g.run(ctx)
		var asked atomic.Int64
		for range flooders {
			go func() {
				var a account
				for g.pass(ctx, &a, questions) == nil {
					asked.Add(questions)
				}
			}()
		}
		time.Sleep(time.Minute)
		n, most := asked.Load(), int64(flooders*(missFree+questions)+missRateMax*60)
		if least := most - flooders*(missFree+questions); n > most || n < least {
			t.Errorf("%d were let in after a minute, not %d to %d", n, least, most)
		}
		began := time.Now()
		var honest account
		if err := g.pass(ctx, &honest, missFree+questions); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("who asks for the first time waited %v", took)
		}
		began = time.Now()
		var given account
		for range 100 {
			if err := g.pass(ctx, &given, missFree); err != nil {
				t.Fatal(err)
			}
			given.refund(missFree)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("who is given all waited %v", took)
		}
	})
}
