package unixfs_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
	"github.com/p2pnode/p2pnode/unixfs/codec"
	"github.com/p2pnode/p2pnode/unixfs/shard"
)

func put(t testing.TB, m *memory, code uint64, data []byte) cid.Cid {
	t.Helper()
	b := must[block.Block](t)(block.New(data, block.Prefix{Codec: code}))
	m.Put(context.Background(), b)
	return b.Cid()
}

func putNode(t testing.TB, m *memory, n node, links ...codec.Link) cid.Cid {
	t.Helper()
	return put(t, m, cid.DagProtobuf, n.Encode(links...))
}

// drain reads all there is and returns the error.
func drain(m block.Getter, c cid.Cid, o unixfs.WalkOptions) (entries int, err error) {
	w := unixfs.NewWalker(context.Background(), m, c, o)
	defer w.Close()
	for {
		if _, err = w.Next(); err == nil {
			_, err = w.WriteTo(io.Discard)
		}
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		entries++
	}
}

func TestLiesAboutSizes(t *testing.T) {
	m := newMemory()
	leaf := codec.Link{Cid: put(t, m, cid.Raw, []byte("hello")), Tsize: 5}
	wrapped := codec.Link{Cid: putNode(t, m, node{Type: codec.TypeFile, Data: []byte("hello"), Size: 5}), Tsize: 13}
	file := func(size uint64, sizes ...uint64) node {
		return node{Type: codec.TypeFile, Size: size, BlockSizes: sizes}
	}
	for name, root := range map[string]cid.Cid{
		"leaf shorter than declared": putNode(t, m, file(6, 6), leaf),
		"leaf longer than declared":  putNode(t, m, file(4, 4), leaf),
		"node shorter than declared": putNode(t, m, file(6, 6), wrapped),
		"total too large":            putNode(t, m, file(11, 5, 5), leaf, leaf),
		"total too small":            putNode(t, m, file(9, 5, 5), leaf, leaf),
		"fewer sizes than links":     putNode(t, m, file(5, 5), leaf, leaf),
		"more sizes than links":      putNode(t, m, file(10, 5, 5), leaf),
		"sum overflows":              putNode(t, m, file(4, math.MaxUint64, 5), leaf, leaf),
		"data and size differ":       putNode(t, m, node{Type: codec.TypeFile, Data: []byte("abc"), Size: 4}),
		"metadata":                   putNode(t, m, node{Type: codec.TypeMetadata}),
		"a directory as part":        putNode(t, m, file(5, 5), codec.Link{Cid: putNode(t, m, node{Type: codec.TypeDir, NoSize: true})}),
		"symlink with links":         putNode(t, m, node{Type: codec.TypeSymlink, NoSize: true}, leaf),
		"not dag-pb":                 put(t, m, cid.DagProtobuf, []byte("hello")),
		"no UnixFS inside":           put(t, m, cid.DagProtobuf, nil),
	} {
		var bad *codec.FormatError
		if _, err := drain(m, root, unixfs.WalkOptions{}); !errors.As(err, &bad) || !bad.Cid.Defined() {
			t.Errorf("%s: Walker: %v", name, err)
		}
		f, err := unixfs.Open(context.Background(), m, root)
		if err == nil {
			_, err = f.WriteTo(io.Discard)
			f.Close()
		}
		var notFile *unixfs.NotFileError
		if !errors.As(err, &bad) && !errors.As(err, &notFile) {
			t.Errorf("%s: File: %v", name, err)
		}
	}
}

func TestUnknownCodec(t *testing.T) {
	m := newMemory()
	const dagJOSE = 0x85
	c := put(t, m, dagJOSE, []byte("hello"))
	root := putNode(t, m, node{Type: codec.TypeDir, NoSize: true}, codec.Link{Name: "x", Cid: c})
	var bad *codec.CodecError
	if _, err := drain(m, root, unixfs.WalkOptions{}); !errors.As(err, &bad) || !bad.Cid.Equals(c) {
		t.Errorf("Walker: %v", err)
	}
	if _, err := unixfs.Fetch(context.Background(), m, root, unixfs.FetchOptions{}); !errors.As(err, &bad) {
		t.Errorf("Fetch: %v", err)
	}
	if _, err := unixfs.Stat(context.Background(), m, c); !errors.As(err, &bad) {
		t.Errorf("Stat: %v", err)
	}
}

