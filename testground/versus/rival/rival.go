// Package rival seats other people's software in simulated networks: boxo's bitswap
// as Kubo puts it together, and go-libp2p's DHT and gossipsub as they come. A script
// that runs with our nodes runs with these, over the same lines.
//
// It is no part of a node, and changes nothing in what it seats: no option is set to
// be faster or slower than its users have it. Where a constructor asks for a value, it
// gets Kubo's.
//
// Invariant: when Close returns, no goroutine of a peer is left, as a bubble demands.
//
// Sources: Kubo v0.43, core/node and config.
package rival

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// Connections that Kubo keeps when too many are open, and how many are too many.
const (
	connsLow  = 32
	connsHigh = 96
	connGrace = 20 * time.Second
)

// newHost makes the libp2p host that all rivals run on.
func newHost(s sim.Seat) (host.Host, error) {
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connGrace))
	if err != nil {
		return nil, fmt.Errorf("make host: %w", err)
	}
	o := append([]libp2p.Option{libp2p.ConnectionManager(conns), libp2p.DisableMetrics(), libp2p.DisableRelay()}, s.Options...)
	h, err := libp2p.New(o...)
	if err != nil {
		return nil, fmt.Errorf("make host: %w", err)
	}
	return h, nil
}
