package blockstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

func TestMem(t *testing.T) {
	storetest.Run(t, func(*testing.T) blockstore.Store { return blockstore.NewMem() })
}

func ExampleMem() {
	s := blockstore.NewMem()
	b, _ := block.New([]byte("hello"), block.Prefix{Codec: cid.Raw})
	if err := s.Put(context.Background(), b); err != nil {
		fmt.Println(err)
	}
	got, err := s.Get(context.Background(), b.Cid())
	fmt.Println(string(got.RawData()), err)
	// Output: hello <nil>
}
