// Package frame holds the bytes of the swarm protocol, in which a peer asks another for
// a DAG and not for blocks.
//
// It is no protocol: it does not decide who may send which frame; docs/swarm-protocol.md
// does. Block bytes are neither copied nor hashed.
//
// Invariant: what Decode returns is in proportion to the bytes that it was given, and
// within the limits of this package, whatever they say.
//
// A frame is an unsigned varint length, a type byte and this body, in which all numbers
// are unsigned varints:
//
//	0x10 Open     channel, flags (1 nodes), root, from, leaves, credit, n, n stops
//	0x11 Request  channel, ranges
//	0x12 Cancel   channel, ranges
//	0x13 Got      channel, ranges
//	0x14 Close    channel
//	0x20 Nodes    channel, items to the end of the frame: 2×length, bytes, of a node,
//	              or 2×count+1 of leaves
//	0x21 Index    channel, nodes, leaves, pushed
//	0x22 Have     channel, ranges
//	0x23 Block    channel, number, bytes to the end of the frame
//	0x24 Miss     channel, reason, ranges
//	0x25 Allow    size
//	0x26 End      channel, reason
//	0x27 Idle
//	0x30 Offer    root, size
//	cid           length, binary CID
//	ranges        n, n times: first less the end of the range before, count-1
//
// Frames of other types are passed over.
package frame

import (
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Protocol is what speaks frames.
const Protocol = "/p2pnode/swarm/1"

// Limits on frames.
const (
	// SizeMax is the largest frame in bytes: a block and what names it.
	SizeMax = block.SizeMax + 64
	// RangesMax is how many ranges one frame may hold.
	RangesMax = 4096
	// StopsMax is how many stops an Open may hold.
	StopsMax = 256
	// ItemsMax is how many nodes and runs of leaves one frame may hold.
	ItemsMax = 4096
	// ChannelMax is the largest number of a channel.
	ChannelMax = 1<<31 - 1
)

// Frame types.
const (
	typeOpen    = 0x10
	typeRequest = 0x11
	typeCancel  = 0x12
	typeGot     = 0x13
	typeClose   = 0x14
	typeNodes   = 0x20
	typeIndex   = 0x21
	typeHave    = 0x22
	typeBlock   = 0x23
	typeMiss    = 0x24
	typeAllow   = 0x25
	typeEnd     = 0x26
	typeIdle    = 0x27
	typeOffer   = 0x30
)

// Frame is one of the types below.
type Frame interface{ frame() }

// Range is count numbers of leaves, from First on.
type Range struct{ First, Count int }

// Item is the bytes of a node, or if there are none a number of leaves that come next.
type Item struct {
	Data   []byte
	Leaves int
}

// Frames of whoever opened the channel.
type (
	// Open begins a channel about the DAG below Root.
	Open struct {
		Channel uint32
		Root    cid.Cid
		Stops   []cid.Cid // left out, and what is below them
		Nodes   bool      // asks for the nodes
		From    int       // nodes that need not be sent
		Leaves  int       // that the sender has counted, unless Nodes is set
		Credit  int       // bytes of leaves that may follow the nodes unasked
	}
	// Request asks for leaves. Each gets one answer, a Block or a Miss.
	Request struct {
		Channel uint32
		Ranges  []Range
	}
	// Cancel takes requests back that were not answered yet.
	Cancel struct {
		Channel uint32
		Ranges  []Range
	}
	// Got tells which leaves the sender has.
	Got struct {
		Channel uint32
		Ranges  []Range
	}
	// Close ends the channel.
	Close struct{ Channel uint32 }
)

// Frames of the other.
type (
	// Nodes are the next in the walk.
	Nodes struct {
		Channel uint32
		Items   []Item
	}
	// Index ends the nodes.
	Index struct {
		Channel               uint32
		Nodes, Leaves, Pushed int // Pushed is how many leaves are taken for requested
	}
	// Have tells which leaves the sender has.
	Have struct {
		Channel uint32
		Ranges  []Range
	}
	// Block is a leaf.
	Block struct {
		Channel uint32
		Number  int
		Data    []byte
	}
	// Miss answers requests with no block.
	Miss struct {
		Channel uint32
		Reason  MissReason
		Ranges  []Range
	}
	// Allow says how many bytes may be asked of the sender at a time, on all channels.
	Allow struct{ Size int }
	// Idle says that nobody waits for anything from the sender.
	Idle struct{}
	// End ends the channel.
	End struct {
		Channel uint32
		Reason  EndReason
	}
)

// Offer tells of a DAG that the sender has, and that the receiver may want.
type Offer struct {
	Root cid.Cid
	Size int64 // bytes of all blocks, 0 if unknown
}

// MissReason is why a leaf that was asked for does not come.
type MissReason byte

// The reasons.
const (
	MissGone      MissReason = iota // it is not there
	MissCancelled                   // as was asked
	MissChoked                      // the sender serves others first
	MissElsewhere                   // others have it, and there is what nobody has but the sender
	MissLate                        // it is on its way: the Block is the answer, and this only that to a Cancel
)

// EndReason is why a channel ends.
type EndReason byte

// The reasons.
const (
	EndUnknown EndReason = iota // the root is not there
	EndLarge                    // more than a walk may have
	EndBusy                     // later, perhaps
	EndWrong                    // the numbers of leaves differ, or a frame is wrong
)

func (Open) frame()    {}
func (Request) frame() {}
func (Cancel) frame()  {}
func (Got) frame()     {}
func (Close) frame()   {}
func (Nodes) frame()   {}
func (Index) frame()   {}
func (Have) frame()    {}
func (Block) frame()   {}
func (Miss) frame()    {}
func (Allow) frame()   {}
func (Idle) frame()    {}
func (End) frame()     {}
func (Offer) frame()   {}

// numberMax is the largest number or count of leaves, nodes and bytes, but for those of
// an Offer.
const numberMax = 1 << 30

// Errors of Decode. Each means that the stream is of no more use.
var (
	// ErrMalformed means bytes that are no frame.
	ErrMalformed = errors.New("malformed frame")
	// ErrLimit means a frame beyond one of the limits of this package.
	ErrLimit = errors.New("frame over the limit")
)
