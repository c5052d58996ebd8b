package unixfs_test

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

const sample = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

// FuzzNode takes a block through everything that the walk does with it: files,
// directories, HAMT nodes.
func FuzzNode(f *testing.F) {
	leaf := codec.Link{Name: "00x", Cid: cid.MustParse(sample), Tsize: 5}
	f.Add(node{Type: 1, NoSize: true}.Encode(leaf))
	f.Add(node{Type: 2, Size: 5, BlockSizes: []uint64{5}}.Encode(leaf))
	f.Add(node{Type: 5, NoSize: true, Data: []byte{1}, HashType: 0x22, Fanout: 256}.Encode(leaf))
	f.Add(node{Type: 5, NoSize: true, Data: []byte{3}, HashType: 0x22, Fanout: 8}.Encode(leaf, leaf))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := block.New(data, block.Prefix{Codec: cid.DagProtobuf})
		if err != nil {
			return
		}
		if n, _ := unixfs.Grow(b); n > 3*len(data) {
			t.Errorf("%d children of %d bytes", n, len(data))
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{sample, "/ipfs/" + sample + "/a/b", "ipfs://" + sample + "/a%20b?x#y", sample + "/..", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := unixfs.ParsePath(s)
		if err != nil {
			return
		}
		if again, err := unixfs.ParsePath(p.String()); err != nil || again.String() != p.String() {
			t.Errorf("%q is %q, then %q, %v", s, p, again, err)
		}
	})
}
