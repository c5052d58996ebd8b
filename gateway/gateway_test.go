package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	mh "github.com/multiformats/go-multihash"
	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const immutable = "Cache-Control: public, max-age=29030400, immutable"

func TestFile(t *testing.T) {
	d := newDAG(t)
	data := noise(10_000)
	f := d.file(data, 1000, true)
	root := d.directory(map[string]ipld.Node{"big.bin": f}).Cid().String()
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	target := "/ipfs/" + root + "/big.bin"
	headers := []string{
		"Etag: \"" + f.Cid().String() + "\"",
		immutable,
		"X-Ipfs-Roots: " + root + "," + f.Cid().String(),
		"X-Ipfs-Path: " + target,
		"Ipfs-Uri: ipfs://" + root + "/big.bin",
		"Content-Type: application/octet-stream",
		"Content-Length: 10000",
		"Accept-Ranges: bytes",
		"X-Content-Type-Options: nosniff",
		"Access-Control-Allow-Origin: *",
		"Access-Control-Allow-Methods: GET,HEAD,OPTIONS",
		"Access-Control-Expose-Headers: Content-Length,Content-Range,Ipfs-Uri,X-Chunked-Output,X-Ipfs-Path,X-Ipfs-Roots,X-Stream-Output",
		"Content-Security-Policy: sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts",
		"Last-Modified",
	}
	s.get(target).want(t, 200, headers...).wantBody(t, data)
	s.do(http.MethodHead, target).want(t, 200, headers...).wantBody(t, nil)
	s.get(target, "If-None-Match: \""+f.Cid().String()+"\"").want(t, 304, headers[0], immutable).wantBody(t, nil)
	s.get(target, "If-None-Match: \"other\"").want(t, 200).wantBody(t, data)
	s.get(target+"?filename=a.txt&download=true").want(t, 200,
		"Content-Type: text/plain; charset=utf-8",
		"Content-Disposition: attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt")
	s.get("/ipfs/"+root+"/nothing").want(t, 404)
	s.get("/ipfs/"+root+"/big.bin/below").want(t, 404)
	s.get("/ipfs/nonsense").want(t, 400)
	s.get("/").want(t, 404)
	s.get("/ipfs/ipfs/"+root).want(t, 301, "Location: /ipfs/"+root)
}

func TestRange(t *testing.T) {
	d := newDAG(t)
	data := noise(10_000)
	for _, n := range []ipld.Node{d.file(data, 1000, true), d.file(data, 20_000, true)} {
		s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
		target := "/ipfs/" + n.Cid().String()
		for _, c := range []struct {
			ranges   string
			from, to int // of the bytes that come, to exclusive
		}{
			{"bytes=0-0", 0, 1}, {"bytes=999-1000", 999, 1001}, {"bytes=5000-", 5000, 10_000},
			{"bytes=-1", 9999, 10_000}, {"bytes=0-99999", 0, 10_000}, {"bytes=-20000", 0, 10_000},
		} {
			a := s.get(target, "Range: "+c.ranges).want(t, 206,
				fmt.Sprintf("Content-Range: bytes %d-%d/10000", c.from, c.to-1), fmt.Sprintf("Content-Length: %d", c.to-c.from))
			a.wantBody(t, data[c.from:c.to])
		}
		s.get(target, "Range: bytes=10000-").want(t, 416, "Content-Range: bytes */10000")
		s.get(target, "Range: bytes=nonsense").want(t, 400)
		s.get(target, "Range: bytes=0-1", "If-Range: \"x\"").want(t, 200).wantBody(t, data)
		s.get(target, "Range: bytes=0-1,5-6").want(t, 200, "Content-Range").wantBody(t, data)
	}
}

// TestQuickIsNotDifferent asks for everything twice: as a plain request, and as
// one that means the same but is not plain, so that boxo answers it.
func TestQuickIsNotDifferent(t *testing.T) {
	d := newDAG(t)
	entries := map[string]ipld.Node{
		"raw.bin": d.file(noise(5000), 10_000, true), "wrapped.txt": d.file([]byte("plain text"), 100, false),
		"page.html": d.file([]byte("<!DOCTYPE html><title>t</title>"), 100, true), "noext": d.file([]byte("%PDF-1.4 etc"), 100, true),
		"empty": d.file(nil, 100, false), "empty.raw": d.file(nil, 100, true), "a.svg": d.file([]byte("<svg/>"), 100, false),
		"big": d.file(noise(5000), 1000, false), "sp ace": d.file([]byte("x"), 100, true), "ü.txt": d.file([]byte("x"), 100, true),
		"html": d.file([]byte("<html><body>hello</body></html>"), 100, true),
	}
	entries["sharded"] = d.shards(entries)
	entries["sub"] = d.directory(map[string]ipld.Node{"deep.json": d.file([]byte(`{"a":1}`), 100, true), "index.html": entries["html"]})
	root := d.directory(entries)
	v0 := root.Copy().(interface {
		ipld.Node
		SetCidBuilder(cid.Builder) error
	})
	d.must(v0.SetCidBuilder(cid.V0Builder{}))
	d.must(d.Add(t.Context(), v0))
	hash, err := mh.Sum([]byte("long"), mh.SHA2_512, -1)
	d.must(err)
	long := cid.NewCidV1(cid.Raw, hash)
	longBlock, err := block.Verify(long, []byte("long"))
	d.must(err)
	d.must(d.store.Put(t.Context(), longBlock))
	base36, err := root.Cid().StringOfBase('k')
	d.must(err)
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{Hosts: []string{"example.com"}})
	targets := []string{"", "/", "/sub", "/sub/", "/sub/deep.json", "/sub/none", "/sub/../empty", "//sub", "/sub/deep.json/", "/%6eoext"}
	for name := range entries {
		if name == "sharded" {
			name = "sharded/noext" // boxo lists shards in no order
		}
		targets = append(targets, "/"+strings.ReplaceAll(name, " ", "%20"))
	}
	for _, host := range []string{"127.0.0.1:80", "[::1]:80", "[::1]", "localhost", "example.com:8080", root.Cid().String() + ".ipfs.localhost:8080", root.Cid().String() + ".ipfs.example.com", v0.Cid().String() + ".ipfs.localhost", long.String() + ".ipfs.localhost"} {
		for _, c := range []string{root.Cid().String(), v0.Cid().String(), base36, entries["noext"].Cid().String(), entries["empty"].Cid().String(), "bafkqaaa", long.String()} {
			for _, target := range targets {
				if !strings.Contains(host, ".ipfs.") {
					target = "/ipfs/" + c + target
				} else if !strings.HasPrefix(target, "/") {
					continue
				}
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					quick := s.do(method, target, "Host: "+host, "Accept: text/html,*/*;q=0.8")
					slow := s.do(method, target, "Host: "+host, "Accept: text/html,*/*;q=0.8", "Cache-Control: max-age=0")
					same(t, quick, slow)
				}
			}
		}
	}
}

