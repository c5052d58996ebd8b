package skeleton_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/exchange/skeleton"
)

// named is a CID that stands for the text.
func named(t testing.TB, text string, codec uint64) cid.Cid {
	t.Helper()
	h, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(codec, h)
}

// dag says which links a node has; what is not in it is a leaf.
type dag map[cid.Cid][]cid.Cid

// walk tells w what d holds, and returns the order of the nodes.
func (d dag) walk(t testing.TB, w *skeleton.Walk) (order []cid.Cid) {
	t.Helper()
	for c, ok := w.Next(); ok; c, ok = w.Next() {
		err := w.Leaf
		if links, node := d[c]; node {
			order = append(order, c)
			err = func() error { return w.Node(100, links) }
		}
		if err := err(); err != nil {
			t.Fatal(err)
		}
	}
	return order
}

// TestOrder: breadth first, links as they stand, nothing twice, raw leaves and those
// that have links in their codec alike.
func TestOrder(t *testing.T) {
	node := func(s string) cid.Cid { return named(t, s, cid.DagProtobuf) }
	raw := func(s string) cid.Cid { return named(t, s, cid.Raw) }
	inline, err := multihash.Encode([]byte("x"), multihash.IDENTITY)
	if err != nil {
		t.Fatal(err)
	}
	d := dag{
		node("root"): {node("b"), raw("1"), node("a"), cid.NewCidV1(cid.Raw, inline)},
		node("a"):    {raw("1"), raw("2"), node("c")},
		node("b"):    {node("c"), node("leaf"), raw("3")},
		node("c"):    {raw("4"), node("root")},
	}
	w := skeleton.New(node("root"))
	if got, want := d.walk(t, w), []cid.Cid{node("root"), node("b"), node("a"), node("c")}; !slices.Equal(got, want) {
		t.Errorf("nodes %v, want %v", got, want)
	}
	if want := []cid.Cid{raw("1"), node("leaf"), raw("3"), raw("2"), raw("4")}; !slices.Equal(w.Leaves(), want) {
		t.Errorf("leaves %v, want %v", w.Leaves(), want)
	}
	if w.Nodes() != 4 || w.Size() != 400 {
		t.Errorf("%d nodes of %d bytes", w.Nodes(), w.Size())
	}
	w = skeleton.New(node("root"), node("b"), raw("2"))
	d.walk(t, w)
	if want := []cid.Cid{raw("1"), raw("4")}; !slices.Equal(w.Leaves(), want) {
		t.Errorf("leaves %v, want %v", w.Leaves(), want)
	}
	if w = skeleton.New(raw("alone")); len(d.walk(t, w)) != 0 || len(w.Leaves()) != 1 {
		t.Errorf("a raw root has the leaves %v", w.Leaves())
	}
	if err := w.Leaf(); err == nil {
		t.Error("a leaf beyond the end")
	}
	if err := w.Node(1, nil); err == nil {
		t.Error("a node beyond the end")
	}
}

// TestRandom walks random DAGs: every block once, and twice the same.
func TestRandom(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d, all := make(dag), []cid.Cid{named(t, "leaf", cid.Raw)}
		for i := range 1 + rng.IntN(3000) {
			if name := fmt.Sprint(seed, i); rng.IntN(4) > 0 {
				all = append(all, named(t, name, []uint64{cid.Raw, cid.DagProtobuf}[rng.IntN(2)]))
				continue
			}
			c := named(t, fmt.Sprint("node", seed, i), cid.DagCBOR)
			for range 1 + rng.IntN(20) {
				d[c] = append(d[c], all[max(0, len(all)-1-rng.IntN(100))])
			}
			all = append(all, c)
		}
		root := named(t, "root", cid.DagProtobuf)
		d[root] = all
		w, again := skeleton.New(root), skeleton.New(root)
		nodes := d.walk(t, w)
		if got := d.walk(t, again); !slices.Equal(got, nodes) || !slices.Equal(again.Leaves(), w.Leaves()) {
			t.Fatalf("seed %d: two walks differ", seed)
		}
		met := make(map[cid.Cid]bool)
		for _, c := range slices.Concat(nodes, w.Leaves()) {
			if met[c] {
				t.Fatalf("seed %d: %s twice", seed, c)
			}
			met[c] = true
		}
		if len(met) != len(all)+1 {
			t.Fatalf("seed %d: %d of %d blocks", seed, len(met), len(all)+1)
		}
	}
}

// TestLimits: a DAG without end is given up at the limits, whatever its shape.
func TestLimits(t *testing.T) {
	number := uint64(0)
	next := func(codec uint64) cid.Cid {
		number++
		digest := make([]byte, 32)
		binary.LittleEndian.PutUint64(digest, number)
		h, err := multihash.Encode(digest, multihash.SHA2_256)
		if err != nil {
			t.Fatal(err)
		}
		return cid.NewCidV1(codec, h)
	}
	many := func(codec uint64, n int) (list []cid.Cid) {
		for range n {
			list = append(list, next(codec))
		}
		return list
	}
	for name, tell := range map[string]func(w *skeleton.Walk) error{
		"nodes":  func(w *skeleton.Walk) error { return w.Node(10, many(cid.DagProtobuf, 2)) },
		"bytes":  func(w *skeleton.Walk) error { return w.Node(2<<20, many(cid.DagProtobuf, 1)) },
		"leaves": func(w *skeleton.Walk) error { return w.Node(10, append(many(cid.Raw, 50_000), next(cid.DagProtobuf))) },
		"width":  func(w *skeleton.Walk) error { return w.Node(10, many(cid.DagProtobuf, 50_000)) },
	} {
		w := skeleton.New(next(cid.DagProtobuf))
		var err error
		for range skeleton.NodesMax + 1 {
			if c, ok := w.Next(); ok && c.Type() == cid.Raw {
				err = w.Leaf()
			} else if err == nil {
				err = tell(w)
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, skeleton.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Example walks the DAG of a directory with two files, one of which is in it twice.
func Example() {
	c := func(s string) cid.Cid {
		c, err := cid.Decode(s)
		if err != nil {
			panic(err)
		}
		return c
	}
	dir := c("bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354")
	photo, note := c("bafkreiff5xq364vclk4demhcrpydrq5f4i4yyo4f75qljha4mdpyrcr5ey"), c("bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
	w := skeleton.New(dir)
	if next, ok := w.Next(); ok && next == dir { // from a store, or a peer
		if err := w.Node(150, []cid.Cid{photo, note, photo}); err != nil {
			panic(err)
		}
	}
	_, more := w.Next()
	fmt.Println(more, len(w.Leaves()), w.Leaves()[1] == note)
	// Output: false 2 true
}
