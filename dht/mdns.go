package dht

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

const (
	mdnsRetryMin = 5 * time.Second
	mdnsRetryMax = 5 * time.Minute
)

// RunMDNS announces h on the local network and calls found with each other peer
// of the same network, until ctx ends; found may be called from several
// goroutines at once and should connect.
//
// A machine without multicast is no error: that is logged, and tried again in
// case an interface comes up. The only error is *NameError.
func RunMDNS(ctx context.Context, h host.Host, network string, found func(peer.AddrInfo)) error {
	n, err := parseNetwork(network)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		service := mdns.NewMdnsService(h, n.serviceName(), notifee(found))
		err := service.Start()
		if err == nil {
			<-ctx.Done()
			return service.Close()
		}
		slog.Debug("announce on the local network", "service", n.serviceName(), "error", err)
		_ = service.Close() // it holds nothing but a context
		timer := time.NewTimer(backoff(attempt, mdnsRetryMin, mdnsRetryMax))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

type notifee func(peer.AddrInfo)

func (f notifee) HandlePeerFound(p peer.AddrInfo) { f(p) }
