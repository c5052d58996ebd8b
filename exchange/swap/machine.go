// Package swap decides whom to ask for blocks and whom to serve: the protocol
// of the exchange as a machine without network, clock or goroutine.
//
// It is not a wire (see exchange/wire) and moves no bytes: a driver tells it
// what happened and does what it says. Wires differ for it only by their Caps;
// what a window may hold (exchange/flow), who is the best to ask (pick) and whose turn
// it is to be served (serve) are each decided in one place, where a second wire,
// rarest-first and choking have theirs.
//
// A want goes its way like this:
//
//	needed → assigned to one peer, with a deadline → delivered
//	   ↑         │ don't have, silence, disconnect
//	   └─────────┘        nobody left to ask → hunting: connected peers in
//	                      growing groups, then providers → delivered or failed
//
// Invariants (Machine.Invariants tells whether they hold):
//  1. A want is assigned to at most one peer.
//  2. Every peer that owes something has a running deadline.
//  3. What is asked of a peer fits its window: bytes, and entriesMax entries.
//     Bytes that are probably lost do not count.
//  4. Nothing is announced that the store does not hold.
//  5. Every want received gets one answer, is kept, or was cancelled.
//  6. A HAVE is dated evidence: a broken promise erases it and costs credit.
//  7. What is kept for a peer is bounded, and freed when it disconnects.
//
// Sources: the bitswap specification; anacrolix/torrent (rate-based windows,
// stealing instead of endgame); Shreedhar and Varghese, "Efficient Fair Queuing
// using Deficit Round Robin" (SIGCOMM 1995).
package swap

import (
	"math/rand/v2"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/flow"
)

// Options tunes a Machine. The zero value works.
type Options struct {
	// Seed makes backoff jitter. Two machines with the same seed and the same
	// events do the same.
	Seed uint64
	// Search says that Find may lead somewhere. Without it, only connected
	// peers are asked.
	Search bool
	// ServingSizeMax is how many bytes of replies may be under way at a time,
	// half of them to slow peers. Default 64 MiB.
	ServingSizeMax int
	// Pace spaces what is sent to peers that are not near. Machines that share it keep to
	// one limit together. Default: no limit.
	Pace *flow.Pace
	// Appetite bounds what is asked of such peers. Default: no limit.
	Appetite *flow.Appetite
}

// Stats counts what the machine has seen; the first three are as of now.
type Stats struct {
	Peers     int   `json:"peers"`
	Sessions  int   `json:"sessions"`
	Wants     int   `json:"wants"`
	BlocksIn  int64 `json:"blocks_in"`
	BytesIn   int64 `json:"bytes_in"`
	BlocksOut int64 `json:"blocks_out"`
	BytesOut  int64 `json:"bytes_out"`
	DupBlocks int64 `json:"dup_blocks"` // received again, or too late
	DupBytes  int64 `json:"dup_bytes"`
	JunkBytes int64 `json:"junk_bytes"` // received and never asked for
	WantsIn   int64 `json:"wants_in"`   // entries, cancels not counted
	WantsOut  int64 `json:"wants_out"`
	Failed    int64 `json:"failed"` // wants given up
}

// Machine is the state of the exchange. It is not safe for concurrent use.
type Machine struct {
	o   Options
	rng *rand.Rand
	now time.Time
	out []Action

	peers    map[peer.ID]*remote
	order    []*remote // peers, oldest first: maps have no order that a seed could fix
	wants    map[cid.Cid]*want
	sessions map[uint64]*session
	dirty    []*session // to be looked at before the Step ends
	mails    []*remote  // that may have something to be sent before the Step ends
	dials    map[peer.ID]*dial
	searches map[cid.Cid]*search
	late     recent
	alarms   alarm.Alarms
	seq      uint64
	server   server
	stats    Stats
}

// New returns a machine that knows nobody.
func New(o Options) *Machine {
	if o.ServingSizeMax <= 0 {
		o.ServingSizeMax = 64 << 20
	}
	if o.Pace == nil {
		o.Pace = new(flow.Pace)
	}
	if o.Appetite == nil {
		o.Appetite = new(flow.Appetite)
	}
	m := &Machine{
		o:        o,
		rng:      rand.New(rand.NewPCG(o.Seed, 0x5ca1ab1e)),
		peers:    make(map[peer.ID]*remote),
		wants:    make(map[cid.Cid]*want),
		sessions: make(map[uint64]*session),
		dials:    make(map[peer.ID]*dial),
		searches: make(map[cid.Cid]*search),
		server:   server{owing: make(map[cid.Cid][]*owed), slots: flow.NewSlots(), copies: make(copies)},
	}
	m.server.paced.Fire = func() {} // serve is called after every event
	return m
}

// Next is the time by which Step wants to be called with Wake, if nothing else
// happens before; zero if it need not be.
func (m *Machine) Next() time.Time { return m.alarms.Next() }

// Wants tells whether a session waits for the block.
func (m *Machine) Wants(c cid.Cid) bool { return m.wants[c] != nil }

// Stats returns the counts.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.Peers, s.Sessions, s.Wants = len(m.peers), len(m.sessions), len(m.wants)
	return s
}

// Step takes an event and returns what is to be done about it. now never goes
// backwards. The actions are valid until the next Step.
func (m *Machine) Step(now time.Time, e Event) []Action {
	m.now = now
	clear(m.out)
	m.out = m.out[:0]
	m.alarms.Ring(now)
	m.handle(e)
	for len(m.dirty) > 0 {
		s := m.dirty[0]
		m.dirty = m.dirty[1:]
		s.dirty = false
		m.fill(s)
	}
	m.serve()
	m.flush()
	return m.out
}

func (m *Machine) handle(e Event) {
	switch e := e.(type) {
	case PeerUp:
		m.peerUp(e)
	case PeerDown:
		m.peerDown(e.Peer)
	case Received:
		m.received(e)
	case Receiving:
		m.receiving(e)
	case Sent:
		m.sent(e)
	case Serving:
		m.serving(e)
	case Served:
		m.served(e)
	case Begin:
		m.session(e.Session).root = e.Root
	case Want:
		m.want(e)
	case Tell:
		m.tell(e)
	case Drop:
		m.drop(e)
	case CloseSession:
		m.closeSession(e.Session)
	case Held:
		m.held(e.Blocks)
	case Looked:
		m.looked(e)
	case Provider:
		m.provider(e)
	case Found:
		m.found(e)
	case DialFailed:
		m.dialFailed(e)
	}
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// touch has the session looked at before the Step ends.
func (m *Machine) touch(s *session) {
	if !s.dirty && !s.closed {
		s.dirty = true
		m.dirty = append(m.dirty, s)
	}
}

// jitter is d give or take a quarter.
func (m *Machine) jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(m.rng.Int64N(int64(d/2)+1))
}
