// Package codec turns blocks into nodes and links, and nodes into bytes.
//
// Node is a UnixFS node: a dag-pb block with a UnixFS message as its data.
// Decode reads one and Encode writes one, byte for byte as Kubo does. Links is
// for those who only follow links, in blocks of any codec: dag-pb, dag-cbor,
// dag-json and raw.
//
// It knows one block at a time. Whether sizes agree between parent and child,
// whether a name may be that of an entry, where a HAMT node stands: all that is
// for the packages above to check. It does not build values of dag-cbor and
// dag-json; it runs over them.
//
// Invariant: decoding allocates in proportion to the bytes of the block, never
// to what they declare; every CID that it gives out passes block.Check. What is
// decoded is encoded in the one canonical form, and from then on stays the same.
//
// Sources: dag-pb (https://ipld.io/specs/codecs/dag-pb/spec/), the UnixFS
// specification (https://specs.ipfs.tech/unixfs/), dag-cbor
// (https://ipld.io/specs/codecs/dag-cbor/spec/) and dag-json
// (https://ipld.io/specs/codecs/dag-json/spec/).
package codec

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Limits that hold for every block, whoever built it.
const (
	// LinksMax is the most links in one block. A block of block.SizeMax has
	// room for about 46,000 entries with a sha2-256 CID.
	LinksMax = 1 << 16
	// SizeMax is the most bytes that a file may have, or a DAG may claim; sums
	// of sizes stay clear of overflow below it.
	SizeMax = 1 << 62
	// nestedMax is how deep lists and maps may nest in dag-cbor and dag-json.
	nestedMax = 1024
)

// Link is a link as the codec of a block has it.
type Link struct {
	Name  string // dag-pb only
	Cid   cid.Cid
	Tsize uint64 // dag-pb only: bytes of all blocks below, as claimed; 0 means not known
}

// Links returns all links of a block, in the order in which they stand: those of
// dag-pb, dag-cbor and dag-json, none of raw. It fails with a *CodecError on
// other codecs and with a *FormatError on what cannot be decoded.
func Links(b block.Block) ([]Link, error) {
	var links []Link
	var err error
	switch b.Cid().Type() {
	case cid.Raw:
		return nil, nil
	case cid.DagProtobuf:
		links, _, err = decodePB(b.RawData())
	case cid.DagCBOR:
		links, err = cborLinks(b.RawData())
	case cid.DagJSON:
		links, err = jsonLinks(b.RawData())
	default:
		return nil, &CodecError{Cid: b.Cid()}
	}
	if err != nil {
		return nil, &FormatError{Cid: b.Cid(), What: err.Error()}
	}
	return links, nil
}

// addLink appends a link, of which there may be LinksMax.
func addLink(links []Link, c cid.Cid) ([]Link, error) {
	if len(links) == LinksMax {
		return nil, errLinks
	}
	return append(links, Link{Cid: c}), nil
}

// castCID reads a binary CID that a block may be asked for by.
func castCID(b []byte) (cid.Cid, error) {
	if len(b) > block.CIDSizeMax {
		return cid.Undef, block.ErrCIDSize
	}
	c, err := cid.Cast(b)
	if err != nil {
		return cid.Undef, err
	}
	return c, block.Check(c)
}

// FormatError means a block that is not what its codec or its parent says:
// malformed, lying about a size, or carrying a name that no entry may have.
type FormatError struct {
	Cid  cid.Cid
	What string
}

func (e *FormatError) Error() string { return fmt.Sprintf("decode %s: %s", e.Cid, e.What) }

// CodecError means a block in a codec that cannot be read here.
type CodecError struct{ Cid cid.Cid }

func (e *CodecError) Error() string {
	return fmt.Sprintf("decode %s: codec 0x%x is not supported here", e.Cid, e.Cid.Type())
}
