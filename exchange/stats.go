package exchange

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/swap"
)

// Stats is what the exchange has done since Run began. Sizes are in bytes.
type Stats struct {
	swap.Stats
	UnsavedBlocks int         `json:"unsaved_blocks"` // fetched, not stored yet
	Waiting       int         `json:"waiting"`        // blocks that Gets wait for
	Table         []PeerStats `json:"table"`
}

// PeerStats is what is known of one peer.
type PeerStats = swap.PeerStats

// Progress tells how a session does.
type Progress struct {
	Blocks, Bytes int64  // received
	Peers         int    `json:"peers"` // that had something of it
	Wants         int    `json:"wants"` // blocks that are waited for
	Phase         string `json:"phase"` // "idle", "fetching", "asking", "searching" or "connecting"
}

// Stats returns the counts and a table of the connected peers. It is zero if
// Run does not run.
func (x *Exchange) Stats() Stats {
	var s Stats
	x.inspect(func(m *swap.Machine) { s.Stats, s.Table = m.Stats(), m.Table() })
	x.mu.Lock()
	defer x.mu.Unlock()
	s.UnsavedBlocks, s.Waiting = len(x.pending), len(x.waiting)
	return s
}

// Progress tells how the session does.
func (s *Session) Progress() Progress {
	p := Progress{Blocks: s.blocks.Load(), Bytes: s.bytes.Load(), Phase: "idle"}
	s.x.inspect(func(m *swap.Machine) {
		i := m.SessionInfo(s.id)
		p.Peers, p.Wants, p.Phase = i.Peers, i.Wants, i.Phase
	})
	return p
}

// Peers tells which peers had something of the session.
func (s *Session) Peers() []peer.ID {
	var list []peer.ID
	s.x.inspect(func(m *swap.Machine) { list = m.SessionPeers(s.id) })
	return list
}

// inspect runs f in the loop, and waits for it. It does nothing if there is no loop.
func (x *Exchange) inspect(f func(*swap.Machine)) {
	if !x.started.Load() {
		return
	}
	done := make(chan struct{})
	if x.post(context.Background(), query(func(m *swap.Machine) { f(m); close(done) })) != nil {
		return
	}
	select {
	case <-done:
	case <-x.stopped:
	}
}
