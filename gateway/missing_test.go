package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

// TestFetch has nothing locally: a session is opened for the request, asked for
// every block, and ended.
func TestFetch(t *testing.T) {
	d := newDAG(t)
	data := noise(50_000)
	f := d.file(data, 1000, true)
	root := d.directory(map[string]ipld.Node{"f": f})
	remote := d.memory()
	var opened atomic.Int64
	ended := make(chan struct{}, 10)
	source := func(ctx context.Context) block.Getter {
		opened.Add(1)
		context.AfterFunc(ctx, func() { ended <- struct{}{} })
		return remote
	}
	s := newSite(t, source, &memory{}, gateway.Options{})
	target := "/ipfs/" + root.Cid().String() + "/f"
	s.get(target).want(t, 200).wantBody(t, data)
	<-ended
	s.get(target+"?format=car").want(t, 200)
	<-ended
	if n := opened.Load(); n != 2 {
		t.Errorf("%d sessions for two requests", n)
	}
}

// streams is a getter that is told which files are read.
type streams struct {
	block.Getter
	told chan string
}

func (s streams) Stream(root cid.Cid, whole bool) { s.told <- fmt.Sprint(root, " ", whole) }

// TestStream is told of the file that a request reads, once, and of nothing where none is read.
func TestStream(t *testing.T) {
	d := newDAG(t)
	f, small := d.file(noise(50_000), 1000, true), d.file(noise(10), 1000, true)
	root := d.directory(map[string]ipld.Node{"f": f, "small": small})
	remote := d.memory()
	told := make(chan string, 100)
	source := func(context.Context) block.Getter { return streams{remote, told} }
	// The nodes may be there, and the content be elsewhere.
	nodes := d.memory().move(root.Cid(), f.Cid())
	for _, local := range []*memory{{}, nodes} {
		s := newSite(t, source, local, gateway.Options{})
		for _, c := range []struct {
			path, header string
			want         string
		}{
			{"/f", "", f.Cid().String() + " true"},
			{"/f", "Range: bytes=0-", f.Cid().String() + " true"},
			{"/f", "Range: bytes=30000-", f.Cid().String() + " false"},
			{"/f", "Range: bytes=30000-30010", ""},
			{"/small", "", ""},
			{"", "", ""},
			{"/f?format=raw", "", ""},
			{"?format=car", "", ""},
			{"?format=tar", "", ""},
		} {
			var headers []string
			if c.header != "" {
				headers = []string{c.header}
			}
			s.get("/ipfs/"+root.Cid().String()+c.path, headers...)
			got := ""
			for len(told) > 0 {
				got += <-told
			}
			if got != c.want {
				t.Errorf("%s %s: told of %q, want %q", c.path, c.header, got, c.want)
			}
		}
		s.do(http.MethodHead, "/ipfs/"+root.Cid().String()+"/f")
		if len(told) > 0 {
			t.Errorf("HEAD: told of %s", <-told)
		}
	}
}

func TestMissing(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(8000), 1000, true)
	dir := d.directory(map[string]ipld.Node{"f": f, "index.html": d.file([]byte("page"), 10, true), "_redirects": d.file([]byte("/* /index.html 200\n"), 100, true)})
	local := d.memory()
	local.delete(f.Cid())
	s := newSite(t, always(missing("3 providers undialable")), local, gateway.Options{})
	gone := []string{"Etag", "X-Ipfs-Roots", "Cache-Control: no-store", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"}
	for _, target := range []string{"/ipfs/" + f.Cid().String(), "/ipfs/" + dir.Cid().String() + "/f", "/ipfs/" + dir.Cid().String() + "/f/below"} {
		s.get(target).want(t, 504, gone...).wantText(t, "3 providers undialable", f.Cid().String())
		s.do(http.MethodHead, target).want(t, 504)
		s.get(target, "Range: bytes=0-5").want(t, 504)
		s.get(target, "If-None-Match: \"x\"").want(t, 504)
		s.get(target, "Accept: text/html").want(t, 504).wantText(t, "3 providers undialable")
	}
	// A block that is missing is no path that is missing.
	s.get("/f", "Host: "+dir.Cid().String()+".ipfs.localhost").want(t, 504)
	s.get("/other", "Host: "+dir.Cid().String()+".ipfs.localhost").want(t, 200).wantBody(t, []byte("page"))
}

