package node

import (
	"fmt"

	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/dht"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/gossip"
)

// Stats is a snapshot of every part of the node. Parts that it does not have
// are left out.
type Stats struct {
	ID       string          `json:"id"`
	Peers    int             `json:"peers"`
	Pins     int             `json:"pins"`
	Store    *disk.Stats     `json:"store,omitempty"`
	Exchange *exchange.Stats `json:"exchange,omitempty"`
	DHT      *dht.Stats      `json:"dht,omitempty"`
	Gossip   *gossip.Stats   `json:"gossip,omitempty"`
	Docs     *replica.Stats  `json:"docs,omitempty"`
}

// Stats returns counters of every part of the node.
func (n *Node) Stats() Stats {
	s := Stats{ID: n.id.String(), Pins: n.pins.count()}
	if n.disk != nil {
		st := n.disk.Stats()
		s.Store = &st
	}
	if n.docs != nil {
		d := n.docs.Stats()
		s.Docs = &d
	}
	if n.host != nil {
		s.Peers = len(n.host.Network().Peers())
		x, d, g := n.exchange.Stats(), n.dht.Stats(), n.gossip.Stats()
		s.Exchange, s.DHT, s.Gossip = &x, &d, &g
	}
	return s
}

// Limits bound the bytes per second of blocks to and from peers, see exchange.Limits.
type Limits = exchange.Limits

// LimitMin is the lowest limit, in bytes/s.
const LimitMin = exchange.LimitMin

// SetLimits bounds what is exchanged with peers from now on. The error is ErrOffline, or
// exchange.ErrLimits.
func (n *Node) SetLimits(l Limits) error {
	if n.exchange == nil {
		return fmt.Errorf("set limits: %w", ErrOffline)
	}
	return n.exchange.SetLimits(l)
}

// Limits returns those that hold. The error is ErrOffline.
func (n *Node) Limits() (Limits, error) {
	if n.exchange == nil {
		return Limits{}, fmt.Errorf("tell limits: %w", ErrOffline)
	}
	return n.exchange.Limits(), nil
}
