package unixfs_test

import "github.com/p2pnode/p2pnode/unixfs/codec"

// node is a UnixFS node to attack with, lawful or not.
type node struct {
	Type       codec.Type
	Data       []byte
	Size       uint64
	NoSize     bool
	BlockSizes []uint64
	HashType   uint64
	Fanout     uint64
}

// Encode returns the node as a dag-pb block. The links keep their order.
func (n node) Encode(links ...codec.Link) []byte {
	body := codec.Node{
		Type: n.Type, Data: n.Data, Size: n.Size, HasSize: !n.NoSize,
		BlockSizes: n.BlockSizes, HashType: n.HashType, Fanout: n.Fanout,
	}
	empty := codec.Node{}
	out := []byte{}
	for _, l := range links {
		one := codec.Node{Links: []codec.Link{l}}
		enc := one.Encode()
		out = append(out, enc[:len(enc)-empty.EncodedSize()]...) // without the data
	}
	return append(out, body.Encode()...)
}
