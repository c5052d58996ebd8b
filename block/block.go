// Package block holds the unit that everything else moves: bytes together with
// the hash that names them.
//
// It is not a store and not a network; it only says what a block is and which
// blocks are allowed to exist.
//
// Invariant: a non-zero Block cannot exist unless its bytes hash to its CID.
// New and Verify are the only ways to make one, so no code above this package
// checks a hash: nothing unverified can be handed to it. Its bytes must never
// be changed by whoever holds it.
package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Limits that hold for every block on every path into the system.
const (
	// SizeMax is the largest block in bytes that bitswap peers accept
	// (bitswap specification, "Block Sizes").
	SizeMax = 2 << 20
	// CIDSizeMax is the longest binary CID in bytes that is read from a peer.
	CIDSizeMax = 168
	// IdentitySizeMax is the most data in bytes that an identity CID may inline.
	IdentitySizeMax = 128
)

// Block is verified bytes and their CID. The zero Block means "none".
type Block struct {
	cid  cid.Cid
	data []byte
}

// Getter finds the block that c names.
//
// The error is ErrNotFound (as errors.Is sees it) when the getter knows that it
// cannot have the block; a getter that asks a network returns when ctx ends at
// the latest. Implementations are safe for concurrent use.
type Getter interface {
	Get(ctx context.Context, c cid.Cid) (Block, error)
}

// Putter keeps blocks. When Put returns nil, every block is kept with the
// durability that the implementation promises; on an error any subset may be.
type Putter interface {
	Put(ctx context.Context, blocks ...Block) error
}

// Prefetcher is an optional companion of Getter: Prefetch says which blocks
// Get will be asked for soon, nearest first. It returns at once and promises
// nothing.
type Prefetcher interface {
	Prefetch(ctx context.Context, cids ...cid.Cid)
}

// Prefix says how a block is to be named: codec and hash function, as CIDv1,
// or as CIDv0 where V0 is set (which fixes dag-pb and sha2-256).
type Prefix struct {
	Codec uint64 // multicodec of the content, e.g. cid.Raw
	Hash  uint64 // multihash code; 0 means sha2-256
	V0    bool
}

// New names data, which the block then owns. It fails on data over SizeMax and
// on hash functions that are not allowed.
func New(data []byte, p Prefix) (Block, error) {
	code := p.Hash
	if code == 0 {
		code = multihash.SHA2_256
	}
	if p.V0 && (code != multihash.SHA2_256 || p.Codec != cid.DagProtobuf) {
		return Block{}, fmt.Errorf("name block: CIDv0 needs dag-pb and sha2-256: %w", ErrHashFunction)
	}
	if len(data) > SizeMax {
		return Block{}, &SizeError{Size: len(data), Max: SizeMax}
	}
	digest, err := sum(code, -1, data)
	if err != nil {
		return Block{}, fmt.Errorf("name block: %w", err)
	}
	mh, err := multihash.Encode(digest, code)
	if err != nil {
		return Block{}, fmt.Errorf("name block: encode multihash: %w", err)
	}
	if p.V0 {
		return Block{cid: cid.NewCidV0(mh), data: data}, nil
	}
	return Block{cid: cid.NewCidV1(p.Codec, mh), data: data}, nil
}

// Verify makes a block of c and data, which the block then owns, if data hashes
// to c. It fails with a *MismatchError if it does not.
func Verify(c cid.Cid, data []byte) (Block, error) {
	if len(data) > SizeMax {
		return Block{}, &SizeError{Cid: c, Size: len(data), Max: SizeMax}
	}
	want, err := digestOf(c)
	if err != nil {
		return Block{}, err
	}
	got, err := sum(want.Code, want.Length, data)
	if err != nil {
		return Block{}, fmt.Errorf("verify %s: %w", c, err)
	}
	if !bytes.Equal(got, want.Digest) {
		return Block{}, &MismatchError{Cid: c, Size: len(data)}
	}
	return Block{cid: c, data: data}, nil
}

// Check tells whether c is a name that a block may have: defined, short enough,
// and of an allowed hash function. It is cheap and allocates nothing that a
// stranger has not paid for, so decoders call it on every CID they read.
func Check(c cid.Cid) error {
	_, err := digestOf(c)
	return err
}

// Inline returns the block that an identity CID carries inside itself.
func Inline(c cid.Cid) (Block, bool) {
	if !c.Defined() || c.Prefix().MhType != multihash.IDENTITY {
		return Block{}, false
	}
	d, err := digestOf(c)
	if err != nil {
		return Block{}, false
	}
	return Block{cid: c, data: d.Digest}, true
}

// Cid returns the name of the block.
func (b Block) Cid() cid.Cid { return b.cid }

// RawData returns the bytes of the block, which must not be changed. The name
// is that of the IPFS libraries' Block interface, which Block satisfies.
func (b Block) RawData() []byte { return b.data }

// Size returns the number of bytes.
func (b Block) Size() int { return len(b.data) }

// String returns the CID in brackets, for logs.
func (b Block) String() string { return "[Block " + b.cid.String() + "]" }

// Loggable satisfies the IPFS libraries' Block interface.
func (b Block) Loggable() map[string]any { return map[string]any{"block": b.cid.String()} }

func digestOf(c cid.Cid) (*multihash.DecodedMultihash, error) {
	if !c.Defined() {
		return nil, fmt.Errorf("check CID: %w", ErrUndefined)
	}
	if c.ByteLen() > CIDSizeMax {
		return nil, fmt.Errorf("check CID of %d bytes: %w (limit %d)", c.ByteLen(), ErrCIDSize, CIDSizeMax)
	}
	d, err := multihash.Decode(c.Hash())
	if err != nil {
		return nil, fmt.Errorf("check CID %s: %w", c, err)
	}
	if err := allowed(d.Code, d.Length); err != nil {
		return nil, fmt.Errorf("check CID %s: %w", c, err)
	}
	return d, nil
}

// Errors that callers decide on.
var (
	// ErrNotFound is what a Getter returns for a block it does not have.
	ErrNotFound = errors.New("block not found")
	// ErrHashFunction means a hash function, or a digest length, that is not allowed.
	ErrHashFunction = errors.New("hash function not allowed")
	// ErrCIDSize means a CID longer than CIDSizeMax.
	ErrCIDSize = errors.New("CID too long")
	// ErrUndefined means the zero CID.
	ErrUndefined = errors.New("undefined CID")
)

// NotFoundError is ErrNotFound with the block it is about.
type NotFoundError struct{ Cid cid.Cid }

func (e *NotFoundError) Error() string { return "block " + e.Cid.String() + " not found" }

// Unwrap makes errors.Is(err, ErrNotFound) true.
func (e *NotFoundError) Unwrap() error { return ErrNotFound }

// NotFound satisfies the interface by which the IPFS libraries recognise a
// missing block (go-ipld-format IsNotFound).
func (e *NotFoundError) NotFound() bool { return true }

// MismatchError means bytes that do not hash to the CID they were given under.
type MismatchError struct {
	Cid  cid.Cid
	Size int // bytes that were offered
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("verify %s: the %d bytes do not hash to it", e.Cid, e.Size)
}

// SizeError means a block over the limit. Cid is undefined if it has no name yet.
type SizeError struct {
	Cid       cid.Cid
	Size, Max int // bytes
}

func (e *SizeError) Error() string {
	if !e.Cid.Defined() {
		return fmt.Sprintf("block of %d bytes exceeds the limit of %d", e.Size, e.Max)
	}
	return fmt.Sprintf("block %s of %d bytes exceeds the limit of %d", e.Cid, e.Size, e.Max)
}