func TestNamesThatLeadOut(t *testing.T) {
	m := newMemory()
	leaf := put(t, m, cid.Raw, []byte("x"))
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "a\x00b", "../x"} {
		dir := node{Type: codec.TypeDir, NoSize: true}
		root := putNode(t, m, dir, codec.Link{Name: name, Cid: leaf}, codec.Link{Name: "fine", Cid: leaf, Tsize: 1})
		var bad *codec.FormatError
		if n, err := drain(m, root, unixfs.WalkOptions{}); !errors.As(err, &bad) || n != 1 {
			t.Errorf("%q: Walker: %d, %v", name, n, err)
		}
		var names []string
		for l, err := range unixfs.List(context.Background(), m, root) {
			names = append(names, l.Name)
			if (l.Name == "fine") != (err == nil) {
				t.Errorf("%q: List: %q, %v", name, l.Name, err)
			}
		}
		if name != "" && len(names) != 2 {
			t.Errorf("%q: List stops after %q", name, names)
		}
	}
	twice := putNode(t, m, node{Type: codec.TypeDir, NoSize: true},
		codec.Link{Name: "b", Cid: leaf}, codec.Link{Name: "a", Cid: leaf}, codec.Link{Name: "b", Cid: leaf})
	if n, err := drain(m, twice, unixfs.WalkOptions{}); err == nil || n != 3 {
		t.Errorf("a name twice: %d, %v", n, err)
	}
}

func TestBombs(t *testing.T) {
	m := newMemory()
	leaf := codec.Link{Cid: put(t, m, cid.Raw, make([]byte, 1000)), Tsize: 1000}
	// 2^60 bytes of file in 60 nodes.
	file, size := leaf, uint64(1000)
	for range 40 {
		n := node{Type: codec.TypeFile, Size: 2 * size, BlockSizes: []uint64{size, size}}
		file, size = codec.Link{Cid: putNode(t, m, n, file, file), Tsize: 2 * size}, 2*size
	}
	var limit *unixfs.LimitError
	if _, err := drain(m, file.Cid, unixfs.WalkOptions{BytesMax: 1 << 20}); !errors.As(err, &limit) {
		t.Errorf("file: %v", err)
	}
	if totals, err := unixfs.Fetch(context.Background(), m, file.Cid, unixfs.FetchOptions{}); err != nil || totals.Blocks != 41 {
		t.Errorf("fetch: %+v, %v", totals, err)
	}
	// A file deeper than sense, one byte wide.
	deep := codec.Link{Cid: put(t, m, cid.Raw, []byte("x")), Tsize: 1}
	for range unixfs.FileDepthMax + 1 {
		deep.Cid = putNode(t, m, node{Type: codec.TypeFile, Size: 1, BlockSizes: []uint64{1}}, deep)
	}
	var bad *codec.FormatError
	if _, err := drain(m, deep.Cid, unixfs.WalkOptions{}); !errors.As(err, &bad) {
		t.Errorf("deep file: %v", err)
	}
	// 10^30 directories in 30 blocks.
	dir := putNode(t, m, node{Type: codec.TypeDir, NoSize: true})
	for range 30 {
		var links []codec.Link
		for _, name := range strings.Split("abcdefghij", "") {
			links = append(links, codec.Link{Name: name, Cid: dir, Tsize: 100})
		}
		dir = putNode(t, m, node{Type: codec.TypeDir, NoSize: true}, links...)
	}
	if n, err := drain(m, dir, unixfs.WalkOptions{LinksMax: 10_000}); !errors.As(err, &limit) || n > 10_000 {
		t.Errorf("directories: %d, %v", n, err)
	}
	if totals, err := unixfs.Fetch(context.Background(), m, dir, unixfs.FetchOptions{}); err != nil || totals.Blocks != 31 {
		t.Errorf("fetch: %+v, %v", totals, err)
	}
	// A directory deeper than any path.
	dir = putNode(t, m, node{Type: codec.TypeDir, NoSize: true})
	for range unixfs.DirDepthMax + 1 {
		dir = putNode(t, m, node{Type: codec.TypeDir, NoSize: true}, codec.Link{Name: "d", Cid: dir})
	}
	if n, err := drain(m, dir, unixfs.WalkOptions{}); !errors.As(err, &bad) || n < 1000 {
		t.Errorf("deep directory: %d, %v", n, err)
	}
	long := strings.Repeat("n", unixfs.PathSizeMax)
	dir = putNode(t, m, node{Type: codec.TypeDir, NoSize: true}, codec.Link{Name: long, Cid: dir})
	dir = putNode(t, m, node{Type: codec.TypeDir, NoSize: true}, codec.Link{Name: "x", Cid: dir})
	if _, err := drain(m, dir, unixfs.WalkOptions{}); !errors.As(err, &bad) {
		t.Errorf("long path: %v", err)
	}
}

