package build

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// Profile is every choice that decides which CID a file or directory gets. Two
// builders with the same profile give the same CID. The zero Profile means
// V1_2025.
type Profile struct {
	Name        string
	V0          bool // CIDv0 and leaves wrapped in dag-pb; else CIDv1 and raw leaves
	ChunkSize   int  // bytes of file in a leaf
	LinksMax    int  // children of a file node
	ShardSize   int  // a directory estimated at more bytes than this is sharded
	ShardFanout int  // children of a HAMT node, a power of two
	// ShardByLinks estimates a directory by its names and CIDs alone, as Kubo
	// did until 0.39; else its size is that of the block it would make.
	ShardByLinks bool
}

// The profiles of IPIP-499.
var (
	V1_2025 = Profile{
		Name: "unixfs-v1-2025", ChunkSize: 1 << 20, LinksMax: 1024,
		ShardSize: 256 << 10, ShardFanout: 256,
	}
	V0_2015 = Profile{
		Name: "unixfs-v0-2015", V0: true, ChunkSize: 256 << 10, LinksMax: 174,
		ShardSize: 256 << 10, ShardFanout: 256, ShardByLinks: true,
	}
)

// ProfileByName finds a profile by its name, with or without "unixfs-".
func ProfileByName(name string) (Profile, error) {
	for _, p := range []Profile{V1_2025, V0_2015} {
		if name == p.Name || "unixfs-"+name == p.Name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unixfs profile %q is unknown (there are %s and %s)", name, V1_2025.Name, V0_2015.Name)
}

func (p Profile) orDefault() Profile {
	if p == (Profile{}) {
		return V1_2025
	}
	return p
}

func (p Profile) check() error {
	switch {
	case p.ChunkSize < 1 || p.ChunkSize > block.SizeMax-codec.WrapSizeMax:
		return fmt.Errorf("unixfs profile: chunk size %d is out of range", p.ChunkSize)
	case p.LinksMax < 2 || p.LinksMax > 1<<13:
		return fmt.Errorf("unixfs profile: %d links per node is out of range", p.LinksMax)
	case p.ShardSize < 1 || p.ShardSize > block.SizeMax/2:
		return fmt.Errorf("unixfs profile: shard size %d is out of range", p.ShardSize)
	}
	return nil
}

// node is the prefix of nodes, leaf that of raw chunks.
func (p Profile) node() block.Prefix { return block.Prefix{Codec: cid.DagProtobuf, V0: p.V0} }
func (p Profile) leaf() block.Prefix { return block.Prefix{Codec: cid.Raw} }