func same(t *testing.T, quick, slow answer) {
	t.Helper()
	quick.Header.Del("Date")
	slow.Header.Del("Date")
	if quick.StatusCode != slow.StatusCode || string(quick.body) != string(slow.body) || fmt.Sprint(quick.Header) != fmt.Sprint(slow.Header) {
		t.Errorf("%s %s at %s: quick %d %v, slow %d %v", quick.Request.Method, quick.Request.URL, quick.Request.Host,
			quick.StatusCode, quick.Header, slow.StatusCode, slow.Header)
	}
}

func TestDirectory(t *testing.T) {
	d := newDAG(t)
	page := d.file([]byte("<h1>home</h1>"), 100, true)
	entries := map[string]ipld.Node{}
	for i := range 50 {
		entries[fmt.Sprintf("file-%d.txt", i)] = page
	}
	entries["<script>alert(1)</script>"] = page
	list, shard := d.directory(entries), d.shards(entries)
	home := d.directory(map[string]ipld.Node{"index.html": page})
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	for _, c := range []cid.Cid{list.Cid(), shard.Cid()} {
		a := s.get("/ipfs/"+c.String()+"/").want(t, 200, "Content-Type: text/html",
			"Cache-Control: public, max-age=604800, stale-while-revalidate=2678400")
		a.wantText(t, "file-0.txt", "file-49.txt", "&lt;script&gt;")
		if strings.Contains(string(a.body), "<script>alert") {
			t.Error("a name in a listing is not escaped")
		}
		s.get("/ipfs/"+c.String()).want(t, 301, "Location: /ipfs/"+c.String()+"/")
		s.get("/ipfs/"+c.String()+"/file-7.txt").want(t, 200).wantBody(t, []byte("<h1>home</h1>"))
	}
	s.get("/ipfs/"+home.Cid().String()+"/").want(t, 200, "Content-Type: text/html", immutable).wantBody(t, []byte("<h1>home</h1>"))
}

func TestSubdomain(t *testing.T) {
	d := newDAG(t)
	page := d.file([]byte("<h1>home</h1>"), 100, true)
	rules := d.file([]byte("/old /new.txt 301\n/app/* /index.html 200\n/* /404.html 404\n"), 1000, true)
	dir := d.directory(map[string]ipld.Node{"index.html": page, "new.txt": page, "404.html": d.file([]byte("lost"), 10, true), "_redirects": rules})
	broken := d.directory(map[string]ipld.Node{"_redirects": d.file([]byte("/a b c d e\n"), 1000, true)})
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{Hosts: []string{"Example.com"}})
	c := dir.Cid().String()
	s.get("/ipfs/"+c+"/new.txt?x=1", "Host: localhost:8080").want(t, 301, "Location: http://"+c+".ipfs.localhost:8080/new.txt?x=1")
	s.get("/ipfs/"+c, "Host: example.com").want(t, 301, "Location: http://"+c+".ipfs.example.com/")
	host := "Host: " + c + ".ipfs.localhost:8080"
	s.get("/", host).want(t, 200, "Content-Security-Policy", "X-Ipfs-Path: /ipfs/"+c+"/").wantBody(t, []byte("<h1>home</h1>"))
	s.get("/old", host).want(t, 301, "Location: /new.txt")
	s.get("/app/x", host).want(t, 200).wantBody(t, []byte("<h1>home</h1>"))
	s.get("/nowhere", host).want(t, 404).wantBody(t, []byte("lost"))
	s.get("/nowhere", "Host: "+broken.Cid().String()+".ipfs.localhost").want(t, 500).wantText(t, "_redirects")
	s.get("/nowhere", "Host: nonsense.ipfs.localhost").want(t, 400)
	// A rule is a site's own business, which a shared origin has none of.
	s.get("/ipfs/"+c+"/old").want(t, 404)
}

func TestProbe(t *testing.T) {
	s := newSite(t, always(missing("no peers")), newDAG(t).memory(), gateway.Options{})
	s.get("/ipfs/bafkqaaa").want(t, 200, "Content-Length: 0", "Content-Type: text/plain").wantBody(t, nil)
	s.get("/ipfs/bafkqaaa?format=raw", "Cache-Control: only-if-cached").want(t, 200, "Content-Type: application/vnd.ipld.raw").wantBody(t, nil)
	s.do(http.MethodHead, "/ipfs/bafkqaaa?format=raw").want(t, 200)
	s.get("/ipfs/bafkqaaa", "Range: bytes=-5").want(t, 200, "Content-Range", "Content-Length: 0")
}
