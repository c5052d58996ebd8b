package index_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/blockstore/disk/index"
)

func Example() {
	dir, err := os.MkdirTemp("", "index-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	x, err := index.Open(dir, index.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}

	c := cid.MustParse("bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq")
	mh := string(c.Hash())
	at := index.Location{Segment: 1, Offset: 26, Header: 37, Size: 5, Version: c.Version(), Codec: c.Type()}
	end := index.Position{Segment: 1, Offset: at.Offset + at.SectionSize()}
	_, err = x.Update([]index.Change{{Multihash: mh, To: &at}}, &end) // durable when it returns
	if err != nil {
		fmt.Println(err)
	}
	l, found, err := x.Lookup(mh)
	fmt.Println(l.Segment, l.Offset, l.Size, found, err)

	// A listing that is not an error is complete.
	err = x.Each(func(e index.Entry) bool {
		fmt.Println(e.Cid())
		return true
	})
	fmt.Println(errors.Join(err, x.Close()))
	// Output:
	// 1 26 5 true <nil>
	// bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq
	// <nil>
}
