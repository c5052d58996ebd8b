// Package keyspace is the geometry of Kademlia: keys of 256 bits and the XOR
// distance between them.
//
// It is not a routing table and sends nothing; it answers which of the peers
// that are known lie nearest to a key, and how much of the key space a finished
// lookup has proven to know.
//
// Invariant: the first Region.Exact results of Region.Nearest are the nearest of
// all peers of the network, the unknown ones included.
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
// target. They are all the peers at least as near as the farthest of them.
type Region struct {
	target Key
	peers  []Key
	whole  bool // the peers are all the peers there are
	edge   int  // bits that the target shares with the farthest peer
	inside int  // peers that share more
}

// NewRegion describes a lookup for target that asked for count peers and found
// the given ones. Fewer peers than asked for means that there are no others.
func NewRegion(target Key, peers []Key, count int) Region {
	r := Region{target: target, peers: peers, whole: len(peers) < count, edge: Size * 8}
	for _, p := range peers {
		r.edge = min(r.edge, CommonPrefixLen(target, p))
	}
	for _, p := range peers {
		if CommonPrefixLen(target, p) > r.edge {
			r.inside++
		}
	}
	return r
}

// Exact is how many of the first results of Nearest(key) are certain.
//
// The subtree of all keys that share more than edge bits with the target does
// not contain the farthest peer, so every peer in it is nearer to the target
// than that one, and known. If key lies in the subtree too, these peers are
// nearer to key than all outside of it.
func (r Region) Exact(key Key) int {
	switch {
	case r.whole || key == r.target:
		return len(r.peers)
	case CommonPrefixLen(r.target, key) > r.edge:
		return r.inside
	default:
		return 0
	}
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
