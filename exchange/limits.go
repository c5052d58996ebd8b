package exchange

import (
	"time"

	"github.com/p2pnode/p2pnode/exchange/skeleton"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// Limits on what strangers, and a fast network, may cost.
const (
	messageSizeMax = wire.MessageSizeMax
	inputsMax      = 1024 // events that wait for the machine
	// readersMax is how many streams of a peer may be read at a time. Others
	// wait for their turn, turnTime at most: boxo opens a stream for each few
	// blocks and never sends again what was in one that was reset. As many
	// wait as the wants that a peer may be asked at a time can cause, and more.
	readersMax = 32
	streamsMax = 1024 // inbound streams of a peer that may be open
	turnTime   = time.Minute
	bodiesMax  = 8        // inbound messages of a peer that may be read at a time, but for
	smallMax   = 16 << 10 // those of no more bytes
	hashersMin = 2        // messages that are hashed at a time, however few cores there are
	hashersMax = 8        // the same, however many
	waitersMax = 1 << 17

	// A message, once begun, must arrive at no less than this.
	messageTime    = 10 * time.Second
	messageRateMin = 16 << 10 // bytes/s

	// entryRateMax and entryBurst bound how many wants of a peer are looked at.
	entryRateMax = 50_000 // per second
	entryBurst   = 2 * wire.EntriesMax

	// leafRateMax and leafBurst bound how many leaves the frames of a peer may name.
	leafRateMax = 1 << 20 // per second
	leafBurst   = 2 * skeleton.LeavesMax
	openLeaves  = 1000 // that an Open counts for: the store may be asked for a DAG

	// nodesSize is about how many bytes of nodes go into a frame.
	nodesSize = 128 << 10
	// controlSize is what control frames are taken to have, for how long they may take.
	controlSize = 64 << 10
	// rejoinDelay is how long a peer with whom a stream of frames broke is left alone.
	rejoinDelay = time.Second

	// expectTime is how long after a want its block is still worth hashing.
	expectTime  = 3 * time.Minute
	prefixesMax = 64 // kinds of CID that one peer is asked for

	openTime = 10 * time.Second // to open a stream
	pingTime = 10 * time.Second // to measure a round trip
	dialTime = 15 * time.Second
	// dialAgainDelay is how soon a dial that was refused at once is tried again.
	dialAgainDelay = 500 * time.Millisecond
	findTime       = 45 * time.Second // for one search for providers
	flushTime      = 10 * time.Second // to store what is left when Run ends

	putsMax       = 4       // Puts under way
	putSizeMax    = 8 << 20 // bytes in one Put
	putBlocksMax  = 1024
	bannedMax     = 4096    // peers
	savedMax      = 1 << 16 // CIDs of blocks that were stored lately
	addrTime      = 10 * time.Minute
	progressEvery = 20 * time.Millisecond // least time between two reports of a long message that comes in
	// pieceSize is how much of a message that goes out is written at a time: with its
	// header of 12 bytes the most that yamux sends as one, which is just four records of
	// TLS. servingEvery is the least time between two reports of it.
	pieceSize    = 64<<10 - 12
	servingEvery = 250 * time.Millisecond

	// paceSize is how much of a message moves at a time while there is a limit, and
	// paceBurst for how long what was not used of the limit may be made up for.
	paceSize  = 8 << 10
	paceBurst = 50 * time.Millisecond
	// waitingEvery is how often it is said that a peer waits for this side's limit.
	waitingEvery = 500 * time.Millisecond
)

// What a connection to a peer that delivered blocks is worth to the host.
const (
	connTag   = "exchange"
	connValue = 20
)

// timeFor is what size bytes of a message may take.
func timeFor(size int) time.Duration {
	return messageTime + time.Duration(size)*time.Second/messageRateMin
}
