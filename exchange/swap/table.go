package swap

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PeerStats is what the machine knows of a peer. Sizes are in bytes.
type PeerStats struct {
	Peer      peer.ID       `json:"peer"`
	BlocksIn  int           `json:"blocks_in"`
	BytesOut  int64         `json:"bytes_out"`
	Rate      float64       `json:"rate"` // bytes/s that it delivers
	RTT       time.Duration `json:"rtt"`
	Window    int           `json:"window"` // bytes that may be asked of it at a time
	Asked     int           `json:"asked"`  // bytes that are asked of it
	Wants     int           `json:"wants"`  // its wants that we keep
	Queued    int           `json:"queued"` // bytes that wait to be sent to it
	Credit    int           `json:"credit"` // below 0 after broken promises
	Stalled   bool          `json:"stalled"`
	BlockOnly bool          `json:"block_only"` // speaks no HAVE
}

// Table describes all connected peers, oldest first.
func (m *Machine) Table() []PeerStats {
	t := make([]PeerStats, len(m.order))
	for i, r := range m.order {
		t[i] = PeerStats{
			Peer: r.id, BlocksIn: r.blocks, BytesOut: r.ledger.sent,
			Rate: r.window.Rate, RTT: r.window.RTT, Window: r.window.Size, Asked: r.out,
			Wants: len(r.ledger.wants), Queued: r.ledger.size,
			Credit: r.credit, Stalled: !r.stalled.IsZero(), BlockOnly: r.caps.BlocksOnly,
		}
	}
	return t
}

// SessionInfo describes a session.
type SessionInfo struct {
	Peers, Wants int
	Phase        string // "idle", "fetching", "asking", "searching" or "connecting"
	Asks         []Asked
}

// Asked is what a peer is asked for.
type Asked struct {
	Peer   peer.ID
	Blocks int
	Rate   float64 // bytes/s at which it delivers, to all sessions
}

// SessionInfo describes the session with the given ID.
func (m *Machine) SessionInfo(id uint64) SessionInfo {
	s := m.sessions[id]
	if s == nil {
		return SessionInfo{Phase: "idle"}
	}
	i := SessionInfo{Peers: len(s.members), Wants: len(s.wants), Phase: "fetching"}
	switch l := s.leader; {
	case len(s.wants) == 0:
		i.Phase = "idle"
	case l == nil || l.holder != nil:
	case l.hunt.dialing > 0:
		i.Phase = "connecting"
	case l.hunt.searching:
		i.Phase = "searching"
	default:
		i.Phase = "asking"
	}
	for _, r := range m.order {
		n := 0
		for _, w := range r.assigned {
			if slices.Contains(w.sessions, s) {
				n++
			}
		}
		if n > 0 {
			i.Asks = append(i.Asks, Asked{r.id, n, r.window.Rate})
		}
	}
	return i
}

// SessionPeers lists the peers that had something of the session.
func (m *Machine) SessionPeers(id uint64) []peer.ID {
	var list []peer.ID
	if s := m.sessions[id]; s != nil {
		for _, b := range s.members {
			list = append(list, b.r.id)
		}
	}
	return list
}
