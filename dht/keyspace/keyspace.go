// Package keyspace is the geometry of Kademlia: keys of 256 bits and the XOR
// distance between them.
//
// It is not a routing table and sends nothing; it answers which of the peers
// that are known lie nearest to a key, and how much of the key space a finished
// lookup has proven to know.
//
// Invariant: Region.Nearest never returns a peer while a nearer one could be
// unknown among the first Exact results.
//
// Source: Maymounkov and Mazières, "Kademlia: A Peer-to-peer Information System
// Based on the XOR Metric", 2002; libp2p's kad-dht specification for the hash.
package keyspace

import (
	"bytes"
	"crypto/sha256"
	"math/bits"
	"slices"
)

// Size is the length of a Key in bytes.
const Size = sha256.Size

// Key is a point in the key space: the sha2-256 of a peer ID or a multihash.
type Key [Size]byte

// Of is where the bytes of a peer ID or of a multihash lie.
func Of(id []byte) Key { return sha256.Sum256(id) }

// CommonPrefixLen is how many leading bits a and b share, 256 when equal.
func CommonPrefixLen(a, b Key) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return i*8 + bits.LeadingZeros8(x)
		}
	}
	return Size * 8
}

// CompareDistance says whether a (negative) or b (positive) is nearer to target.
func CompareDistance(target, a, b Key) int {
	for i := range target {
		if x, y := a[i]^target[i], b[i]^target[i]; x != y {
			return int(x) - int(y)
		}
	}
	return 0
}

// Compare orders keys as numbers, so that neighbours share long prefixes.
func Compare(a, b Key) int { return bytes.Compare(a[:], b[:]) }

// Region is what one finished lookup has learned: the peers nearest to its
// target. Because they are all the peers at least as near as the farthest of
// them, they are also the whole population of every subtree around the target
// that does not contain that farthest peer.
type Region struct {
	target Key
	peers  []Key
	whole  bool // the peers are all the peers there are
	edge   int  // shortest prefix that the target shares with any peer
}

// NewRegion describes a lookup for target that asked for count peers and found
// the given ones. Fewer peers than asked for means that there are no others.
func NewRegion(target Key, peers []Key, count int) Region {
	edge := Size * 8
	for _, p := range peers {
		edge = min(edge, CommonPrefixLen(target, p))
	}
	return Region{target: target, peers: peers, whole: len(peers) < count, edge: edge}
}

// Exact is how many of the peers nearest to key are known for certain: key and
// target share a subtree, and when the region's farthest peer lies outside of
// it every peer inside is known.
func (r Region) Exact(key Key) int {
	if r.whole {
		return len(r.peers)
	}
	depth := CommonPrefixLen(r.target, key)
	if depth <= r.edge {
		return 0
	}
	n := 0
	for _, p := range r.peers {
		if CommonPrefixLen(r.target, p) >= depth {
			n++
		}
	}
	return n
}

// Nearest lists the indices of the region's peers, the nearest to key first.
func (r Region) Nearest(key Key) []int {
	order := make([]int, len(r.peers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return CompareDistance(key, r.peers[i], r.peers[j])
	})
	return order
}
