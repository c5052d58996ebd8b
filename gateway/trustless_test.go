package gateway_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/ipld/go-car/v2"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

// readCAR returns the blocks of a CAR in order, each verified, and the error
// that reading ended with, nil at the end of a whole CAR.
func readCAR(t *testing.T, data []byte) (roots []cid.Cid, blocks []cid.Cid, err error) {
	t.Helper()
	r, err := car.NewBlockReader(bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Roots, blocks, nil
		}
		if err != nil {
			return r.Roots, blocks, err
		}
		if _, err := block.Verify(b.Cid(), b.RawData()); err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b.Cid())
	}
}

func TestRaw(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(5000), 1000, true)
	dir := d.directory(map[string]ipld.Node{"f": f})
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	for _, target := range []string{"/ipfs/" + f.Cid().String(), "/ipfs/" + dir.Cid().String() + "/f"} {
		for _, headers := range [][]string{{"Accept: application/vnd.ipld.raw"}, {}} {
			query := ""
			if len(headers) == 0 {
				query = "?format=raw"
			}
			a := s.get(target+query, headers...).want(t, 200, "Content-Type: application/vnd.ipld.raw", immutable,
				"Etag: \""+f.Cid().String()+".raw\"", "X-Content-Type-Options: nosniff")
			if _, err := block.Verify(f.Cid(), a.body); err != nil {
				t.Error(err)
			}
		}
	}
	s.get("/ipfs/"+f.Cid().String()+"?format=dag-json").want(t, 406)
	s.get("/ipfs/"+f.Cid().String()+"?format=raw", "If-None-Match: \""+f.Cid().String()+".raw\"").want(t, 304)
}

func TestCAR(t *testing.T) {
	d := newDAG(t)
	data := noise(8000)
	f := d.file(data, 1000, true) // 8 leaves under 2 nodes under the root
	other := d.file([]byte("other"), 100, true)
	sub := d.directory(map[string]ipld.Node{"f": f, "f2": f})
	root := d.directory(map[string]ipld.Node{"sub": sub, "other": other})
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	base := "/ipfs/" + root.Cid().String()
	for _, c := range []struct {
		target string
		root   cid.Cid
		blocks int
	}{
		{base + "?format=car", root.Cid(), 1 + 1 + 11 + 1},
		{base + "?format=car&car-dups=y", root.Cid(), 1 + 1 + 22 + 1},
		{base + "?format=car&dag-scope=block", root.Cid(), 1},
		{base + "?format=car&dag-scope=entity", root.Cid(), 1},
		{base + "/sub/f?format=car", f.Cid(), 2 + 11},
		{base + "/sub/f?format=car&dag-scope=block", f.Cid(), 2 + 1},
		{base + "/sub/f?format=car&dag-scope=entity", f.Cid(), 2 + 11},
		{base + "/sub/f?format=car&dag-scope=entity&entity-bytes=0:999", f.Cid(), 2 + 1 + 1 + 1},
		{base + "/sub/f?format=car&dag-scope=entity&entity-bytes=-1000:*", f.Cid(), 2 + 1 + 1 + 1},
	} {
		a := s.get(c.target).want(t, 200, "Content-Type: application/vnd.ipld.car; version=1; order=dfs; dups="+dups(c.target),
			"Accept-Ranges: none", immutable, "X-Stream-Error")
		roots, blocks, err := readCAR(t, a.body)
		if err != nil || a.err != nil || len(roots) != 1 || roots[0] != c.root || len(blocks) != c.blocks {
			t.Errorf("%s: roots %v, %d blocks, errors %v %v; want %v and %d blocks", c.target, roots, len(blocks), err, a.err, c.root, c.blocks)
		}
		if blocks[0] != root.Cid() {
			t.Errorf("%s: first block is %v", c.target, blocks[0])
		}
	}
	a := s.get(base+"/none?format=car").want(t, 200) // proves that there is none
	if _, blocks, err := readCAR(t, a.body); err != nil || len(blocks) != 1 {
		t.Errorf("proof of absence: %d blocks, error %v", len(blocks), err)
	}
	s.get(base+"?format=car&dag-scope=nonsense").want(t, 400)
	s.get(base+"?format=car&dag-scope=entity&entity-bytes=nonsense").want(t, 400)
	etag := s.get(base + "?format=car").Header.Get("Etag")
	s.get(base+"?format=car", "If-None-Match: "+etag).want(t, 304)
	s.do(http.MethodHead, base+"?format=car").want(t, 200)
}

