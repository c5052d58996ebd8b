package exchange

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// Stats is what the exchange has done since Run began. Sizes are in bytes.
type Stats struct {
	swap.Stats
	Swarm         swarm.Stats   `json:"swarm"`
	Limits        Limits        `json:"limits"`
	UnsavedBlocks int           `json:"unsaved_blocks"` // fetched, not stored yet
	Waiting       int           `json:"waiting"`        // blocks that Gets wait for
	Table         []PeerStats   `json:"table"`
	Members       []MemberStats `json:"members"` // peers that speak the swarm protocol
}

// PeerStats is what is known of one peer.
type PeerStats = swap.PeerStats

// MemberStats is what is known of a peer that speaks the swarm protocol.
type MemberStats = swarm.PeerStats

// Progress tells how a session does.
type Progress struct {
	Blocks, Bytes int64 // received
	// Leaves is how many the DAG has that is fetched as a whole, once that is known, and
	// LeavesHere how many of them are here.
	Leaves, LeavesHere int
	Peers              int    // that had something of it
	Wants              int    // blocks that are waited for
	Asked              int    // of these, those that a peer is asked for
	Phase              string // "idle", "fetching", "asking", "searching" or "connecting"
	Sources            []Source
}

// Source is a peer that blocks of a session came from, or are to come from.
type Source struct {
	Peer  peer.ID
	Bytes int64   // that came
	Asked int     // blocks
	Rate  float64 // bytes/s at which it delivers, to all sessions; 0 if it is asked for nothing
}

// sourcesMax is how many peers a session remembers to have had something from.
const sourcesMax = 256

// Stats returns the counts and a table of the connected peers. They are zero if
// Run does not run.
func (x *Exchange) Stats() Stats {
	s := Stats{Limits: x.Limits()}
	x.inspect(func(m *swap.Machine, w *swarm.Machine) {
		s.Stats, s.Table = m.Stats(), m.Table()
		s.Swarm, s.Members = w.Stats(), w.Table()
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	s.UnsavedBlocks, s.Waiting = len(x.pending), len(x.waiting)
	return s
}

// Progress tells how the session does.
func (s *Session) Progress() Progress {
	p := Progress{Blocks: s.blocks.Load(), Bytes: s.bytes.Load(), Phase: "idle"}
	of := s.sources()
	asked := func(id peer.ID, blocks int, rate float64) {
		f := of[id]
		of[id] = Source{id, f.Bytes, f.Asked + blocks, max(f.Rate, rate)}
		p.Asked += blocks
	}
	s.x.inspect(func(m *swap.Machine, w *swarm.Machine) {
		i := m.SessionInfo(s.id)
		p.Peers, p.Wants, p.Phase = i.Peers, i.Wants, i.Phase
		for _, a := range i.Asks {
			asked(a.Peer, a.Blocks, a.Rate)
		}
		if i, ok := w.Info(s.id); ok {
			p.Peers, p.Wants = max(p.Peers, i.Peers), max(p.Wants, i.Needed)
			p.Leaves, p.LeavesHere = i.Leaves, i.Leaves-i.Needed
			switch {
			case len(i.Asks) > 0:
				p.Phase = "fetching"
			case p.Phase == "idle" && (i.Needed > 0 || i.Peers == 0):
				p.Phase = "asking"
			}
			for _, a := range i.Asks {
				asked(a.Peer, a.Leaves, a.Rate)
			}
		}
	})
	p.Sources = slices.SortedFunc(maps.Values(of), func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Asked, a.Asked), cmp.Compare(a.Peer, b.Peer))
	})
	return p
}

// sources are the peers that blocks of the session came from.
func (s *Session) sources() map[peer.ID]Source {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	of := make(map[peer.ID]Source, len(s.from))
	for id, bytes := range s.from {
		of[id] = Source{Peer: id, Bytes: bytes}
	}
	return of
}

// Peers tells which peers had something of the session.
func (s *Session) Peers() []peer.ID {
	var list []peer.ID
	s.x.inspect(func(m *swap.Machine, _ *swarm.Machine) { list = m.SessionPeers(s.id) })
	return list
}

// inspect runs f in the loop, and waits for it. It does nothing if there is no loop.
func (x *Exchange) inspect(f func(*swap.Machine, *swarm.Machine)) {
	if !x.started.Load() {
		return
	}
	done := make(chan struct{})
	if x.post(context.Background(), query(func(m *swap.Machine, w *swarm.Machine) { f(m, w); close(done) })) != nil {
		return
	}
	select {
	case <-done:
	case <-x.stopped:
	}
}
