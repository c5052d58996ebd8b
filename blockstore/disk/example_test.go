package disk_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
)

func Example() {
	dir, err := os.MkdirTemp("", "blocks-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	s, err := disk.Open(dir, disk.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	b, _ := block.New([]byte("hello"), block.Prefix{Codec: cid.Raw})
	if err := s.Put(ctx, b); err != nil { // durable when it returns
		fmt.Println(err)
	}
	s.Close()

	s, err = disk.Open(dir, disk.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	got, err := s.Get(ctx, b.Cid())
	fmt.Println(got.Cid(), string(got.RawData()), err)
	// Output: bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq hello <nil>
}
