// Package wire holds the bytes of bitswap: messages in, messages out.
//
// It is not a protocol: it decides nothing about whom to ask or answer, and it
// hashes nothing. A Reader turns a stream into Messages under limits, a Writer
// does the reverse. Block bytes are never copied on the way out, and on the way
// in they are slices of the one buffer that the message was read into.
//
// Invariant: whatever a stranger sends, a Reader holds at most twice the bytes
// of this message, or as many as of the one before it, that have really
// arrived, plus bufferMin; a declared length or count buys no memory.
//
// Source: the bitswap specification, https://specs.ipfs.tech/bitswap-protocol/.
// A message is an unsigned varint length followed by this protobuf message:
//
//	Message   1 wantlist  { 1 entry*, 2 full bool }
//	          2 blocks    bytes*                       (1.0.0: CIDv0 blocks)
//	          3 payload*  { 1 prefix bytes, 2 data bytes }
//	          4 presence* { 1 cid bytes, 2 type (0 have, 1 don't have) }
//	          5 pendingBytes int32
//	entry     1 cid bytes, 2 priority int32, 3 cancel bool,
//	          4 wantType (0 block, 1 have), 5 sendDontHave bool
//	prefix    varint version | varint codec | varint hash | varint digest length
package wire

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
)

// Protocol identifiers, newest first.
const (
	Protocol120 = "/ipfs/bitswap/1.2.0"
	Protocol110 = "/ipfs/bitswap/1.1.0" // no HAVE, no DONT_HAVE
	Protocol100 = "/ipfs/bitswap/1.0.0" // CIDv0 only, blocks without prefix
)

// Limits on what is read from a stranger.
const (
	// MessageSizeMax is the largest message in bytes (bitswap specification).
	MessageSizeMax = 4 << 20
	// EntriesMax is how many wantlist entries one message may hold.
	EntriesMax = 16384
	// PresencesMax is how many HAVEs and DONT_HAVEs one message may hold.
	PresencesMax = 32768
	// PayloadsMax is how many blocks one message may hold.
	PayloadsMax = 16384
)

// Message is one bitswap message. The zero Message is empty.
type Message struct {
	Full      bool // the entries replace all earlier ones
	Entries   []Entry
	Presences []Presence
	Payloads  []Payload
	Pending   int // bytes that the sender still has queued for the receiver
}

// Entry asks for a block, or takes that back.
type Entry struct {
	Cid          cid.Cid
	Priority     int32
	Cancel       bool
	Have         bool // asks whether the block is there, not for the block
	SendDontHave bool // wants to hear that the block is not there
}

// Presence says whether the sender has a block.
type Presence struct {
	Cid  cid.Cid
	Have bool
}

// Payload is the bytes of a block and how it is named, all but the digest:
// the receiver hashes Data to know which block it is.
type Payload struct {
	Prefix cid.Prefix
	Data   []byte
}

// PayloadOf is the payload that carries b.
func PayloadOf(b block.Block) Payload {
	return Payload{Prefix: b.Cid().Prefix(), Data: b.RawData()}
}

// Block hashes the payload. The block owns Data from then on.
func (p Payload) Block() (block.Block, error) {
	b, err := block.New(p.Data, block.Prefix{
		Codec: p.Prefix.Codec, Hash: p.Prefix.MhType, V0: p.Prefix.Version == 0})
	if err != nil {
		return block.Block{}, err
	}
	if b.Cid().Prefix() != p.Prefix {
		return block.Block{}, fmt.Errorf("name payload: digest of %d bytes: %w", p.Prefix.MhLength, block.ErrHashFunction)
	}
	return b, nil
}

// Empty tells whether there is nothing to send.
func (m *Message) Empty() bool {
	return !m.Full && len(m.Entries) == 0 && len(m.Presences) == 0 && len(m.Payloads) == 0
}

// v0 is the prefix of blocks in messages of version 1.0.0.
var v0 = cid.Prefix{Version: 0, Codec: cid.DagProtobuf, MhType: multihash.SHA2_256, MhLength: 32}

// Errors of a Reader. Each means that the stream is of no more use.
var (
	// ErrMalformed means bytes that are not a bitswap message.
	ErrMalformed = errors.New("malformed bitswap message")
	// ErrLimit means a message beyond one of the limits of this package.
	ErrLimit = errors.New("bitswap message over the limit")
)
