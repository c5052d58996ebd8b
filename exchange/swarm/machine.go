// Package swarm decides how a DAG spreads among peers that know its leaves by number: whom
// to ask for which, whom to serve first, and what to tell whom. It is a machine without
// network, clock or goroutine, as exchange/swap is for blocks that are asked for by name.
//
// It moves no bytes and walks no DAG: a driver tells it what happened, with all blocks
// verified, and does what it says. Frames are exchange/frame's; docs/swarm-protocol.md says
// what they mean.
//
// A leaf goes its way like this:
//
//	needed → asked of one peer, with a deadline → delivered → held → told to all
//	   ↑         │ miss, silence, the channel ends; or taken back for a faster peer
//	   └─────────┘
//
// Invariants (Machine.Invariants tells whether they hold):
//  1. A leaf is asked of at most one peer, unless one has let its deadline pass.
//  2. Every peer that owes something has a running deadline.
//  3. What is asked of a peer fits its window, and what it allows, but for a few leaves.
//  4. Nothing is announced that the store does not hold.
//  5. Every leaf that a peer asks for gets one answer, a block or a miss.
//  6. What is kept for a peer is bounded, and freed when it disconnects.
//
// Sources: Legout, Urvoy-Keller and Michiardi, "Rarest first and choke algorithms are
// enough" (IMC 2006); BEP 3 and BEP 16 of BitTorrent.
package swarm

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/flow"
)

// Options tunes a Machine. The zero value works.
type Options struct {
	// Seed makes all choices among equals.
	Seed uint64
	// ServingSizeMax is how many bytes of replies may be under way at a time.
	// Default 64 MiB.
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
	DAGs      int   `json:"dags"`
	Fetches   int   `json:"fetches"`
	LeavesIn  int64 `json:"leaves_in"`
	BytesIn   int64 `json:"bytes_in"`
	LeavesOut int64 `json:"leaves_out"`
	BytesOut  int64 `json:"bytes_out"`
	DupLeaves int64 `json:"dup_leaves"`
	DupBytes  int64 `json:"dup_bytes"`
}

// Machine is the state of all swarms that a peer is in. It is not safe for concurrent use.
type Machine struct {
	o   Options
	rng *rand.Rand
	now time.Time
	out []Action

	peers   map[peer.ID]*remote
	order   []*remote // oldest first: maps have no order that a seed could fix
	dags    map[cid.Cid]*dag
	fetches map[uint64]*dag
	eager   []*dag    // in which something may be asked for before the Step ends
	mails   []*remote // to whom something may be sent before the Step ends
	alarms  alarm.Alarms
	turns   uint64        // leaves that were asked for, ever
	turn    time.Duration // that an answer to a Cancel has taken lately
	server  server
	stats   Stats
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
		o:       o,
		rng:     rand.New(rand.NewPCG(o.Seed, 0x5a0a2)),
		peers:   make(map[peer.ID]*remote),
		dags:    make(map[cid.Cid]*dag),
		fetches: make(map[uint64]*dag),
	}
	m.server.ready.Fire = func() {} // serve is called after every event
	m.server.paced.Fire = func() {}
	m.server.invites.Fire = func() {} // nor invite
	m.server.rotation.Fire = m.rotate
	return m
}

// Next is the time by which Step wants to be called with Wake, if nothing else happens
// before; zero if it need not be.
func (m *Machine) Next() time.Time { return m.alarms.Next() }

// Stats returns the counts.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.Peers, s.DAGs, s.Fetches = len(m.peers), len(m.dags), len(m.fetches)
	return s
}

// Step takes an event and returns what is to be done about it. now never goes backwards.
// The actions are valid until the next Step.
func (m *Machine) Step(now time.Time, e Event) []Action {
	m.now = now
	clear(m.out)
	m.out = m.out[:0]
	m.alarms.Ring(now)
	m.handle(e)
	for len(m.eager) > 0 {
		d := slices.MinFunc(m.eager, sooner)
		m.eager = slices.DeleteFunc(m.eager, func(o *dag) bool { return o == d })
		d.eager = false
		m.fill(d)
	}
	m.serve()
	m.invite()
	m.flush()
	return m.out
}

func (m *Machine) handle(e Event) {
	switch e := e.(type) {
	case PeerUp:
		m.peerUp(e)
	case PeerDown:
		m.peerDown(e.Peer)
	case Provider:
		m.provider(e)
	case Fetch:
		m.fetch(e)
	case Leave:
		m.leave(e.ID)
	case Hurry:
		m.hurry(e)
	case Missing:
		m.missing(e)
	case Held:
		m.held(e.Blocks)
	case Frames:
		m.frames(e)
	case Receiving:
		m.receiving(e)
	case Walked:
		m.walked(e)
	case Indexed:
		m.indexed(e)
	case Leaf:
		m.leaf(e)
	case Corrupt:
		m.corrupt(e)
	case Loaded:
		m.loaded(e)
	case Sent:
		m.sent(e)
	case Served:
		m.served(e)
	}
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// sooner says of which of two DAGs leaves are asked for first, if a peer has room for one: of
// that which somebody reads, or else that which had its turn the longest ago.
func sooner(a, b *dag) int {
	if ra, rb := a.fetch.isRead(), b.fetch.isRead(); ra != rb {
		if ra {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.turn, b.turn)
}

// roomy has the peer asked for leaves of any DAG before the Step ends: it has room for more.
func (m *Machine) roomy(r *remote) {
	for _, l := range r.links {
		m.touch(l.d)
	}
}

// touch has leaves of the DAG asked for before the Step ends.
func (m *Machine) touch(d *dag) {
	if d.fetch != nil && !d.eager {
		d.eager = true
		m.eager = append(m.eager, d)
	}
}

// mail has flush look at r before the Step ends.
func (m *Machine) mail(r *remote) {
	if !r.mailed {
		r.mailed = true
		m.mails = append(m.mails, r)
	}
}
