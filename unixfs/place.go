package unixfs

import (
	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// kind says what the block at a place must be.
type kind uint8

const (
	kindEntry kind = iota // the root of a file, directory or symlink
	kindStat              // the same, of which only the Link is wanted
	kindPart              // a node or leaf inside a file
	kindShard             // a HAMT node below the root of its directory
	kindAny               // any block, for Fetch
)

// place is a block to visit, as its parent describes it.
type place struct {
	cid   cid.Cid
	kind  kind
	known bool   // link says enough: the block is not needed
	bytes int64  // of the block, if it has been here before; else 0
	path  string // of the entry; for parts and shards, of what they belong to
	depth int    // levels above it: directories for entries, nodes for parts and any
	link  Link   // of the entry as far as the parent knows

	size     uint64 // kindPart: bytes of file below, as declared
	from, to uint64 // files: the range that is wanted, counted from the start of the node

	hash  uint64 // kindShard: the bits of hash that names below share
	level int    // kindShard: levels of HAMT above it
	width int    // kindShard: the fanout of its root
}

// grown is what a block turned out to be.
type grown struct {
	link  Link                  // entries: what is known now
	data  []byte                // bytes of file here
	kind  kind                  // of the children
	links int                   // children that next gives
	next  func() (place, error) // the children in order; an error stands for one of them
}

// Estimates of blocks that are not here yet, in bytes.
const (
	sizeUnknown = 256 << 10 // the parent does not say
	sizeInner   = 128 << 10 // a node with too much below it to be a leaf
	sizeKnown   = 64        // no block is needed
)

// estimate guesses the size of the block from what the parent claims.
func (p *place) estimate() int64 {
	switch {
	case p.bytes > 0:
		return p.bytes
	case p.known:
		return sizeKnown
	case p.kind == kindPart && p.size > block.SizeMax:
		return sizeInner
	case p.link.Tsize == 0:
		return sizeUnknown
	case p.link.Tsize > block.SizeMax:
		return sizeInner
	default:
		return int64(p.link.Tsize)
	}
}

// mayBranch tells whether the block may have children to visit.
func (p *place) mayBranch() bool {
	switch {
	case p.known || p.cid.Type() == cid.Raw:
		return false
	case p.kind == kindPart: // a leaf is about as large as what it holds
		return p.link.Tsize > p.size+codec.WrapSizeMax || p.size > block.SizeMax
	default:
		return true
	}
}
