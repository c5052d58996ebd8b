package codec_test

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

func Example() {
	dir := codec.Node{Type: codec.TypeDir, Links: []codec.Link{
		{Name: "b.txt", Cid: cid.MustParse("bafkreiajzj7e5ktorlu4putbczyssgciqnse2b67xj6l7pcmrixaqnqnlm"), Tsize: 12},
		{Name: "a.txt", Cid: cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"), Tsize: 0},
	}}
	b, err := block.New(dir.Encode(), block.Prefix{Codec: cid.DagProtobuf})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Size(), "bytes, with all below", dir.Tsize(b.Size()))

	n, err := codec.Decode(b)
	fmt.Println(n.Type == codec.TypeDir, err)
	for _, l := range n.Links {
		fmt.Println(l.Name, l.Cid)
	}
	// Output:
	// 102 bytes, with all below 114
	// true <nil>
	// a.txt bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
	// b.txt bafkreiajzj7e5ktorlu4putbczyssgciqnse2b67xj6l7pcmrixaqnqnlm
}
