// Package commit holds the bytes of commits, of which the history of a document consists.
//
// A commit is a block: what one author did at one time, and links to the commits that the
// author had seen last. It is DAG-CBOR, so that any IPFS tool can follow the links, and this
// array:
//
//	[version 1, gen, wall, author, parents, refs, ops]
//	gen      unsigned: 1 + the greatest gen of the parents, 1 if there are none
//	wall     unsigned: milliseconds since 1970 by the author's clock; it decides nothing
//	author   32 bytes: an Ed25519 key
//	parents  up to 64, by ascending CID, each a link, or [link, 64 bytes] with the signature
//	         of the parent's author
//	refs     up to 64 links to older commits, which Refs names
//	ops      bytes: see Ops
//
// The document is not named: it is the one commit without parents that all others lead to.
// A commit is not signed either. An author signs the name of a newest one, its head, and by
// that everything before it that is the same author's; for parents by others the author
// passes on their signatures. So who has verified a head, has verified its ancestors.
//
// It does not know what operations mean, nor whether an author may commit.
//
// Invariant: what Decode returns encodes to the same bytes again, so two names are never the
// same commit; and it is in proportion to the bytes that were given.
package commit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
)

// Limits on commits.
const (
	// SizeMax is the largest commit in bytes.
	SizeMax = 256 << 10
	// ParentsMax is how many parents a commit may have.
	ParentsMax = 64
	// RefsMax is how many refs a commit may have.
	RefsMax = 64
	// GenMax is the largest gen: how long a chain of commits may be.
	GenMax = 1 << 40
)

// version is that of the format. A document with commits of a newer one cannot be read.
const version = 1

// ID names a commit: it is the SHA2-256 digest of its CID.
type ID [32]byte

// prefix is the beginning of each CID of a commit: version 1, dag-cbor, sha2-256, 32 bytes.
const prefix = "\x01\x71\x12\x20"

// IDOf is the ID in a CID. ok is false if it cannot be that of a commit.
func IDOf(c cid.Cid) (id ID, ok bool) {
	s := c.KeyString()
	if len(s) != len(prefix)+len(id) || s[:len(prefix)] != prefix {
		return id, false
	}
	copy(id[:], s[len(prefix):])
	return id, true
}

// Cid is the CID of the block.
func (id ID) Cid() cid.Cid {
	mh, err := multihash.Encode(id[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // of 32 bytes there is always one
	}
	return cid.NewCidV1(cid.DagCBOR, mh)
}

func (id ID) String() string { return id.Cid().String() }

// Compare orders IDs as their CIDs are ordered.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// Author is who commits: an Ed25519 public key.
type Author [ed25519.PublicKeySize]byte

func (a Author) String() string { return hex.EncodeToString(a[:]) }

// Signature is an author's signature of a head.
type Signature [ed25519.SignatureSize]byte

// Parent is a commit that the author had seen. Signature is that of the parent's author,
// or nil.
type Parent struct {
	ID        ID
	Signature *Signature
}

// Commit is what a commit block says.
type Commit struct {
	Gen     uint64
	Wall    uint64 // milliseconds since 1970, for display only
	Author  Author
	Parents []Parent // ascending
	Refs    []ID
	Ops     []byte
}

// Errors of Encode and Decode.
var (
	// ErrMalformed means bytes that are no commit.
	ErrMalformed = errors.New("malformed commit")
	// ErrLimit means a commit beyond one of the limits of this package.
	ErrLimit = errors.New("commit over the limit")
	// ErrVersion means a commit in a newer format.
	ErrVersion = errors.New("commit of a newer version")
)

// Encode makes the block. It fails if the commit is over a limit, or not in order.
func (c *Commit) Encode() (block.Block, error) {
	if err := c.check(); err != nil {
		return block.Block{}, fmt.Errorf("encode commit: %w", err)
	}
	b := make([]byte, 0, 128+len(c.Ops)+112*len(c.Parents)+linkSize*len(c.Refs))
	b = appendHead(b, typeArray, 7)
	b = appendHead(b, typeUnsigned, version)
	b = appendHead(b, typeUnsigned, c.Gen)
	b = appendHead(b, typeUnsigned, c.Wall)
	b = appendBytes(b, c.Author[:])
	b = appendHead(b, typeArray, uint64(len(c.Parents)))
	for _, p := range c.Parents {
		if p.Signature == nil {
			b = appendLink(b, p.ID)
			continue
		}
		b = appendHead(b, typeArray, 2)
		b = appendLink(b, p.ID)
		b = appendBytes(b, p.Signature[:])
	}
	b = appendHead(b, typeArray, uint64(len(c.Refs)))
	for _, r := range c.Refs {
		b = appendLink(b, r)
	}
	b = appendBytes(b, c.Ops)
	if len(b) > SizeMax {
		return block.Block{}, fmt.Errorf("encode commit of %d bytes: %w (%d)", len(b), ErrLimit, SizeMax)
	}
	return Block(b)
}

// Decode reads a block. The commit's Ops are part of the block's bytes.
func Decode(b block.Block) (*Commit, ID, error) {
	id, ok := IDOf(b.Cid())
	if !ok {
		return nil, id, fmt.Errorf("decode commit %s: not a dag-cbor block with a sha2-256 digest: %w", b.Cid(), ErrMalformed)
	}
	c, err := decode(b.RawData())
	if err != nil {
		return nil, id, fmt.Errorf("decode commit %s: %w", id, err)
	}
	return c, id, nil
}

func decode(data []byte) (*Commit, error) {
	if len(data) > SizeMax {
		return nil, ErrLimit
	}
	p := &parser{rest: data}
	p.array(7, 7)
	if v := p.unsigned(); p.err == nil && v != version {
		return nil, fmt.Errorf("version %d: %w", v, ErrVersion)
	}
	c := &Commit{Gen: p.unsigned(), Wall: p.unsigned()}
	copy(c.Author[:], p.bytes(len(c.Author)))
	for range p.array(0, ParentsMax) {
		c.Parents = append(c.Parents, p.parent())
		if p.err != nil {
			break
		}
	}
	for range p.array(0, RefsMax) {
		c.Refs = append(c.Refs, p.link())
		if p.err != nil {
			break
		}
	}
	c.Ops = p.bytes(-1)
	if p.err == nil && len(p.rest) > 0 {
		p.err = fmt.Errorf("%d bytes too many: %w", len(p.rest), ErrMalformed)
	}
	if p.err != nil {
		return nil, p.err
	}
	return c, c.check()
}

// check is what holds of every commit.
func (c *Commit) check() error {
	switch {
	case len(c.Parents) > ParentsMax || len(c.Refs) > RefsMax || c.Gen > GenMax:
		return ErrLimit
	case c.Gen == 0 || (len(c.Parents) == 0) != (c.Gen == 1):
		return fmt.Errorf("gen %d with %d parents: %w", c.Gen, len(c.Parents), ErrMalformed)
	case !ascending(c.Parents):
		return fmt.Errorf("parents not in order: %w", ErrMalformed)
	}
	return nil
}

// ascending tells whether the parents are in order, and none is there twice.
func ascending(parents []Parent) bool {
	for i := 1; i < len(parents); i++ {
		if parents[i-1].ID.Compare(parents[i].ID) >= 0 {
			return false
		}
	}
	return true
}

// Block is the block of a commit that came without its name. Decode tells whether it is one.
func Block(data []byte) (block.Block, error) {
	return block.New(data, block.Prefix{Codec: cid.DagCBOR})
}
