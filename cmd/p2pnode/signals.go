package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/p2pnode/p2pnode/control"
)

// withSignals ends the context at the first signal and the process at the
// second, whatever it is doing then.
func withSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	got := make(chan os.Signal, 2)
	signal.Notify(got, endSignals()...)
	done := make(chan struct{})
	go func() {
		for count := 0; ; count++ {
			select {
			case <-got:
				if count > 0 {
					os.Exit(int(control.CodeInterrupted))
				}
				cancel(errSignal)
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(got)
		close(done)
		cancel(nil)
	}
}
