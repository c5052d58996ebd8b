package codec

import (
	"io/fs"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Type says what a node is, by the numbers of the message.
type Type uint64

// The types of nodes.
const (
	TypeRaw Type = iota // a leaf, written by old builders
	TypeDir
	TypeFile
	TypeMetadata // not in use
	TypeSymlink
	TypeShard // a node of a HAMT directory
)

// Node is a UnixFS node: the links of its dag-pb block and what the message says.
type Node struct {
	Links      []Link
	Type       Type
	Data       []byte      // of a file, the target of a symlink, the bit field of a HAMT node; nil means absent
	HasSize    bool        // whether Size is recorded
	Size       uint64      // bytes of file in this node and all below
	BlockSizes []uint64    // of a file, per link: bytes of file below
	HashType   uint64      // TypeShard only
	Fanout     uint64      // TypeShard only
	Mode       fs.FileMode // of ModeMask; 0 means not recorded
	ModTime    time.Time   // zero means not recorded
}

// ModeMask is the bits of a mode that a node can record.
const ModeMask = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// WrapSizeMax is more than the bytes that dag-pb and UnixFS put around a leaf:
// tags and lengths, two sizes, mode and mtime.
const WrapSizeMax = 64

// Decode reads a node, whose Data shares memory with b. It fails with a
// *CodecError on what is not dag-pb, raw blocks among it, and with a
// *FormatError on what cannot be decoded.
func Decode(b block.Block) (Node, error) {
	if b.Cid().Type() != cid.DagProtobuf {
		return Node{}, &CodecError{Cid: b.Cid()}
	}
	var n Node
	links, data, err := decodePB(b.RawData())
	if err == nil {
		n, err = decodeMessage(data)
	}
	if err != nil {
		return Node{}, &FormatError{Cid: b.Cid(), What: err.Error()}
	}
	n.Links = links
	return n, nil
}

// Encode returns the bytes of the dag-pb block. It sorts n.Links by name, as
// the canonical form demands; links of the same name, such as the nameless ones
// of a file, keep their order.
func (n *Node) Encode() []byte { return encodePB(n.Links, n.message()) }

// EncodedSize is the number of bytes that Encode returns.
func (n *Node) EncodedSize() int { return sizePB(n.Links, len(n.message())) }

// Tsize is the bytes of a node, whose block has size of them, and of all that is
// below it. It is saturated, so that liars cannot make it wrap.
func (n *Node) Tsize(size int) uint64 {
	sum := uint64(size)
	for i := range n.Links {
		below := n.Links[i].Tsize
		if below > SizeMax || sum > SizeMax {
			return SizeMax
		}
		sum += below
	}
	return sum
}
