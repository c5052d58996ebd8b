package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/gateway"
)

// node makes a node of UnixFS data and links that need not fit it.
func (d *dag) node(unixfs []byte, links ...*ipld.Link) ipld.Node {
	d.t.Helper()
	n := &merkledag.ProtoNode{}
	d.must(n.SetCidBuilder(merkledag.V1CidPrefix()))
	for _, l := range links {
		d.must(n.AddRawLink(l.Name, l))
	}
	n.SetData(unixfs)
	d.must(d.Add(context.Background(), n))
	return n
}

// chain puts levels file nodes of one link each above n, a file of size bytes.
func (d *dag) chain(n ipld.Node, size uint64, levels int) ipld.Node {
	d.t.Helper()
	u := ft.NewFSNode(ft.TFile)
	u.AddBlockSize(size)
	data, err := u.GetBytes()
	d.must(err)
	for range levels {
		n = d.node(data, &ipld.Link{Cid: n.Cid(), Size: 100})
	}
	return n
}

const tooDeep = "nested deeper than this gateway reads"

// TestDeepFile asks for files whose nodes lie deeper inside each other than any
// builder makes them.
func TestDeepFile(t *testing.T) {
	d := newDAG(t)
	leaf := d.file([]byte("x"), 100, true)
	deep := d.chain(leaf, 1, 100_000)
	wide := d.repeat(leaf, 1, 2) // its second part is deep
	u := ft.NewFSNode(ft.TFile)
	u.AddBlockSize(2)
	u.AddBlockSize(1)
	unixfs, err := u.GetBytes()
	d.must(err)
	wide = d.node(unixfs, &ipld.Link{Cid: wide.Cid()}, &ipld.Link{Cid: deep.Cid()})
	dir := d.directory(map[string]ipld.Node{"f": deep, "f.bin": deep})
	most := d.chain(leaf, 1, 64)
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, target := range []string{deep.Cid().String(), dir.Cid().String() + "/f"} {
		target = "/ipfs/" + target
		s.get(target).want(t, 502, "Cache-Control: no-store").wantText(t, tooDeep)
		s.get(target, "Range: bytes=0-0").want(t, 502).wantText(t, tooDeep)
		s.get(target, "Cache-Control: only-if-cached").want(t, 502).wantText(t, tooDeep)
		s.do(http.MethodHead, target).want(t, 502)
		s.get(target+"?format=tar").want(t, 200).wantBroken(t)
		s.get(target+"?format=car").want(t, 200).wantBroken(t)
		s.get(target+"?format=raw").want(t, 200)
	}
	s.get("/ipfs/"+dir.Cid().String()+"/f.bin").want(t, 200).wantBroken(t)
	s.get("/ipfs/"+dir.Cid().String()+"?format=tar").want(t, 200).wantBroken(t)
	s.get("/ipfs/"+wide.Cid().String()).want(t, 502).wantText(t, tooDeep)
	runtime.ReadMemStats(&after)
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 64 { // 4 GiB without the limit
		t.Errorf("%d MiB were allocated", mib)
	}
	for _, query := range []string{"", "?format=tar", "?format=car"} {
		if a := s.get("/ipfs/"+most.Cid().String()+query).want(t, 200); a.err != nil {
			t.Errorf("64 levels %s: %v", query, a.err)
		}
	}
}

// TestDeepFileUnusual has nodes whose data comes before their links, which boxo
// reads as well.
func TestDeepFileUnusual(t *testing.T) {
	d := newDAG(t)
	c := d.file([]byte("x"), 100, true).Cid()
	for range 1000 {
		data := []byte{0x0a, 6, 0x08, 2, 0x18, 1, 0x20, 1}
		link := append(protowire.AppendBytes([]byte{0x0a}, c.Bytes()), 0x12, 0, 0x18, 1)
		c = d.block(protowire.AppendBytes(append(data, 0x12), link), cid.DagProtobuf)
	}
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	if a := s.get("/ipfs/" + c.String()); a.StatusCode != 502 {
		t.Errorf("status %d, body %q", a.StatusCode, a.body)
	}
}

