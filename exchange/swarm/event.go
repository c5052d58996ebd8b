package swarm

import (
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

// Event is something that happened to the machine. See Machine.Step.
type Event interface{ event() }

// Sized is a block that the store has.
type Sized struct {
	Cid  cid.Cid
	Size int // bytes
}

// Index is what there is of a DAG.
type Index struct {
	Leaves []cid.Cid
	Sizes  []int // bytes of each, -1 of those that are not there
	Nodes  int
}

// Order is which leaves are wanted, and which first.
type Order uint8

// The orders.
const (
	// Rarest is all of them, those first that few peers have.
	Rarest Order = iota
	// Forward is all of them as somebody reads them from the beginning to the end: those
	// that are hurried first, and others no further ahead of the last of these than
	// AheadSize.
	Forward
	// Parts is only those that are hurried.
	Parts
)

// Events of the network.
type (
	// PeerUp means that a peer speaks the protocol and can be talked to. It may be said
	// again when Near has changed, or the round trip time is known.
	PeerUp struct {
		Peer peer.ID
		RTT  time.Duration // 0 if unknown
		Near bool          // what is exchanged with it is not limited
		// Guest means that it speaks another protocol: it has leaves, and no nodes, and what
		// it wants does not concern this machine.
		Guest bool
	}
	// PeerDown means that it no longer can. All it owes and is owed is void.
	PeerDown struct{ Peer peer.ID }
	// Provider means that a peer, which need not be connected, is said to have a DAG: a search
	// has named it, or it has said so, or shown it, in another protocol.
	Provider struct {
		Peer peer.ID
		Root cid.Cid
	}
	// Frames are what a peer's control stream said, in order.
	Frames struct {
		Peer   peer.ID
		Frames []frame.Frame
	}
	// Receiving means that size more bytes of nodes or of a leaf came in.
	Receiving struct {
		Peer peer.ID
		Size int // bytes
	}
	// Walked means that some of the nodes have come, and were what they had to be.
	Walked struct {
		Peer    peer.ID
		Channel uint32
	}
	// Indexed means that all nodes have come, and were what they had to be: the leaves
	// are known now. Err says that they did not, or were not.
	Indexed struct {
		Peer    peer.ID
		Channel uint32
		Leaves  []cid.Cid
		Nodes   int
		Pushed  int // leaves that are taken for requested
		Err     error
	}
	// Leaf is a leaf that came, verified.
	Leaf struct {
		Peer    peer.ID
		Channel uint32
		Number  int
		Block   block.Block
	}
	// Corrupt is one that was not what it had to be.
	Corrupt struct {
		Peer    peer.ID
		Channel uint32
		Number  int
		Size    int // bytes
	}
	// Sent ends a Send. One that failed is no Sent, but a PeerDown: neither side knows
	// then what the other has heard.
	Sent struct{ Peer peer.ID }
	// Served ends a ServeNodes or Serve. Missing are leaves that turned out not to be
	// there.
	Served struct {
		Peer    peer.ID
		Seq     uint64
		Size    int // bytes of blocks written
		Missing []int
		Failed  bool
	}
)

// Events of whoever uses the machine.
type (
	// Fetch asks for leaves of a DAG, of which the store may have some. Root may be any name
	// by which all know the DAG; then First is the block that is its root.
	Fetch struct {
		ID    uint64
		Root  cid.Cid
		First cid.Cid
		Order Order
	}
	// Leave takes that back.
	Leave struct{ ID uint64 }
	// Hurry says that somebody waits for these blocks, or soon will.
	Hurry struct {
		ID   uint64
		Cids []cid.Cid
		Soon bool
	}
	// Missing says that a block that was said to be lacking is nowhere else either. It is
	// claimed again if a peer may soon have it.
	Missing struct {
		ID  uint64
		Cid cid.Cid
	}
	// Held means that the store has these blocks from now on.
	Held struct{ Blocks []Sized }
	// Loaded ends a Load. If there is an error, Missing is the first block that is not there
	// and must be, if it is that.
	Loaded struct {
		Root    cid.Cid
		Index   Index
		Err     error
		Missing cid.Cid
	}
	// Wake means that the time that Next told has come.
	Wake struct{}
)

func (PeerUp) event()    {}
func (PeerDown) event()  {}
func (Provider) event()  {}
func (Frames) event()    {}
func (Receiving) event() {}
func (Walked) event()    {}
func (Indexed) event()   {}
func (Leaf) event()      {}
func (Corrupt) event()   {}
func (Sent) event()      {}
func (Served) event()    {}
func (Fetch) event()     {}
func (Leave) event()     {}
func (Hurry) event()     {}
func (Missing) event()   {}
func (Held) event()      {}
func (Loaded) event()    {}
func (Wake) event()      {}

// Action is something that the machine wants done. Actions of one Step are to be begun in
// order; none of them waits for another.
type Action interface{ action() }

type (
	// Send writes frames to the control stream of a peer. Sent follows; until then the
	// machine begins no other Send to the peer.
	Send struct {
		Peer   peer.ID
		Frames []frame.Frame
	}
	// Load walks a DAG in the store, or if its leaves are known asks for their sizes.
	// Loaded follows.
	Load struct {
		Root   cid.Cid
		Leaves []cid.Cid
		Nodes  int
	}
	// ServeNodes writes the nodes of a DAG from the given one on, and an Index. Served
	// follows.
	ServeNodes struct {
		Peer    peer.ID
		Seq     uint64
		Channel uint32
		Root    cid.Cid
		From    int
		Pushed  int
	}
	// Serve writes leaves to a peer. Served follows.
	Serve struct {
		Peer    peer.ID
		Seq     uint64
		Channel uint32
		Numbers []int
		Cids    []cid.Cid
	}
	// Settled says that Claim has an answer for these fetches, or another one.
	Settled struct{ IDs []uint64 }
	// Lack says that no peer of the machine has these blocks of a fetch, in the order of their
	// numbers. They are not claimed any more.
	Lack struct {
		IDs   []uint64
		Cids  []cid.Cid
		First cid.Cid // of these, that without which nobody can go on; may be undefined
	}
	// Deliver hands over a leaf of a DAG that is fetched, and by whom.
	Deliver struct {
		IDs   []uint64
		Block block.Block
		From  peer.ID
	}
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

func (Send) action()       {}
func (Load) action()       {}
func (ServeNodes) action() {}
func (Serve) action()      {}
func (Settled) action()    {}
func (Lack) action()       {}
func (Deliver) action()    {}
func (Report) action()     {}
func (Ban) action()        {}

// Fault is a way for a peer to misbehave.
type Fault string

// The faults.
const (
	// FaultNodes is nodes that are not those of the DAG.
	FaultNodes Fault = "wrong nodes"
	// FaultCorrupt is a leaf that is not what it has to be.
	FaultCorrupt Fault = "corrupt leaf"
	// FaultStall is silence while the peer owed something.
	FaultStall Fault = "stall"
	// FaultFlood is more than a peer may ask for.
	FaultFlood Fault = "flood"
	// FaultFrame is a frame that has no place.
	FaultFrame Fault = "frame out of place"
)
