package gateway_test

import (
	"testing"

	ft "github.com/ipfs/boxo/ipld/unixfs"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/gateway"
)

// TestShortFileInArchive: an archive with a file that ends before the size that
// is in its header is broken off.
func TestShortFileInArchive(t *testing.T) {
	d := newDAG(t)
	leaf := d.file([]byte("x"), 100, true)
	u := ft.NewFSNode(ft.TFile)
	u.AddBlockSize(100)
	data, err := u.GetBytes()
	d.must(err)
	short := d.node(data, &ipld.Link{Cid: leaf.Cid()})
	dir := d.directory(map[string]ipld.Node{"a": leaf, "b": short, "c": leaf})
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	for _, n := range []ipld.Node{short, dir} {
		s.get("/ipfs/"+n.Cid().String()+"?format=tar").want(t, 200).wantBroken(t)
	}
	a := s.get("/ipfs/"+leaf.Cid().String()+"?format=tar").want(t, 200)
	if a.err != nil {
		t.Error(a.err)
	}
}
