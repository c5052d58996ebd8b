// Package gateway serves content-addressed data over HTTP, read-only: files and
// directories by path and by subdomain, verifiable blocks and CARs, IPNS
// records and DNSLink sites.
//
// It is not a network and not a store: it asks a block.Getter and never learns
// where a block came from. It is not a control API either; nothing it serves
// changes state, and it must keep its own port so that content never shares an
// origin with control.
//
// Invariant: a response that looks complete is complete. A block that cannot be
// had before the first byte is a 504 that names the phase in which the search
// ended; after the first byte the connection is broken, never ended politely.
//
// The HTTP semantics are those of boxo's gateway, held to the public
// conformance suite. This package puts three things around it: a guard against
// requests that a web page could forge (hosts.go), a bound on the time and
// blocks that one request may cost (fetch.go), and a short way to the answer of
// the most common request (quick.go).
//
// Sources: https://specs.ipfs.tech/http-gateways/ (path, subdomain, trustless,
// DNSLink, web-_redirects-file), IPIP-402, 412, 523, 524, 548; RFC 9110.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/boxo/gateway"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/p2pnode/p2pnode/block"
)

// Limits that hold whatever the options say.
const (
	// traversalDepthMax is the longest way from the root of a CAR to a block, in
	// IPLD path segments. A level of dag-pb takes three, so it allows some 85
	// levels; files of terabytes need four.
	traversalDepthMax = 256
	// segmentsMax is the most segments of a path: each is resolved from the root.
	segmentsMax = 128
	// listingSizeMax is the number of bytes of directory blocks from which one
	// HTML listing, which is built in memory, may be made: some 300,000 entries.
	listingSizeMax = 16 << 20
	// listingsSizeMax is the same for all listings that are made at a time.
	listingsSizeMax = 4 * listingSizeMax
	// retryAfterSeconds is what a client is told that comes over ConcurrencyMax or
	// listingsSizeMax.
	retryAfterSeconds = "1"
	// sandbox is the policy for content on an origin that it shares with other
	// content: scripts run, but in an opaque origin without storage or cookies.
	sandbox = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"
)

// Names gets IPNS records. *dht.DHT has it.
type Names interface {
	// GetValue returns the record that key, "/ipns/" and the binary name, leads
	// to. It need not be valid: the gateway verifies what it is given.
	GetValue(ctx context.Context, key string) ([]byte, error)
}

