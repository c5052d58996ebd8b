package unixfs_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	mdtest "github.com/ipfs/boxo/ipld/merkledag/test"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	"github.com/ipfs/boxo/ipld/unixfs/importer/trickle"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// boxo is the libraries of Kubo as a store of ours.
type boxo struct{ dag ipld.DAGService }

func newBoxo() boxo { return boxo{mdtest.Mock()} }

func (s boxo) Put(ctx context.Context, blocks ...block.Block) error {
	for _, b := range blocks {
		var n ipld.Node
		var err error
		if b.Cid().Type() == cid.Raw {
			n, err = merkledag.DecodeRawBlock(b)
		} else {
			n, err = merkledag.DecodeProtobufBlock(b)
		}
		if err == nil {
			err = s.dag.Add(ctx, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s boxo) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	n, err := s.dag.Get(ctx, c)
	if err != nil {
		return block.Block{}, err
	}
	return block.Verify(c, n.RawData())
}

func TestBoxoReadsOurs(t *testing.T) {
	ctx := context.Background()
	for _, p := range []build.Profile{build.V1_2025, build.V0_2015, tiny()} {
		s, m := newBoxo(), newMemory()
		root, _ := forest(t, m, p)
		for _, b := range m.m {
			if err := s.Put(ctx, b); err != nil {
				t.Fatal(err)
			}
		}
		w := unixfs.NewWalker(ctx, m, root.Cid, unixfs.WalkOptions{})
		defer w.Close()
		dirs := map[string]map[string]cid.Cid{}
		for {
			e, err := w.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n := must[ipld.Node](t)(s.dag.Get(ctx, e.Cid))
			if size := must[uint64](t)(n.Size()); size != e.Tsize {
				t.Errorf("%s: Tsize %d, boxo says %d", e.Path, e.Tsize, size)
			}
			if e.Type == unixfs.TypeFile {
				r := must[uio.DagReader](t)(uio.NewDagReader(ctx, n, s.dag))
				if !bytes.Equal(must[[]byte](t)(io.ReadAll(r)), must[[]byte](t)(io.ReadAll(w))) {
					t.Errorf("%s: boxo reads other bytes", e.Path)
				}
			}
			if e.Type == unixfs.TypeDir {
				dirs[e.Path] = map[string]cid.Cid{}
				d := must[uio.Directory](t)(uio.NewDirectoryFromNode(s.dag, n))
				for _, l := range must[[]*ipld.Link](t)(d.Links(ctx)) {
					dirs[e.Path][l.Name] = l.Cid
				}
			}
			if e.Path != "" {
				dir, name := "", e.Path
				if i := bytes.LastIndexByte([]byte(name), '/'); i >= 0 {
					dir, name = name[:i], name[i+1:]
				}
				if !dirs[dir][name].Equals(e.Cid) {
					t.Errorf("%s: boxo has %v", e.Path, dirs[dir][name])
				}
				delete(dirs[dir], name)
			}
		}
		for path, rest := range dirs {
			if len(rest) > 0 {
				t.Errorf("%s: boxo has more: %v", path, rest)
			}
		}
	}
}

// Files by boxo, in layouts that we do not write ourselves too.
func TestWeReadBoxosFiles(t *testing.T) {
	ctx := context.Background()
	for _, trickled := range []bool{false, true} {
		for _, raw := range []bool{false, true} {
			for _, size := range []int{0, 1, 99, 100, 101, 1000, 12345} {
				s := newBoxo()
				params := helpers.DagBuilderParams{Maxlinks: 3, RawLeaves: raw, Dagserv: s.dag, CidBuilder: cid.V1Builder{Codec: cid.DagProtobuf, MhType: 0x12}}
				db := must[*helpers.DagBuilderHelper](t)(params.New(chunk.NewSizeSplitter(content(size), 100)))
				layout := balanced.Layout
				if trickled {
					layout = trickle.Layout
				}
				root := must[ipld.Node](t)(layout(db))
				f := must[*unixfs.File](t)(unixfs.Open(ctx, s, root.Cid()))
				want := must[[]byte](t)(io.ReadAll(content(size)))
				if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
					t.Errorf("trickle %v, raw %v, size %d: %d bytes, %v", trickled, raw, size, len(got), err)
				}
				f.Close()
				if p := tiny(); !trickled && raw {
					if l := must[unixfs.Link](t)(build.File(ctx, discard{}, content(size), build.Options{Profile: p})); !l.Cid.Equals(root.Cid()) {
						t.Errorf("size %d: we build %s, boxo %s", size, l.Cid, root.Cid())
					}
				}
			}
		}
	}
}
