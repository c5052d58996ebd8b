package gateway_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

// FuzzRequest sends whatever path, query and headers, of which boxo and this
// package each parse a part. In the path, ROOT stands for a directory that is
// there and GONE for one that is not.
func FuzzRequest(f *testing.F) {
	for _, c := range [][4]string{
		{"/ipfs/ROOT/a.txt", "", "", "127.0.0.1"},
		{"/ipfs/ROOT/sub/", "", "", "127.0.0.1"},
		{"/ipfs/ROOT/many/x7", "", "", "127.0.0.1"},
		{"/ipfs/ROOT/big", "format=car&dag-scope=entity&entity-bytes=-5:*", "", "127.0.0.1"},
		{"/ipfs/ROOT/big", "format=car&car-dups=y&car-order=dfs&car-version=1", "", "localhost"},
		{"/ipfs/ROOT/big", "format=raw", "bytes=1-2", "127.0.0.1"},
		{"/ipfs/ROOT/big", "", "bytes=-99999,1-", "127.0.0.1"},
		{"/ipfs/ROOT", "format=tar&filename=%00&download=true", "", "127.0.0.1"},
		{"/ipfs/ROOT/json/a/b", "format=dag-json", "", "127.0.0.1"},
		{"/ipfs/GONE/a", "", "bytes=0-", "127.0.0.1"},
		{"/ipfs/../ipns//./%2e%2e/ROOT", "", "", "127.0.0.1"},
		{"/ipfs/bafkqaaa", "uri=ipfs%3A%2F%2FROOT%3Fa", "", "localhost"},
		{"/ipns/example.org/a", "", "", "127.0.0.1"},
		{"/ipns/k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r", "format=ipns-record", "", "127.0.0.1"},
		{"/a.txt", "go-get=1", "", "ROOT.ipfs.localhost:80"},
		{"/old", "", "", "ROOT.ipfs.localhost"},
		{"/x", "", "", "a-b--c.ipns.localhost"},
	} {
		f.Add(c[0], c[1], c[2], c[3])
	}
	d := newDAG(f)
	text := d.file([]byte("text"), 10, true)
	many := map[string]ipld.Node{}
	for i := range 30 {
		many["x"+string(rune('0'+i))] = text
	}
	js, err := d.Get(f.Context(), d.block([]byte(`{"a":{"b":[1,2]}}`), cid.DagJSON))
	d.must(err)
	bad, err := d.Get(f.Context(), d.block([]byte("\x0a\x02\x08\x63"), cid.DagProtobuf))
	d.must(err)
	root := d.directory(map[string]ipld.Node{
		"a.txt": text, "big": d.file(noise(5000), 1000, false), "sub": d.directory(map[string]ipld.Node{"index.html": text}),
		"many": d.shards(many), "json": js, "bad": bad, "_redirects": d.file([]byte("/old/* /a.txt?x=:splat 302\n"), 1000, true),
	})
	gone := d.directory(map[string]ipld.Node{"gone": text})
	local := d.memory()
	local.delete(gone.Cid())
	h, err := gateway.New(always(missing("no providers")), local, gateway.Options{
		DNS: zone{"_dnslink.example.org.": {"dnslink=/ipfs/" + root.Cid().String()}}, Names: values{}, Sites: []string{"example.org"},
		StreamBlocksMax: 1000, StreamSizeMax: 1 << 20, RetrievalTimeout: 10 * time.Second,
	})
	d.must(err)
	names := strings.NewReplacer("ROOT", root.Cid().String(), "GONE", gone.Cid().String())
	f.Fuzz(func(t *testing.T, path, query, ranges, host string) {
		head := "GET " + names.Replace(path+"?"+query) + " HTTP/1.1\r\nHost: " + names.Replace(host) + "\r\nRange: " + ranges + "\r\n"
		for _, accept := range []string{"*/*", "text/html", "application/vnd.ipld.car; dups=y"} {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "Accept: " + accept + "\r\n\r\n")))
			if err != nil {
				return // net/http lets nobody see it
			}
			if ranges == "" {
				r.Header.Del("Range")
			}
			w := httptest.NewRecorder()
			serve(t, h, w, r.WithContext(t.Context()))
			switch w.Code {
			case http.StatusInternalServerError, http.StatusServiceUnavailable:
				t.Errorf("%s at %q, range %q: status %d: %.300s", r.RequestURI, host, ranges, w.Code, w.Body)
			}
			if w.Body.Len() > 4<<20 {
				t.Errorf("%s: %d bytes", r.RequestURI, w.Body.Len())
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: no nosniff", r.RequestURI)
			}
		}
	})
}

// serve lets a handler break its response off, but not panic.
func serve(t *testing.T, h http.Handler, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			t.Errorf("%s: panic: %v", r.RequestURI, p)
		}
	}()
	h.ServeHTTP(w, r)
}

// FuzzNode serves whatever dag-pb block, alone and as a directory with an entry
// "a". What is answered quickly must be what boxo would have answered.
func FuzzNode(f *testing.F) {
	d := newDAG(f)
	child := d.file([]byte("child"), 100, true)
	for _, n := range []ipld.Node{
		d.file([]byte("text"), 100, false), d.file(nil, 100, false), d.file(noise(300), 100, false),
		d.directory(map[string]ipld.Node{"a": child}), d.directory(map[string]ipld.Node{"a": child, "b": child}),
		d.shards(map[string]ipld.Node{"a": child}), d.repeat(child, 5, 2),
	} {
		f.Add(n.RawData())
	}
	link := append([]byte("\x12\x29\x0a\x24"), append(child.Cid().Bytes(), "\x12\x01a"...)...)
	f.Add(append([]byte("\x0a\x02\x08\x01"), link...))                // data before links
	f.Add(append(append(link, "\x18\x00"...), "\x0a\x02\x08\x01"...)) // a field that no node has
	f.Add([]byte("\x0a\x05\x08\x02\x12\x01x"))
	f.Add([]byte("\x0a\x08\x08\x02\x12\x01x\x18\x01"))
	f.Add([]byte("\x0a\x0a\x08\x02\x12\x01x\x18\x01\x38\x24"))
	local := d.memory()
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := block.New(data, block.Prefix{Codec: cid.DagProtobuf})
		if err != nil {
			return
		}
		m := &memory{blocks: map[string]block.Block{string(b.Cid().Hash()): b}}
		for hash, b := range local.blocks {
			m.blocks[hash] = b
		}
		h, err := gateway.New(always(missing("no providers")), m, gateway.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"/ipfs/" + b.Cid().String(), "/ipfs/" + b.Cid().String() + "/a"} {
			quick, slow := httptest.NewRecorder(), httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+target, nil)
			serve(t, h, quick, r.Clone(t.Context()))
			r.Header.Set("Cache-Control", "max-age=0")
			serve(t, h, slow, r.Clone(t.Context()))
			if quick.Code >= 500 && quick.Code != http.StatusBadGateway && quick.Code != http.StatusGatewayTimeout {
				t.Errorf("%s: status %d: %.300s", target, quick.Code, quick.Body)
			}
			if quick.Code >= 500 && slow.Code >= 500 {
				continue // of several faults, either may be met first
			}
			if quick.Code != slow.Code || quick.Body.String() != slow.Body.String() || fmt.Sprint(quick.Result().Header) != fmt.Sprint(slow.Result().Header) {
				t.Errorf("%s: quick %d %v %.80q, slow %d %v %.80q", target, quick.Code, quick.Result().Header, quick.Body, slow.Code, slow.Result().Header, slow.Body)
			}
		}
	})
}
