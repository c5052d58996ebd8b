package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/spf13/pflag"

	"github.com/p2pnode/p2pnode/control"
)

// timeoutFlag is the flag of every command that may search the network.
func timeoutFlag(f *pflag.FlagSet, d *time.Duration) {
	f.DurationVar(d, "timeout", 0, "give up after this long, such as 30s (default: when it is known that nobody has it)")
}

// watch follows the fetch that is given the returned id, and shows on m which
// peers it has and what it waits for. Nobody depends on it.
func watch(ctx context.Context, b *backend, m *meter) (id string, stop func()) {
	if !b.online {
		return "", func() {}
	}
	id = rand.Text()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Watch(ctx, id, func(p control.Progress) { m.around(p) })
	}()
	return id, func() {
		cancel()
		<-done
	}
}