func TestMissingChild(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(100_000), 1000, true)
	first, last := leaves(d, f)
	local := d.memory()
	local.delete(last)
	s := newSite(t, always(missing("stalled")), local, gateway.Options{})
	s.get("/ipfs/"+f.Cid().String()).want(t, 200).wantBroken(t)
	s.get("/ipfs/"+f.Cid().String(), "Range: bytes=0-99").want(t, 206).wantBody(t, noise(100))
	local.delete(first)
	s.get("/ipfs/"+f.Cid().String()).want(t, 504, "Cache-Control: no-store", "Etag", "Accept-Ranges").wantText(t, "stalled")
	s.get("/ipfs/"+f.Cid().String()+"?filename=x.bin").want(t, 200).wantBroken(t)
}

// leaves are the first and the last leaf of a file.
func leaves(d *dag, n ipld.Node) (first, last cid.Cid) {
	d.t.Helper()
	first, last = n.Cid(), n.Cid()
	for at := n; len(at.Links()) > 0; {
		first = at.Links()[0].Cid
		next, err := d.Get(context.Background(), first)
		d.must(err)
		at = next
	}
	for at := n; len(at.Links()) > 0; {
		last = at.Links()[len(at.Links())-1].Cid
		next, err := d.Get(context.Background(), last)
		d.must(err)
		at = next
	}
	return first, last
}

func TestRetrievalTimeout(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(100_000), 1000, true)
	_, last := leaves(d, f)
	local := d.memory()
	local.delete(last)
	s := newSite(t, always(silent{}), local, gateway.Options{RetrievalTimeout: 100 * time.Millisecond})
	start := time.Now()
	s.get("/ipfs/"+last.String()).want(t, 504).wantText(t, "within 100ms", "no providers", last.String())
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the answer took %s", took)
	}
	s.get("/ipfs/"+f.Cid().String()).want(t, 200).wantBroken(t)
	s.get("/ipfs/"+f.Cid().String()+"?format=car").want(t, 200).wantBroken(t)
	// The connection is usable after the deadline of an earlier response.
	s.get("/ipfs/bafkqaaa").want(t, 200)
}

// working never stops looking either; it does not say with its error how far it
// got, only while it lives.
type working struct{ ctx context.Context }

func (w working) Get(ctx context.Context, _ cid.Cid) (block.Block, error) {
	<-ctx.Done()
	return block.Block{}, ctx.Err()
}

func (w working) Phase() string {
	if w.ctx.Err() != nil {
		return "idle"
	}
	return "searching"
}

// TestTimeoutPhase: a 504 for the time that is over tells what was waited for,
// for the first block and for one in the middle.
func TestTimeoutPhase(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(100_000), 1000, true)
	first, _ := leaves(d, f)
	local := d.memory()
	local.delete(first)
	source := func(ctx context.Context) block.Getter { return working{ctx} }
	s := newSite(t, source, local, gateway.Options{RetrievalTimeout: 100 * time.Millisecond})
	for _, target := range []string{f.Cid().String(), first.String()} {
		s.get("/ipfs/"+target).want(t, 504).wantText(t, first.String()+" within 100ms: out of time while searching")
	}
}

func TestOnlyIfCached(t *testing.T) {
	d := newDAG(t)
	f := d.file(noise(5000), 1000, true)
	dir := d.directory(map[string]ipld.Node{"f": f})
	leaf := f.Links()[0].Cid
	local := d.memory()
	remote := local.move(leaf)
	s := newSite(t, always(remote), local, gateway.Options{})
	cached := "Cache-Control: only-if-cached"
	s.get("/ipfs/"+leaf.String(), cached).want(t, 412)
	s.do(http.MethodHead, "/ipfs/"+leaf.String(), cached).want(t, 412)
	s.get("/ipfs/"+dir.Cid().String()+"/f?format=raw", cached).want(t, 200)
	s.do(http.MethodHead, "/ipfs/"+dir.Cid().String()+"/f", cached).want(t, 200)
	s.get("/ipns/example.com", cached).want(t, 412)
	s.get("/ipfs/"+dir.Cid().String()+"/f", cached).want(t, 504)
	if n := remote.gets.Load(); n != 0 {
		t.Errorf("the network was asked %d times for what only the cache may answer", n)
	}
	s.get("/ipfs/"+dir.Cid().String()+"/f").want(t, 200).wantBody(t, noise(5000))
}

