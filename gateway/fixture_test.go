package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

// memory is a getter of blocks that a test can take away.
type memory struct {
	mu     sync.Mutex
	blocks map[string]block.Block
	gets   atomic.Int64
}

func (m *memory) Get(_ context.Context, c cid.Cid) (block.Block, error) {
	m.gets.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blocks[string(c.Hash())]
	if !ok {
		return block.Block{}, &block.NotFoundError{Cid: c}
	}
	return block.Verify(c, b.RawData())
}

func (m *memory) delete(c cid.Cid) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blocks, string(c.Hash()))
}

// move takes blocks from m into a new memory.
func (m *memory) move(cids ...cid.Cid) *memory {
	other := &memory{blocks: map[string]block.Block{}}
	for _, c := range cids {
		other.blocks[string(c.Hash())] = m.blocks[string(c.Hash())]
		m.delete(c)
	}
	return other
}

// phaseError is how a getter tells how far it got.
type phaseError struct{ phase string }

func (e phaseError) Error() string { return "want block: " + e.phase }
func (e phaseError) Phase() string { return e.phase }
func (e phaseError) Unwrap() error { return block.ErrNotFound }

// missing finds nothing, and says so at once.
type missing string

func (m missing) Get(context.Context, cid.Cid) (block.Block, error) {
	return block.Block{}, phaseError{string(m)}
}

// silent finds nothing either, but never stops looking.
type silent struct{}

func (silent) Get(ctx context.Context, _ cid.Cid) (block.Block, error) {
	<-ctx.Done()
	return block.Block{}, errors.Join(phaseError{"no providers"}, ctx.Err())
}

func always(g block.Getter) func(context.Context) block.Getter {
	return func(context.Context) block.Getter { return g }
}

// dag builds DAGs with boxo, whose readers are at work inside the gateway.
type dag struct {
	t     testing.TB
	store blockstore.Blockstore
	ipld.DAGService
}

func newDAG(t testing.TB) *dag {
	t.Helper()
	bs := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	return &dag{t: t, store: bs, DAGService: merkledag.NewDAGService(blockservice.New(bs, nil))}
}

func (d *dag) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// file chunks data and returns the root.
func (d *dag) file(data []byte, chunkSize int64, raw bool) ipld.Node {
	d.t.Helper()
	p := helpers.DagBuilderParams{Dagserv: d, Maxlinks: 4, RawLeaves: raw, CidBuilder: merkledag.V1CidPrefix()}
	b, err := p.New(chunk.NewSizeSplitter(bytes.NewReader(data), chunkSize))
	d.must(err)
	n, err := balanced.Layout(b)
	d.must(err)
	return n
}

func (d *dag) directory(entries map[string]ipld.Node) ipld.Node {
	d.t.Helper()
	n := ft.EmptyDirNode()
	n.SetCidBuilder(merkledag.V1CidPrefix())
	for name, e := range entries {
		d.must(n.AddNodeLink(name, e))
	}
	d.must(d.Add(context.Background(), n))
	return n
}

func (d *dag) shards(entries map[string]ipld.Node) ipld.Node {
	d.t.Helper()
	dir, err := uio.NewHAMTDirectory(d, 0, uio.WithMaxHAMTFanout(8), uio.WithCidBuilder(merkledag.V1CidPrefix()))
	d.must(err)
	for name, e := range entries {
		d.must(dir.AddChild(context.Background(), name, e))
	}
	n, err := dir.GetNode()
	d.must(err)
	d.must(d.Add(context.Background(), n))
	return n
}

// repeat makes a file of times the same part.
func (d *dag) repeat(part ipld.Node, size uint64, times int) ipld.Node {
	d.t.Helper()
	u := ft.NewFSNode(ft.TFile)
	n := &merkledag.ProtoNode{}
	d.must(n.SetCidBuilder(merkledag.V1CidPrefix()))
	for range times {
		u.AddBlockSize(size)
		d.must(n.AddNodeLink("", part))
	}
	data, err := u.GetBytes()
	d.must(err)
	n.SetData(data)
	d.must(d.Add(context.Background(), n))
	return n
}

// block adds bytes that need not mean anything.
func (d *dag) block(data []byte, codec uint64) cid.Cid {
	d.t.Helper()
	b, err := block.New(data, block.Prefix{Codec: codec})
	d.must(err)
	d.must(d.store.Put(context.Background(), b))
	return b.Cid()
}

// memory returns all that was built.
func (d *dag) memory() *memory {
	d.t.Helper()
	m := &memory{blocks: map[string]block.Block{}}
	keys, err := d.store.AllKeysChan(context.Background())
	d.must(err)
	for c := range keys {
		b, err := d.store.Get(context.Background(), c)
		d.must(err)
		verified, err := block.Verify(c, b.RawData())
		d.must(err)
		m.blocks[string(c.Hash())] = verified
	}
	return m
}

// site is a gateway on a port of this machine.
type site struct {
	t      testing.TB
	server *httptest.Server
	client *http.Client
}

func newSite(t testing.TB, source func(context.Context) block.Getter, local block.Getter, o gateway.Options) *site {
	t.Helper()
	h, err := gateway.New(source, local, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, server: httptest.NewUnstartedServer(nil)}
	s.server.Config = gateway.Server(h)
	s.server.Start()
	s.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.server.Close()
	})
	return s
}

// answer is a response that was read whole, or as far as it came.
type answer struct {
	*http.Response
	body []byte
	err  error // of reading the body
}

// do sends a request. headers are "Name: value"; Host names the Host.
func (s *site) do(method, target string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequest(method, s.server.URL+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{Response: res, body: body, err: err}
}

func (s *site) get(target string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, target, headers...)
}

// want fails the test unless the answer has the status and the headers
// ("Name: value", or "Name" for one that must be absent).
func (a answer) want(t testing.TB, status int, headers ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d; body %.300q", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, h := range headers {
		name, value, present := strings.Cut(h, ": ")
		if got := a.Header.Values(name); !present && len(got) > 0 {
			t.Errorf("%s: %s is %q, want none", a.Request.URL, name, got)
		} else if present && strings.Join(got, ",") != value {
			t.Errorf("%s: %s is %q, want %q", a.Request.URL, name, got, value)
		}
	}
	return a
}

func (a answer) wantBody(t testing.TB, want []byte) answer {
	t.Helper()
	if a.err != nil {
		t.Fatalf("%s: read body: %v", a.Request.URL, a.err)
	}
	if !bytes.Equal(a.body, want) {
		t.Fatalf("%s: body of %d bytes %.80q, want %d bytes %.80q", a.Request.URL, len(a.body), a.body, len(want), want)
	}
	return a
}

// wantText fails the test unless the body contains every text.
func (a answer) wantText(t testing.TB, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if !bytes.Contains(a.body, []byte(text)) {
			t.Errorf("%s: body %.600q lacks %q", a.Request.URL, a.body, text)
		}
	}
	return a
}

// wantBroken fails the test if the body looks complete.
func (a answer) wantBroken(t testing.TB) answer {
	t.Helper()
	if a.err == nil {
		t.Fatalf("%s: a body of %d bytes ended as if it were complete", a.Request.URL, len(a.body))
	}
	return a
}

// noise is data that does not repeat.
func noise(n int) []byte {
	data := make([]byte, n)
	x := uint32(2463534242)
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return data
}
