package swarm

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PeerStats is what the machine knows of a peer. Sizes are in bytes.
type PeerStats struct {
	Peer     peer.ID       `json:"peer"`
	BytesIn  int64         `json:"bytes_in"`
	BytesDup int64         `json:"bytes_dup"` // of these, those that were here
	BytesOut int64         `json:"bytes_out"`
	Rate     float64       `json:"rate"` // bytes/s that it delivers
	RTT      time.Duration `json:"rtt"`
	Asked    int           `json:"asked"`  // bytes that are asked of it
	Queued   int           `json:"queued"` // bytes that it waits for
	Chokes   bool          `json:"chokes"` // it lets nothing be asked of it
	Choked   bool          `json:"choked"` // it may ask for nothing
	Stalled  bool          `json:"stalled"`
}

// Table describes all peers, oldest first.
func (m *Machine) Table() []PeerStats {
	t := make([]PeerStats, len(m.order))
	for i, r := range m.order {
		t[i] = PeerStats{
			Peer: r.id, BytesIn: r.in, BytesDup: r.dup, BytesOut: r.server.out,
			Rate: r.window.Rate, RTT: r.window.RTT, Asked: r.out, Queued: r.server.size,
			Chokes: r.allow <= 0, Choked: !r.server.gives, Stalled: !r.stalled.IsZero(),
		}
	}
	return t
}
