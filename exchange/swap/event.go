package swap

import (
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
)

// Event is something that happened to the machine. See Machine.Step.
type Event interface{ event() }

// Entry is a line of a wantlist, ours or a peer's.
type Entry struct {
	Cid          cid.Cid
	Priority     int32
	Cancel       bool
	Have         bool // asks whether the block is there, not for the block
	SendDontHave bool // wants to hear that the block is not there
}

// Sized is a block that a store has, or with Size -1 one that it has not.
type Sized struct {
	Cid  cid.Cid
	Size int // bytes
}

// Caps says what the wire to a peer can carry. It is where a second wire tells
// the machine what it is capable of.
type Caps struct {
	// Blocks means that only blocks can be asked for: no HAVE, no DONT_HAVE
	// (bitswap before 1.2.0).
	BlocksOnly bool
}

// Events of the network.
type (
	// PeerUp means that a peer can be talked to. It may be said again when Near has
	// changed.
	PeerUp struct {
		Peer  peer.ID
		Caps  Caps
		RTT   time.Duration // 0 if unknown
		Score float64       // what others think of the peer; below 0 is bad
		Near  bool          // what is exchanged with it is not limited
	}
	// PeerDown means that it no longer can. All it owes and is owed is void.
	PeerDown struct{ Peer peer.ID }
	// Received is what one message said.
	Received struct {
		Peer             peer.ID
		Blocks           []block.Block
		JunkSize         int // bytes of payload that were dropped unread
		Haves, DontHaves []cid.Cid
		Full             bool // Entries replace all earlier ones
		Entries          []Entry
	}
	// Receiving means that Size more bytes of a message that is not complete
	// came in.
	Receiving struct {
		Peer peer.ID
		Size int // bytes
	}
	// Sent ends a Send. Broken means that earlier ones, which seemed to be sent, may
	// not have arrived.
	Sent struct {
		Peer           peer.ID
		Failed, Broken bool
	}
	// Serving means that some more of a Serve has been written, and not all. It comes
	// each half second at least, as long as that is so.
	Serving struct {
		Peer peer.ID
		Seq  uint64
		Size int // bytes
	}
	// Served ends a Serve. Missing are blocks that turned out not to be there.
	Served struct {
		Peer    peer.ID
		Seq     uint64
		Size    int // bytes of blocks written
		Missing []cid.Cid
		Failed  bool
	}
)

// Events of whoever uses the machine.
type (
	// Begin opens a session and says what it is about: who has the root probably has
	// the rest, of which often nothing else is provided. Of a session that begins with
	// a Want, that is the first block that it asks for.
	Begin struct {
		Session uint64
		Root    cid.Cid
	}
	// Want asks for blocks on behalf of a session, which it opens if need be. To ask
	// once more for a block says that it is needed before the others.
	Want struct {
		Session uint64
		Cids    []cid.Cid
	}
	// Tell puts what somebody else has to say to a peer into the next Send to it, and the
	// peer may send the blocks that it is so asked for. Of several entries about a block the
	// last holds. A Send that is Full has none of them: whoever told them adds those that
	// still hold.
	Tell struct {
		Peer    peer.ID
		Entries []Entry
		Haves   []cid.Cid
	}
	// Drop takes that back.
	Drop struct {
		Session uint64
		Cids    []cid.Cid
	}
	// CloseSession drops all wants of the session and forgets its peers.
	CloseSession struct{ Session uint64 }
	// Held means that the store has these blocks from now on.
	Held struct{ Blocks []Sized }
	// Looked ends a Look.
	Looked struct {
		Peer   peer.ID
		Blocks []Sized
	}
	// Provider is a result of a Find.
	Provider struct {
		Cid  cid.Cid
		Peer peer.ID
	}
	// Found ends a Find.
	Found struct {
		Cid cid.Cid
		Err error // nil if the search ran to its end
	}
	// DialFailed ends a Dial in vain; PeerUp ends it well.
	DialFailed struct {
		Peer peer.ID
		Err  error
	}
	// Wake means that the time that Next told has come.
	Wake struct{}
)

func (PeerUp) event()       {}
func (PeerDown) event()     {}
func (Received) event()     {}
func (Receiving) event()    {}
func (Sent) event()         {}
func (Serving) event()      {}
func (Served) event()       {}
func (Begin) event()        {}
func (Want) event()         {}
func (Tell) event()         {}
func (Drop) event()         {}
func (CloseSession) event() {}
func (Held) event()         {}
func (Looked) event()       {}
func (Provider) event()     {}
func (Found) event()        {}
func (DialFailed) event()   {}
func (Wake) event()         {}
