// Package shard is the arithmetic of HAMT directories: which child of which
// node an entry belongs to, given the hash of its name.
//
// A HAMT (hash array mapped trie) node has a fixed number of slots, its fanout.
// Each level takes the next log2(fanout) bits of the hash of a name as the slot;
// two names in one slot move down together until their hashes part. The block
// of a node lists only the slots in use: a bit field says which, and the name of
// each link starts with its slot in hexadecimal. A link of just that prefix
// leads to another node, a longer one is an entry.
//
// The package knows neither blocks nor codecs. Invariant: the place of a name
// depends on the set of names alone, not on the order in which they came.
//
// Source: https://specs.ipfs.tech/unixfs/#hamtdirectory.
package shard

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/spaolacci/murmur3"
)

// HashCode is the multihash code of murmur3-x64-64, the only hash in use.
const HashCode = 0x22

// A fanout is a power of two between these, as in boxo.
const (
	FanoutMin = 8
	FanoutMax = 1024
)

// hashBits is the length of that hash, which bounds the depth.
const hashBits = 64

var (
	// ErrFanout means a fanout that is not a power of two from 8 to 1024.
	ErrFanout = errors.New("fanout is not a power of two from 8 to 1024")
	// ErrDepth means names that no number of levels can part.
	ErrDepth = errors.New("sharded directory too deep")
	// ErrField means a bit field that does not fit the fanout or the links.
	ErrField = errors.New("bit field does not fit the node")
	// ErrName means a link name without the prefix that its slot demands.
	ErrName = errors.New("link name does not start with its slot")
)

// Hash returns the hash of an entry's name, whose highest bits come first.
func Hash(name string) uint64 { return murmur3.Sum64([]byte(name)) }

// Width describes the nodes of one HAMT.
type Width struct {
	Fanout int // slots of a node
	bits   int // of the hash that a level takes
	prefix int // hexadecimal digits that name a slot
}

// NewWidth checks fanout.
func NewWidth(fanout uint64) (Width, error) {
	if fanout < FanoutMin || fanout > FanoutMax || bits.OnesCount64(fanout) != 1 {
		return Width{}, ErrFanout
	}
	b := bits.TrailingZeros64(fanout)
	return Width{Fanout: int(fanout), bits: b, prefix: (b + 3) / 4}, nil
}

// Depth is the number of levels that the hash has bits for.
func (w Width) Depth() int { return hashBits / w.bits }

// Slot returns the slot of a hash at a level, the root's being 0.
func (w Width) Slot(hash uint64, level int) int {
	return int(hash >> (hashBits - w.bits*(level+1)) & uint64(w.Fanout-1))
}

// Share returns the bits of a hash that names below the given level agree on:
// the slots of the levels above it.
func (w Width) Share(hash uint64, level int) uint64 { return hash >> (hashBits - w.bits*level) }

// Extend adds the slot of one more level to shared bits.
func (w Width) Extend(share uint64, slot int) uint64 { return share<<w.bits | uint64(slot) }

// Prefix names a slot as links do.
func (w Width) Prefix(slot int) string { return fmt.Sprintf("%0*X", w.prefix, slot) }

// Cut splits the name of a link in the given slot: the rest is the name of an
// entry, or "" if the link leads to a node.
func (w Width) Cut(name string, slot int) (rest string, err error) {
	if len(name) < w.prefix || name[:w.prefix] != w.Prefix(slot) {
		return "", ErrName
	}
	return name[w.prefix:], nil
}

// Slots decodes a bit field: the slots in use, in order. There must be links of
// them. The field is a big-endian number whose bit n stands for slot n, written
// without its leading zero bytes.
func (w Width) Slots(field []byte, links int) ([]int, error) {
	if len(field) > w.Fanout/8 || links > w.Fanout {
		return nil, ErrField
	}
	slots := make([]int, 0, links)
	for i := range field {
		b := field[len(field)-1-i]
		for ; b != 0; b &= b - 1 {
			slots = append(slots, i*8+bits.TrailingZeros8(b))
		}
	}
	if len(slots) != links {
		return nil, ErrField
	}
	return slots, nil
}

// Field encodes slots, which Slots decodes.
func (w Width) Field(slots []int) []byte {
	field := make([]byte, w.Fanout/8)
	for _, s := range slots {
		field[len(field)-1-s/8] |= 1 << (s % 8)
	}
	for i, b := range field {
		if b != 0 {
			return field[i:]
		}
	}
	return nil
}
