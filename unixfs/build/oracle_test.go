package build_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	mdtest "github.com/ipfs/boxo/ipld/merkledag/test"
	"github.com/ipfs/boxo/ipld/unixfs/hamt"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// Every fanout: the same CIDs as boxo's HAMT.
func TestShardsEqualBoxos(t *testing.T) {
	ctx := context.Background()
	leaf := merkledag.NewRawNode(nil)
	for fanout := 8; fanout <= 1024; fanout *= 2 {
		for _, n := range []int{1, 2, 10, 300, 3000} {
			dag := mdtest.Mock()
			if err := dag.Add(ctx, leaf); err != nil {
				t.Fatal(err)
			}
			theirs := must[*hamt.Shard](t)(hamt.NewShard(dag, fanout))
			theirs.SetCidBuilder(cid.V1Builder{Codec: cid.DagProtobuf, MhType: 0x12})
			p := build.V1_2025
			p.ShardSize, p.ShardFanout = 1, fanout
			tree := build.NewTree(discard{}, build.Options{Profile: p})
			for i := range n {
				name := fmt.Sprint("entry ", i)
				if err := theirs.SetLink(ctx, name, &ipld.Link{Cid: leaf.Cid()}); err != nil {
					t.Fatal(err)
				}
				if err := tree.Add(name, unixfs.Link{Cid: leaf.Cid()}); err != nil {
					t.Fatal(err)
				}
			}
			want := must[ipld.Node](t)(theirs.Node())
			if got := must[unixfs.Link](t)(tree.Finish(ctx, nil)); !got.Cid.Equals(want.Cid()) {
				t.Errorf("fanout %d, %d entries: %s, boxo has %s", fanout, n, got.Cid, want.Cid())
			}
		}
	}
}
