package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/testground/det"
)

// SetSkew sets by how much the peer's clock is ahead from now on; for a peer that runs,
// its clock jumps. That is what time.Now tells the goroutines of its node, and of
// functions that Each and Do call. Deadlines, timers and durations stay right, as they
// do on a machine whose clock is set. It needs a program with the patched runtime: else
// the error is det.ErrPlain.
//
// The clock is right, still, in what time.AfterFunc calls, and in what tickers send.
func (p *Peer) SetSkew(by time.Duration) error {
	if err := det.Skew(p.number, by); err != nil {
		return fmt.Errorf("set the clock of %s: %w", p, err)
	}
	return nil
}

// Do calls f as the peer: by its clock, and with its name in traces.
func (p *Peer) Do(ctx context.Context, f func(context.Context)) { labelled(ctx, p, f) }
