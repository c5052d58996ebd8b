package machine

import (
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// Manner is how a peer treats others.
type Manner int

// The manners.
const (
	Honest  Manner = iota
	Greedy         // takes, and answers nobody
	Corrupt        // sends other bytes than it was asked for
	Boaster        // says that it has all, and sends nothing
)

// How long a store takes.
const (
	lookTime  = 100 * time.Microsecond
	readTime  = 200 * time.Microsecond
	storeTime = time.Millisecond
)

// Exchange is the Body that swaps blocks: a swap.Machine with a store, as package
// exchange drives it.
type Exchange struct {
	p      *Peer
	m      *swap.Machine
	life   uint64
	manner Manner
	store  map[cid.Cid]block.Block // what is on its disk
	finds  map[cid.Cid]*search
	record []byte

	session uint64
	waiting map[cid.Cid][]*Fetch
	// What the machine has under way, of which it may have so much and no more.
	sending, looking map[peer.ID]bool

	past   swap.Stats // of earlier lives
	waited time.Duration
	since  time.Duration // when it began to wait, while it does
	Tally  Tally
}

// Tally is what a peer's exchange has done, in all its lives.
type Tally struct {
	Steps     int64 // of the machine
	Arriving  int64 // of these, to be told that part of a message came
	Actions   int64
	Meetings  int64 // peers that came or went
	Delivered int64 // blocks
	Failed    int64
	Faults    map[swap.Fault]int64 // that it has reported
	Bans      int64
}

// NewExchange makes a Body. It is for World.Add.
func NewExchange(m Manner) func(*Peer) Body {
	return func(p *Peer) Body {
		return &Exchange{p: p, manner: m, Tally: Tally{Faults: make(map[swap.Fault]int64)}}
	}
}

// ExchangeOf is the peer's body, if it is an Exchange, else nil.
func ExchangeOf(p *Peer) *Exchange {
	x, _ := p.body.(*Exchange)
	return x
}

// Reset begins another life.
func (x *Exchange) Reset(keep bool) {
	if x.m != nil {
		x.past = x.Stats()
	}
	x.life++
	x.m = swap.New(swap.Options{Seed: x.p.w.o.Seed ^ uint64(x.p.number)<<20 ^ x.life<<52, Search: true})
	if !keep || x.store == nil {
		x.store = make(map[cid.Cid]block.Block)
	}
	x.finds = make(map[cid.Cid]*search)
	x.waiting = make(map[cid.Cid][]*Fetch)
	x.sending, x.looking = make(map[peer.ID]bool), make(map[peer.ID]bool)
}

// Keep puts blocks on the disk, as if they had been added.
func (x *Exchange) Keep(blocks ...block.Block) {
	for _, b := range blocks {
		x.store[b.Cid()] = b
	}
}

// Has tells whether a block is on the disk.
func (x *Exchange) Has(c cid.Cid) bool {
	_, has := x.store[c]
	return has
}

// Machine is the machine of the present life.
func (x *Exchange) Machine() *swap.Machine { return x.m }

// Stats counts over all lives.
func (x *Exchange) Stats() swap.Stats {
	s := x.m.Stats()
	s.BlocksIn += x.past.BlocksIn
	s.BytesIn += x.past.BytesIn
	s.BlocksOut += x.past.BlocksOut
	s.BytesOut += x.past.BytesOut
	s.DupBlocks += x.past.DupBlocks
	s.DupBytes += x.past.DupBytes
	s.JunkBytes += x.past.JunkBytes
	s.WantsIn += x.past.WantsIn
	s.WantsOut += x.past.WantsOut
	s.Failed += x.past.Failed
	return s
}

// Next tells when the machine wants to be woken.
func (x *Exchange) Next() time.Time { return x.m.Next() }

// Check asks the machine, and whether all that is wanted is known to it.
func (x *Exchange) Check() error {
	if err := x.m.Invariants(); err != nil {
		return fmt.Errorf("invariant %w", err)
	}
	if wants := x.m.Stats().Wants; wants > len(x.waiting) {
		return fmt.Errorf("the machine has %d wants, %d are waited for", wants, len(x.waiting))
	}
	return nil
}

// Handle takes an event of the network.
func (x *Exchange) Handle(_ time.Time, e Event) {
	switch e := e.(type) {
	case Up:
		x.Tally.Meetings++
		x.step(swap.PeerUp{Peer: e.Peer, RTT: e.RTT})
	case Down:
		x.Tally.Meetings++
		delete(x.sending, e.Peer)
		delete(x.looking, e.Peer)
		x.step(swap.PeerDown{Peer: e.Peer})
	case Arriving:
		x.Tally.Arriving++
		x.step(swap.Receiving{Peer: e.From, Size: e.Size})
	case Message:
		if m, ok := e.Content.(swap.Received); ok {
			m.Peer = e.From
			x.receive(m)
		}
	case Wake:
		x.step(swap.Wake{})
	}
}

// receive takes a message, as is the peer's manner.
func (x *Exchange) receive(e swap.Received) {
	var reply swap.Received
	size := 0
	for _, w := range e.Entries {
		switch {
		case w.Cancel:
		case x.manner == Boaster && w.Have:
			reply.Haves = append(reply.Haves, w.Cid)
		case x.manner == Corrupt && w.Have:
			reply.Haves = append(reply.Haves, w.Cid)
		case x.manner == Corrupt:
			b := NewBlock(x.p.w.rng, 1000)
			reply.Blocks = append(reply.Blocks, b)
			size += b.Size()
		}
	}
	if size += entrySize * len(reply.Haves); size > 0 {
		x.p.Send(e.Peer, Data, size, reply, nil, nil)
	}
	if x.manner != Honest {
		e.Entries, e.Full = nil, false
	}
	x.step(e)
}

// step feeds the machine, and carries out what it decides.
func (x *Exchange) step(e swap.Event) {
	x.Tally.Steps++
	for _, a := range x.m.Step(x.p.Now(), e) {
		x.Tally.Actions++
		x.record = encode(x.record[:0], a)
		x.p.Trace(x.record)
		x.do(a)
	}
}

// Sums adds up what all exchanges of the world have done.
func (w *World) Sums() (Tally, swap.Stats) {
	t := Tally{Faults: make(map[swap.Fault]int64)}
	var s swap.Stats
	for _, p := range w.peers {
		x := ExchangeOf(p)
		if x == nil {
			continue
		}
		t.Steps += x.Tally.Steps
		t.Arriving += x.Tally.Arriving
		t.Actions += x.Tally.Actions
		t.Meetings += x.Tally.Meetings
		t.Delivered += x.Tally.Delivered
		t.Failed += x.Tally.Failed
		t.Bans += x.Tally.Bans
		for f, n := range x.Tally.Faults {
			t.Faults[f] += n
		}
		o := x.Stats()
		s.BlocksIn, s.BytesIn = s.BlocksIn+o.BlocksIn, s.BytesIn+o.BytesIn
		s.BlocksOut, s.BytesOut = s.BlocksOut+o.BlocksOut, s.BytesOut+o.BytesOut
		s.DupBlocks, s.DupBytes, s.JunkBytes = s.DupBlocks+o.DupBlocks, s.DupBytes+o.DupBytes, s.JunkBytes+o.JunkBytes
		s.WantsIn, s.WantsOut, s.Failed = s.WantsIn+o.WantsIn, s.WantsOut+o.WantsOut, s.Failed+o.Failed
	}
	return t, s
}

// Waited is for how long the peer has had wants that were not answered, in all.
func (x *Exchange) Waited() time.Duration { return x.waited }
