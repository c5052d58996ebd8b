package swap

import (
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
)

// Action is something that the machine wants done. Actions of one Step are to
// be begun in order; none of them waits for another.
type Action interface{ action() }

type (
	// Send writes wants and presences to a peer. Sent follows; until then the
	// machine begins no other Send to the peer.
	Send struct {
		Peer             peer.ID
		Full             bool
		Entries          []Entry
		Haves, DontHaves []cid.Cid
	}
	// Look asks the store for the sizes of blocks. Looked follows; until then
	// the machine begins no other Look for the peer.
	Look struct {
		Peer peer.ID
		Cids []cid.Cid
	}
	// Serve reads blocks from the store and writes them to a peer. Served
	// follows; at most repliesMax are under way for each peer.
	Serve struct {
		Peer    peer.ID
		Seq     uint64
		Cids    []cid.Cid
		Pending int // bytes that stay queued for the peer
	}
	// Deliver hands over a block that sessions want.
	Deliver struct {
		Block block.Block
		From  peer.ID
	}
	// Fail gives up a want.
	Fail struct {
		Cid    cid.Cid
		Reason Reason
	}
	// Find searches for providers of a block: Provider for each, then Found.
	Find struct{ Cid cid.Cid }
	// StopFind ends a Find early; Found still follows.
	StopFind struct{ Cid cid.Cid }
	// Dial connects to a peer: PeerUp or DialFailed follows.
	Dial struct{ Peer peer.ID }
	// Report tells of misbehaviour.
	Report struct {
		Peer  peer.ID
		Fault Fault
	}
	// Ban disconnects a peer and keeps it away.
	Ban struct {
		Peer peer.ID
		For  time.Duration
	}
)

func (Send) action()     {}
func (Look) action()     {}
func (Serve) action()    {}
func (Deliver) action()  {}
func (Fail) action()     {}
func (Find) action()     {}
func (StopFind) action() {}
func (Dial) action()     {}
func (Report) action()   {}
func (Ban) action()      {}

// Fault is a way for a peer to misbehave.
type Fault string

// The faults.
const (
	// FaultJunk is bytes that nobody asked for; a corrupt block is such.
	FaultJunk Fault = "junk"
	// FaultPromise is a HAVE that was not kept.
	FaultPromise Fault = "broken promise"
	// FaultStall is silence while the peer owed blocks.
	FaultStall Fault = "stall"
	// FaultFlood is more requests than a peer may have.
	FaultFlood Fault = "flood"
)

// Phase is how far a want had come when it was given up.
type Phase string

// The phases.
const (
	// PhaseNoPeers means that nobody was connected and nobody could be searched for.
	PhaseNoPeers Phase = "no peers"
	// PhaseNoProviders means that no peer had it and the search named none.
	PhaseNoProviders Phase = "no providers"
	// PhaseUndialable means that the search named providers that could not be reached.
	PhaseUndialable Phase = "providers undialable"
	// PhaseRefused means that providers were reached, and said that they have it not.
	PhaseRefused Phase = "providers do not have it"
	// PhaseStalled means that a peer that should have it kept silent.
	PhaseStalled Phase = "stalled"
)

// Reason says why a want was given up.
type Reason struct {
	Phase      Phase
	Providers  int   // peers that the search named
	Undialable int   // of these, peers that could not be connected to
	DialErr    error // of the last of these
	Asked      int   // peers that were asked
}