func TestConcurrencyMax(t *testing.T) {
	d := newDAG(t)
	c := d.block([]byte("x"), cid.Raw)
	asked, release := make(chan struct{}), make(chan struct{})
	source := func(context.Context) block.Getter { return gate{d.memory(), asked, release} }
	s := newSite(t, source, &memory{}, gateway.Options{ConcurrencyMax: 1})
	done := make(chan answer)
	go func() { done <- s.get("/ipfs/" + c.String()) }()
	<-asked
	s.get("/ipfs/"+c.String()).want(t, 429, "Retry-After: 1", "Cache-Control: no-store")
	close(release)
	(<-done).want(t, 200).wantBody(t, []byte("x"))
}

// gate answers when it is released.
type gate struct {
	block.Getter
	asked   chan<- struct{}
	release <-chan struct{}
}

func (g gate) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	g.asked <- struct{}{}
	<-g.release
	return g.Getter.Get(ctx, c)
}

// TestLies serves DAGs that are not what they say. Whatever comes, no response
// may promise one thing and complete another, nor blame this server.
func TestLies(t *testing.T) {
	d := newDAG(t)
	leaf := d.file([]byte("0123456789"), 100, true).Cid()
	link := append([]byte{0x0a, byte(len(leaf.Bytes()))}, leaf.Bytes()...)
	node := func(unixfs []byte, links ...[]byte) string {
		var pb bytes.Buffer
		for _, l := range links {
			pb.WriteByte(0x12)
			pb.WriteByte(byte(len(l)))
			pb.Write(l)
		}
		pb.WriteByte(0x0a)
		pb.WriteByte(byte(len(unixfs)))
		pb.Write(unixfs)
		return d.block(pb.Bytes(), cid.DagProtobuf).String()
	}
	targets := map[string]string{
		"garbage":             d.block([]byte("\xff\xff\xff"), cid.DagProtobuf).String(),
		"garbage unixfs":      node([]byte("\xff\xff")),
		"no unixfs":           node(nil),
		"unknown type":        node([]byte{0x08, 0x63}),
		"size too large":      node([]byte{0x08, 0x02, 0x12, 0x01, 'x', 0x18, 0x64}),
		"size too small":      node([]byte{0x08, 0x02, 0x12, 0x03, 'x', 'y', 'z', 0x18, 0x01}),
		"child size too big":  node([]byte{0x08, 0x02, 0x18, 0x64, 0x20, 0x64}, link),
		"child size small":    node([]byte{0x08, 0x02, 0x18, 0x01, 0x20, 0x01}, link),
		"size 2^63":           node([]byte{0x08, 0x02, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, link),
		"shard without bits":  node([]byte{0x08, 0x05, 0x28, 0x22, 0x30, 0x08}, link),
		"shard fanout 2^40":   node([]byte{0x08, 0x05, 0x12, 0x01, 0xff, 0x28, 0x22, 0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20}, link),
		"garbage cbor":        d.block([]byte("\xff\xff\xff"), cid.DagCBOR).String(),
		"garbage json":        d.block([]byte("{"), cid.DagJSON).String(),
		"unknown codec":       d.block([]byte("x"), 0x3039).String(),
		"cbor of great depth": d.block(bytes.Repeat([]byte{0x81}, 100_000), cid.DagCBOR).String(),
	}
	s := newSite(t, always(missing("no providers")), d.memory(), gateway.Options{})
	for name, c := range targets {
		for _, query := range []string{"", "/", "/a/b", "?format=raw", "?format=car", "?format=tar", "?format=dag-json", "?format=dag-cbor", "?format=json"} {
			for _, headers := range [][]string{nil, {"Accept: text/html"}, {"Range: bytes=1-5"}, {"Range: bytes=-3"}} {
				a := s.get("/ipfs/"+c+query, headers...)
				if a.StatusCode >= 500 && a.StatusCode != 501 && a.StatusCode != 502 && a.StatusCode != 504 {
					t.Errorf("%s %s %v: status %d: %.200s", name, query, headers, a.StatusCode, a.body)
				}
				if a.err == nil && a.ContentLength >= 0 && int64(len(a.body)) != a.ContentLength {
					t.Errorf("%s %s: %d bytes, promised %d", name, query, len(a.body), a.ContentLength)
				}
			}
		}
	}
}