// Resolver looks up DNS TXT records, for DNSLink. *net.Resolver has it.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Options say how to serve. The zero value serves localhost and the loopback
// addresses, and resolves no IPNS names.
type Options struct {
	// Hosts are further names under which the gateway is reached, without port.
	// A domain serves {cid}.ipfs.HOST and redirects paths there; an IP address
	// serves paths. Requests for any other Host are refused.
	Hosts []string

	// Sites are domains whose DNSLink is served when they are the Host, as with
	// a website that points its A record here. "*" serves every DNSLink domain,
	// which gives up the guard against DNS rebinding.
	Sites []string

	// Names finds IPNS records. Nil: none are found.
	Names Names

	// DNS resolves DNSLink. Nil: the system's resolver.
	DNS Resolver

	// RetrievalTimeout is how long a request may go on without sending a byte,
	// and a client without taking one. Default 30 s.
	RetrievalTimeout time.Duration

	// RequestDurationMax ends a request that is still running. Default 12 h.
	RequestDurationMax time.Duration

	// ConcurrencyMax is the number of requests served at once; more are told 429.
	// Default 64.
	ConcurrencyMax int

	// StreamBlocksMax and StreamSizeMax bound what one CAR or TAR may carry, in
	// blocks and in bytes, repeated blocks counted each time. Default 262,144
	// and 64 GiB. A stream over the limit is broken off.
	StreamBlocksMax int
	StreamSizeMax   int64

	// Metrics is where the boxo gateway's metrics are registered. Nil: nowhere.
	Metrics prometheus.Registerer

	// Logger hears of requests that could not be answered. Nil: nobody does.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.RetrievalTimeout <= 0 {
		o.RetrievalTimeout = 30 * time.Second
	}
	if o.RequestDurationMax <= 0 {
		o.RequestDurationMax = 12 * time.Hour
	}
	if o.ConcurrencyMax <= 0 {
		o.ConcurrencyMax = 64
	}
	if o.StreamBlocksMax <= 0 {
		o.StreamBlocksMax = 1 << 18
	}
	if o.StreamSizeMax <= 0 {
		o.StreamSizeMax = 64 << 30
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// New makes the handler. source opens a session that may ask the network and
// lives until ctx ends, one for each request that needs one; if it has a method
// Phase() string, that tells what a request was waiting for when its time was
// over; if it has Stream(root cid.Cid, whole bool), it is told of the file that is
// read. local never asks the network, and answers alone where the client says
// only-if-cached.
func New(source func(ctx context.Context) block.Getter, local block.Getter, o Options) (http.Handler, error) {
	o = o.withDefaults()
	hosts, err := newHosts(o.Hosts, o.Sites)
	if err != nil {
		return nil, err
	}
	b, err := newBackend(source, local, o)
	if err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	c := gateway.Config{
		DeserializedResponses: true,
		DeprecatedXIpfsPath:   true,
		NoDNSLink:             len(o.Sites) == 0,
		PublicGateways:        hosts.gateways(),
		MaxRequestDuration:    o.RequestDurationMax,
		MetricsRegistry:       o.Metrics,
	}
	headers := gateway.NewHeaders(nil).WithDeprecatedXIpfsPath().ApplyCors()
	inner := gateway.NewHostnameHandler(c, b, gateway.NewHandler(c, b)) // registers the metrics that quick shares
	q, err := newQuick(local, o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("make gateway: register metrics: %w", err)
	}
	return headers.Wrap(&handler{
		options: o,
		hosts:   hosts,
		quick:   q,
		inner:   inner,
		slots:   make(chan struct{}, o.ConcurrencyMax),
	}), nil
}

// handler admits requests and watches over those that it has admitted. It is
// not behind an http.ServeMux, which would clean paths that are content.
type handler struct {
	options Options
	hosts   *hosts
	quick   *quick
	inner   http.Handler
	slots   chan struct{}
	listed  atomic.Int64 // bytes of directory blocks of which listings are being made
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	extend(w, h.options.RetrievalTimeout)
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	from, ok := h.hosts.admit(r)
	if !ok {
		http.Error(w, "this gateway does not serve the requested host", http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	case http.MethodConnect:
		// A client that was told to use the gateway as its proxy: what it sends
		// through the tunnel are plain requests on this connection.
		w.WriteHeader(http.StatusOK)
		return
	default:
		header.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "read only: "+r.Method+" is not allowed", http.StatusMethodNotAllowed)
		return
	}
	if strings.Count(r.URL.Path, "/") > segmentsMax {
		http.Error(w, "the path has too many segments", http.StatusRequestURITooLong)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		header.Set("Cache-Control", "no-store")
		header.Set("Retry-After", retryAfterSeconds)
		http.Error(w, "too many requests at once: try again", http.StatusTooManyRequests)
		return
	}
	if from.shared {
		header.Set("Content-Security-Policy", sandbox)
	}
	if !h.quick.serve(w, r, from) {
		h.serve(w, r)
	}
}

// serve answers an admitted request within its limits.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	f, ctx := newFetch(r, h.options, &h.listed)
	defer f.end()
	out := &response{ResponseWriter: w, fetch: f, idleMax: h.options.RetrievalTimeout}
	defer out.end()

	r = r.WithContext(ctx)
	if ranges := r.Header.Get("Range"); strings.Contains(ranges, ",") {
		// Several ranges in one response cost a server more than they serve a
		// client; RFC 9110, 14.2 lets it send the whole instead.
		r.Header = r.Header.Clone()
		r.Header.Del("Range")
	}
	h.inner.ServeHTTP(out, r)
	if out.incomplete() {
		h.options.Logger.Info("gateway response broken off", "path", r.URL.Path, "cause", f.failure())
		out.Flush() // the client learns that there was an answer, and that it broke
		panic(http.ErrAbortHandler)
	}
	if err := f.failure(); err != nil && out.status >= http.StatusInternalServerError {
		h.options.Logger.Info("gateway found no content", "path", r.URL.Path, "cause", err)
	}
}