func TestShardsThatDoNotAddUp(t *testing.T) {
	m := newMemory()
	leaf := put(t, m, cid.Raw, []byte("x"))
	w := must[shard.Width](t)(shard.NewWidth(256))
	slot := w.Slot(shard.Hash("name"), 0)
	good := node{Type: codec.TypeShard, NoSize: true, Data: w.Field([]int{slot}), HashType: shard.HashCode, Fanout: 256}
	link := codec.Link{Name: w.Prefix(slot) + "name", Cid: leaf, Tsize: 1}
	if n, err := drain(m, putNode(t, m, good, link), unixfs.WalkOptions{}); err != nil || n != 2 {
		t.Fatalf("lawful node: %d, %v", n, err)
	}
	change := func(f func(*node)) node {
		n := good
		f(&n)
		return n
	}
	other := (slot + 1) % 256
	small := must[shard.Width](t)(shard.NewWidth(16))
	below := putNode(t, m, node{Type: codec.TypeShard, NoSize: true, Data: small.Field([]int{1}), HashType: shard.HashCode, Fanout: 16},
		codec.Link{Name: "1x", Cid: leaf})
	for name, root := range map[string]cid.Cid{
		"fanout 0":        putNode(t, m, change(func(n *node) { n.Fanout = 0 }), link),
		"fanout 7":        putNode(t, m, change(func(n *node) { n.Fanout = 7 }), link),
		"fanout 2^40":     putNode(t, m, change(func(n *node) { n.Fanout = 1 << 40 }), link),
		"other hash":      putNode(t, m, change(func(n *node) { n.HashType = 0x12 }), link),
		"empty bit field": putNode(t, m, change(func(n *node) { n.Data = nil }), link),
		"long bit field":  putNode(t, m, change(func(n *node) { n.Data = make([]byte, 1000) }), link),
		"too many bits":   putNode(t, m, change(func(n *node) { n.Data = w.Field([]int{slot, other}) }), link),
		"other bit":       putNode(t, m, change(func(n *node) { n.Data = w.Field([]int{other}) }), link),
		"no prefix":       putNode(t, m, good, codec.Link{Name: "", Cid: leaf}),
		"wrong slot": putNode(t, m, change(func(n *node) { n.Data = w.Field([]int{other}) }),
			codec.Link{Name: w.Prefix(other) + "name", Cid: leaf}),
		"a name that leads out": putNode(t, m, change(func(n *node) { n.Data = w.Field([]int{w.Slot(shard.Hash(".."), 0)}) }),
			codec.Link{Name: w.Prefix(w.Slot(shard.Hash(".."), 0)) + "..", Cid: leaf}),
		"a leaf as node":   putNode(t, m, good, codec.Link{Name: w.Prefix(slot), Cid: leaf}),
		"other width":      putNode(t, m, good, codec.Link{Name: w.Prefix(slot), Cid: below}),
		"a plain dir node": putNode(t, m, good, codec.Link{Name: w.Prefix(slot), Cid: putNode(t, m, node{Type: codec.TypeDir, NoSize: true})}),
	} {
		var bad *codec.FormatError
		if n, err := drain(m, root, unixfs.WalkOptions{}); !errors.As(err, &bad) || n > 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// A HAMT whose nodes all link to the same node below runs out of hash.
func TestShardBomb(t *testing.T) {
	m := newMemory()
	w := must[shard.Width](t)(shard.NewWidth(256))
	all := make([]int, 256)
	for i := range all {
		all[i] = i
	}
	n := node{Type: codec.TypeShard, NoSize: true, Data: w.Field(all), HashType: shard.HashCode, Fanout: 256}
	c := put(t, m, cid.Raw, []byte("x"))
	for range 20 {
		links := make([]codec.Link, 256)
		for i := range links {
			links[i] = codec.Link{Name: w.Prefix(i), Cid: c, Tsize: 20000}
		}
		c = putNode(t, m, n, links...)
	}
	var bad *codec.FormatError
	if _, err := drain(m, c, unixfs.WalkOptions{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), shard.ErrDepth.Error()) {
		t.Errorf("%v", err)
	}
	for range unixfs.List(context.Background(), m, c) {
		break
	}
}

// Blocks larger than their parents claim do not make the window grow.
func TestLiesAboutTsize(t *testing.T) {
	m := newMemory()
	tree := build.NewTree(m, build.Options{})
	for i := range 100 {
		l := must[unixfs.Link](t)(build.File(context.Background(), m, content(100_000+i), build.Options{}))
		l.Tsize = 1
		if err := tree.Add(l.Cid.String(), l); err != nil {
			t.Fatal(err)
		}
	}
	root := must[unixfs.Link](t)(tree.Finish(context.Background(), nil))
	w := unixfs.NewWalker(context.Background(), m, root.Cid, unixfs.WalkOptions{WindowBytes: 1 << 20})
	defer w.Close()
	n := 0
	readAll(t, w, func() {
		n++
		if _, size, _ := w.Usage(); size > 1<<20+100_100 {
			t.Errorf("%d bytes in the window", size)
		}
	})
	if n != 101 {
		t.Errorf("%d entries", n)
	}
}

// liar answers every Get with the same block.
type liar struct{ b block.Block }

func (l liar) Get(context.Context, cid.Cid) (block.Block, error) { return l.b, nil }

func TestGetterAnswersWithAnotherBlock(t *testing.T) {
	b := must[block.Block](t)(block.New([]byte("x"), block.Prefix{Codec: cid.Raw}))
	c := must[block.Block](t)(block.New([]byte("x"), block.Prefix{Codec: cid.DagProtobuf})).Cid()
	if _, err := drain(liar{b}, c, unixfs.WalkOptions{}); err == nil || !strings.Contains(err.Error(), "answered with") {
		t.Errorf("%v", err)
	}
}

// Blocks inside identity CIDs need no getter.
func TestInlineBlocks(t *testing.T) {
	m := newMemory()
	inline := must[cid.Cid](t)(cid.Prefix{Version: 1, Codec: cid.Raw, MhType: 0, MhLength: -1}.Sum([]byte("inline")))
	root := putNode(t, m, node{Type: codec.TypeDir, NoSize: true}, codec.Link{Name: "x", Cid: inline, Tsize: 6})
	if n, err := drain(m, root, unixfs.WalkOptions{}); n != 2 || err != nil {
		t.Errorf("Walker: %d, %v", n, err)
	}
	if totals, err := unixfs.Fetch(context.Background(), m, root, unixfs.FetchOptions{}); totals.Blocks != 2 || err != nil {
		t.Errorf("Fetch: %+v, %v", totals, err)
	}
}
