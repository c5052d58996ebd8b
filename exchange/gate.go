package exchange

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Limits on questions to which the answer is no: a DONT_HAVE, or the end of a channel.
// Nothing else bounds what such answers take of the uplink.
const (
	// missRateMax is how many of all peers together are let in per second, of those that
	// peers may not ask freely.
	missRateMax = 20_000
	// missFree is how many a peer may ask freely: what a fetch that begins may ask of
	// everybody.
	missFree = 4096
	openMiss = 16 // questions that an Open counts for
)

// account is what a peer has asked for.
type account struct {
	mu   sync.Mutex
	due  int // questions to which the answer was not yes, and that were not waited for
	paid int // those that were
}

// ask counts n more questions, and returns how many are to be waited for.
func (a *account) ask(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due += n
	return max(0, a.due-missFree)
}

// refund says that the answer to n questions was yes.
func (a *account) refund(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = max(0, a.due-n)
}

// pay says that n questions were waited for.
func (a *account) pay(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = max(0, a.due-n)
	a.paid += n
}

func (a *account) spent() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.paid
}

// gate lets those in who have asked for much that is not here, one after the other: first who
// has asked for least. A flood, of however many peers, waits for itself.
type gate struct{ visits chan *visit }

// visit is a wait at the gate.
type visit struct {
	of   *account
	cost int
	in   chan struct{} // closed when it is over
}

func newGate() *gate { return &gate{visits: make(chan *visit)} }

// pass counts n questions of a peer, and waits until they may be asked.
func (g *gate) pass(ctx context.Context, a *account, n int) error {
	over := a.ask(n)
	if over == 0 {
		return nil
	}
	v := &visit{of: a, cost: over, in: make(chan struct{})}
	select {
	case g.visits <- v:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-v.in:
		a.pay(over)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run opens the gate until ctx ends. As many wait as there are streams that are read.
func (g *gate) run(ctx context.Context) {
	var waiting []*visit
	next, open := time.NewTimer(0), false
	defer next.Stop()
	for {
		if open && len(waiting) > 0 {
			first := slices.MinFunc(waiting, func(a, b *visit) int { return cmp.Compare(a.of.spent(), b.of.spent()) })
			waiting = slices.DeleteFunc(waiting, func(v *visit) bool { return v == first })
			close(first.in)
			next.Reset(time.Duration(first.cost) * time.Second / missRateMax)
			open = false
		}
		select {
		case v := <-g.visits:
			waiting = append(waiting, v)
		case <-next.C:
			open = true
		case <-ctx.Done():
			return
		}
	}
}
