package segment_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

func Example() {
	dir, err := os.MkdirTemp("", "segments-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	set, err := segment.List(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	w, err := set.Create(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	b, _ := block.New([]byte("hello"), block.Prefix{Codec: cid.Raw})
	if _, err := w.Append([]block.Block{b}); err != nil { // durable when it returns
		fmt.Println(err)
	}

	// After a crash, only what hashes to its CID is believed.
	res, err := set.Scan(context.Background(), 1, segment.HeaderSize, func(s segment.Section) error {
		fmt.Println(s.Cid, s.Offset, string(s.Data))
		return nil
	})
	fmt.Println(res.End == w.End(), err)
	// Output:
	// bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq 26 hello
	// true <nil>
}