// TestLargeNodes has nodes of 2 MiB inside each other, to be kept all at once.
func TestLargeNodes(t *testing.T) {
	d := newDAG(t)
	leaf := d.file([]byte("x"), 100, true)
	n := leaf
	for range 20 {
		u := ft.NewFSNode(ft.TFile)
		links := []*ipld.Link{{Cid: n.Cid()}}
		u.AddBlockSize(1)
		for range 40_000 {
			links = append(links, &ipld.Link{Cid: leaf.Cid()})
			u.AddBlockSize(0)
		}
		data, err := u.GetBytes()
		d.must(err)
		n = d.node(data, links...)
	}
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	s.get("/ipfs/"+n.Cid().String()).want(t, 502).wantText(t, "exceeds what this gateway serves")
}

// TestDeepDirectory archives directories inside each other, beyond any path.
func TestDeepDirectory(t *testing.T) {
	d := newDAG(t)
	n := d.directory(map[string]ipld.Node{})
	unixfs := n.(*merkledag.ProtoNode).Data()
	var ends []ipld.Node
	for depth := range 30_000 {
		n = d.node(unixfs, &ipld.Link{Name: "d", Cid: n.Cid()})
		if depth == 1000 {
			ends = append(ends, n)
		}
	}
	ends = append(ends, n)
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	if a := s.get("/ipfs/"+ends[0].Cid().String()+"?format=tar").want(t, 200); a.err != nil {
		t.Errorf("1001 levels: %v", a.err)
	}
	began := time.Now()
	if a := s.get("/ipfs/"+ends[1].Cid().String()+"?format=tar").want(t, 200).wantBroken(t); len(a.body) > 8<<20 {
		t.Errorf("%d bytes were sent", len(a.body))
	}
	s.get("/ipfs/"+ends[1].Cid().String()+"?format=car").want(t, 200).wantBroken(t)
	s.get("/ipfs/"+ends[1].Cid().String()+"/").want(t, 200).wantText(t, "?filename=d")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestShardBombs lists directories of shards that lead to each other without
// end, or that have more entries than there is time for.
func TestShardBombs(t *testing.T) {
	d := newDAG(t)
	leaf := d.file([]byte("x"), 100, true)
	shard := func(slots []int, prefix func(int) string, to ipld.Node) ipld.Node {
		field := make([]byte, 32)
		var links []*ipld.Link
		for _, slot := range slots {
			field[31-slot/8] |= 1 << (slot % 8)
			links = append(links, &ipld.Link{Name: prefix(slot), Cid: to.Cid()})
		}
		data, err := ft.HAMTShardData(bytes.TrimLeft(field, "\x00"), 256, 0x22)
		d.must(err)
		return d.node(data, links...)
	}
	inner := func(slot int) string { return fmt.Sprintf("%02X", slot) }
	entry := func(slot int) string { return fmt.Sprintf("%02Xname", slot) }
	deep := shard([]int{7}, entry, leaf)
	for range 20_000 {
		deep = shard([]int{7}, inner, deep)
	}
	all := slices.Collect(func(yield func(int) bool) {
		for i := range 256 {
			if !yield(i) {
				return
			}
		}
	})
	wide := shard(all, entry, leaf)
	for range 6 { // 2^56 entries in 7 blocks
		wide = shard(all, inner, wide)
	}
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{StreamBlocksMax: 10_000})
	for name, n := range map[string]ipld.Node{"deep": deep, "wide": wide} {
		for _, query := range []string{"/", "/x", "?format=tar", "?format=car"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			a := s.get("/ipfs/" + n.Cid().String() + query)
			runtime.ReadMemStats(&after)
			mib := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%s %s: %d, %d bytes, error %v, %v, %d MiB", name, query, a.StatusCode, len(a.body), a.err, time.Since(began), mib)
			if took := time.Since(began); took > 20*time.Second || mib > 1024 {
				t.Errorf("%s %s: took %v and %d MiB", name, query, took, mib)
			}
		}
	}
}