func dups(target string) string {
	if bytes.Contains([]byte(target), []byte("dups=y")) {
		return "y"
	}
	return "n"
}

func TestTruncatedCAR(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(8000), 1000, true)
	local := d.memory()
	leaf := f.Links()[1].Cid
	local.delete(leaf)
	s := newSite(t, always(missing("no providers")), local, gateway.Options{})
	a := s.get("/ipfs/"+f.Cid().String()+"?format=car").want(t, 200).wantBroken(t)
	if _, blocks, err := readCAR(t, a.body); err == nil {
		t.Errorf("a CAR cut after %d blocks reads as if it were whole", len(blocks))
	}
	s.get("/ipfs/"+f.Cid().String()+"?format=tar").want(t, 200).wantBroken(t)
	s.get("/ipfs/"+leaf.String()+"?format=car").want(t, 504).wantText(t, "no providers", leaf.String())
	s.get("/ipfs/"+leaf.String()+"?format=tar").want(t, 504).wantText(t, "no providers")
	s.get("/ipfs/"+leaf.String()+"?format=raw").want(t, 504, "Etag").wantText(t, "no providers")
}

// TestStreamLimit serves a small DAG whose CAR with duplicates is without end.
func TestStreamLimit(t *testing.T) {
	d := newDAG(t)
	n := d.directory(map[string]ipld.Node{"a": d.file([]byte("x"), 10, true)})
	for range 40 {
		n = d.directory(map[string]ipld.Node{"a": n, "b": n})
	}
	s := newSite(t, always(missing("no providers")), d.memory(), gateway.Options{StreamBlocksMax: 1000, StreamSizeMax: 1 << 20})
	target := "/ipfs/" + n.Cid().String()
	a := s.get(target+"?format=car&car-dups=y").want(t, 200).wantBroken(t)
	if _, blocks, err := readCAR(t, a.body); err == nil || len(blocks) > 1000 {
		t.Errorf("%d blocks, error %v", len(blocks), err)
	}
	s.get(target+"?format=tar").want(t, 200).wantBroken(t)
	if a := s.get(target+"?format=car").want(t, 200); a.err != nil {
		t.Errorf("each block once: %v", a.err)
	}
}

// TestDepthLimit serves a chain that is longer than any file is deep.
func TestDepthLimit(t *testing.T) {
	d := newDAG(t)
	n := d.directory(nil)
	for range 300 {
		n = d.directory(map[string]ipld.Node{"a": n})
	}
	s := newSite(t, always(missing("no providers")), d.memory(), gateway.Options{})
	s.get("/ipfs/"+n.Cid().String()+"?format=car").want(t, 200).wantBroken(t)
}

func TestTAR(t *testing.T) {
	d := newDAG(t)
	data := noise(3000)
	root := d.directory(map[string]ipld.Node{"f": d.file(data, 1000, true)})
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	a := s.get("/ipfs/"+root.Cid().String(), "Accept: application/x-tar").want(t, 200, "Content-Type: application/x-tar")
	r := tar.NewReader(bytes.NewReader(a.body))
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if got, err := io.ReadAll(r); err != nil || h.Typeflag == tar.TypeReg && !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, error %v", h.Name, len(got), err)
		}
	}
	if len(names) != 2 {
		t.Errorf("entries %v", names)
	}
}

func TestCodecs(t *testing.T) {
	d := newDAG(t)
	js := d.block([]byte(`{"a":{"b":1}}`), cid.DagJSON)
	cb := d.block([]byte{0xa1, 0x61, 'a', 0x01}, cid.DagCBOR)
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	s.get("/ipfs/"+js.String()).want(t, 200, "Content-Type: application/vnd.ipld.dag-json").wantBody(t, []byte(`{"a":{"b":1}}`))
	s.get("/ipfs/"+js.String()+"?format=dag-json").want(t, 200, "Content-Type: application/vnd.ipld.dag-json")
	s.get("/ipfs/"+js.String()+"?format=dag-cbor").want(t, 406)
	s.get("/ipfs/"+cb.String(), "Accept: application/vnd.ipld.dag-cbor").want(t, 200, "Content-Type: application/vnd.ipld.dag-cbor").wantBody(t, []byte{0xa1, 0x61, 'a', 0x01})
	s.get("/ipfs/"+js.String()+"/", "Accept: text/html").want(t, 200, "Content-Type: text/html")
}
