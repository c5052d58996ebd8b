package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

// TestSlowClient asks for much and takes nothing. The request must not hold its
// slot for ever.
func TestSlowClient(t *testing.T) {
	d := newDAG(t)
	n, size := d.file(noise(1<<20), 1<<20, true), uint64(1<<20)
	for range 4 { // 256 MiB, more than sockets buffer
		n, size = d.repeat(n, size, 4), 4*size
	}
	remote := d.memory()
	ended := make(chan struct{})
	source := func(ctx context.Context) block.Getter {
		context.AfterFunc(ctx, func() { close(ended) })
		return remote
	}
	s := newSite(t, source, &memory{}, gateway.Options{RetrievalTimeout: 200 * time.Millisecond})
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /ipfs/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", n.Cid())
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 200 || res.ContentLength != 256<<20 {
		t.Fatalf("response %v, error %v", res, err)
	}
	<-ended
}

// TestListingLimit asks for the listing of a directory whose names alone are
// 17 MB. The directory itself works.
func TestListingLimit(t *testing.T) {
	d := newDAG(t)
	page := d.file([]byte("page"), 100, true)
	entries := map[string]ipld.Node{}
	name := strings.Repeat("n", 8000)
	for i := range 2200 {
		entries[fmt.Sprintf("%s%d", name, i)] = page
	}
	entries["small"] = page
	dir := d.shards(entries)
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	s.get("/ipfs/"+dir.Cid().String()+"/").want(t, 502).wantText(t, "exceeds")
	s.get("/ipfs/"+dir.Cid().String()+"/small").want(t, 200).wantBody(t, []byte("page"))
	if a := s.get("/ipfs/"+dir.Cid().String()+"?format=car").want(t, 200); a.err != nil {
		t.Error(a.err)
	}
}

// TestMetrics counts answers alike, whichever way they took.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := newDAG(t)
	c := d.file([]byte("page"), 100, true).Cid().String()
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{Metrics: registry})
	s.get("/ipfs/"+c).want(t, 200)
	s.get("/ipfs/"+c, "Cache-Control: max-age=0").want(t, 200)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "ipfs_http_gw_responses_total" {
			if n := family.GetMetric()[0].GetCounter().GetValue(); n != 2 {
				t.Errorf("%v answers counted, want 2", n)
			}
			return
		}
	}
	t.Error("answers are not counted")
}

// TestListingsLimit lists large directories at once. Some are turned away; when
// the others are done, all works again.
func TestListingsLimit(t *testing.T) {
	d := newDAG(t)
	page := d.file([]byte("page"), 100, true)
	entries := map[string]ipld.Node{}
	name := strings.Repeat("n", 8000)
	for i := range 2000 { // 16 MB
		entries[fmt.Sprintf("%s%d", name, i)] = page
	}
	dir := d.shards(entries)
	local := d.memory()
	target := "/ipfs/" + dir.Cid().String() + "/"
	reached, release := make(chan struct{}), make(chan struct{})
	source := func(context.Context) block.Getter {
		return &holding{Getter: local, reached: reached, release: release}
	}
	s := newSite(t, source, &memory{}, gateway.Options{RetrievalTimeout: time.Minute})
	done := make(chan answer)
	for range 4 {
		go func() { done <- s.get(target) }()
		<-reached
	}
	busy := make(chan answer)
	go func() { busy <- s.get(target) }()
	(<-busy).want(t, 503, "Retry-After: 1", "Cache-Control: no-store").wantText(t, "at once")
	close(release)
	for range 4 {
		if a := <-done; a.err != nil || a.StatusCode != 200 {
			t.Errorf("status %d, error %v", a.StatusCode, a.err)
		}
	}
	s.get(target).want(t, 200)
}

// holding gives 15.5 MB and waits.
type holding struct {
	block.Getter
	size    atomic.Int64
	once    sync.Once
	reached chan<- struct{}
	release <-chan struct{}
}

func (h *holding) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	b, err := h.Getter.Get(ctx, c)
	if h.size.Add(int64(b.Size())) < 15_500_000 {
		return b, err
	}
	select {
	case <-h.release:
		return b, err
	default:
		h.once.Do(func() {
			select {
			case h.reached <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}
	select {
	case <-h.release:
	case <-ctx.Done():
	}
	return b, err
}
