// Package control is the local API of a node: an HTTP server over a
// node.Node, and the client that the command line uses. A daemon serves it on a
// Unix socket that only its owner can open, and on a loopback TCP port if asked
// to; a command without a daemon serves it to itself in memory (Local), so that
// there is one way through the code.
//
// It is not the gateway: it changes state, so it never shares an origin with
// content and answers no web page. It is no policy either: every route is a
// thin translation of one method of node.
//
// Routes lie under /api/v1/. Parameters are in the query; what changes anything
// is a POST. Most routes answer with a stream of events, one JSON object a line:
//
//	{"v":1,"type":"progress",…}   how far it is
//	{"v":1,"type":"item",…}       one of many answers
//	{"v":1,"type":"result",…}     the answer; nothing comes after it
//	{"v":1,"type":"error",…}      why there is none; nothing comes after it
//
// get, cat and car export answer with the data itself. The trailer
// P2pnode-Result then holds the event that ended it.
//
// Invariant: an answer is complete only with its result. A client that sees no
// result, in the stream or in the trailer, reports an error, whatever it has
// received before.
package control

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/p2pnode/p2pnode/node"
)

// Limits of the server.
const (
	readHeaderTimeout = 5 * time.Second
	headerBytesMax    = 64 << 10
	// bodyBytesMax bounds the body of requests that stream none.
	bodyBytesMax = 64 << 10
	// bufferSize is what is moved at once, in bytes: the default of net/http
	// costs a system call for every 4 KiB.
	bufferSize = 256 << 10
	// drainMax is how long a failed upload is read on, so that its sender gets
	// to see the error instead of a broken connection.
	drainMax = 10 * time.Second
)

// Options say what the server knows beyond the node. The zero value serves the
// node alone, and refuses to stop it.
type Options struct {
	// Status is what the status route tells; the server fills in what it knows.
	Status Status

	// Stop asks the process to end; it must not wait for that. Nil: refused.
	Stop func()

	// Token, if not empty, must be in the Authorization header of every request,
	// as "Bearer TOKEN".
	Token string

	// Logger hears of requests that failed. Nil: nobody does.
	Logger *slog.Logger
}

// server is the handler's state.
type server struct {
	node    *node.Node
	options Options
	started time.Time
	fetches fetches
}

// New makes the handler of a node's control API.
func New(n *node.Node, o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{node: n, options: o, started: time.Now()}
	mux := http.NewServeMux()
	events := func(pattern string, f func(context.Context, *params, *stream) (any, error)) {
		mux.HandleFunc(pattern, s.events(f))
	}
	events("GET /api/v1/id", s.id)
	events("GET /api/v1/status", s.status)
	events("POST /api/v1/stop", s.stop)
	events("GET /api/v1/ls", s.list)
	events("GET /api/v1/pin/ls", s.pins)
	events("POST /api/v1/pin/add", s.pin)
	events("POST /api/v1/pin/update", s.updatePin)
	events("POST /api/v1/pin/rm", s.unpin)
	events("POST /api/v1/gc", s.gc)
	events("POST /api/v1/verify", s.verify)
	events("GET /api/v1/stat", s.stat)
	events("GET /api/v1/limits", s.limits)
	events("POST /api/v1/limits", s.setLimits)
	events("GET /api/v1/peers", s.peers)
	events("POST /api/v1/peers/connect", s.connect)
	events("GET /api/v1/find", s.find)
	events("POST /api/v1/provide", s.provide)
	events("POST /api/v1/offer", s.offer)
	events("GET /api/v1/offers", s.offers)
	events("GET /api/v1/progress", s.progress)
	events("GET /api/v1/doc/ls", s.docList)
	events("POST /api/v1/doc/create", s.docCreate)
	events("POST /api/v1/doc/fork", s.docFork)
	events("POST /api/v1/doc/open", s.docOpen)
	events("GET /api/v1/doc/get", s.docGet)
	events("GET /api/v1/doc/at", s.docAt)
	events("POST /api/v1/doc/set", s.docSet)
	events("POST /api/v1/doc/rm", s.docRemove)
	events("POST /api/v1/doc/forget", s.docForget)
	events("POST /api/v1/doc/compact", s.docCompact)
	events("GET /api/v1/doc/watch", s.docWatch)
	events("GET /api/v1/doc/log", s.docLog)
	events("POST /api/v1/doc/share", s.docShare)
	events("GET /api/v1/doc/members", s.docMembers)
	events("POST /api/v1/doc/grant", s.docGrant)
	mux.HandleFunc("POST /api/v1/doc/text", s.upload(s.docText))
	mux.HandleFunc("POST /api/v1/doc/import", s.upload(s.docImport))
	mux.HandleFunc("POST /api/v1/add", s.upload(s.add))
	mux.HandleFunc("POST /api/v1/car/import", s.upload(s.carImport))
	mux.HandleFunc("GET /api/v1/get", s.data(s.get))
	mux.HandleFunc("GET /api/v1/cat", s.data(s.cat))
	mux.HandleFunc("GET /api/v1/doc/export", s.data(s.docExport))
	mux.HandleFunc("GET /api/v1/car/export", s.data(s.carExport))
	return &guard{token: o.Token, inner: mux}
}

// Server serves h with the limits that a handler cannot set for itself.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}
