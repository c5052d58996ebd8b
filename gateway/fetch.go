package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// errStalled is the cause of a context that ended because a request went
// without progress for too long.
var errStalled = errors.New("no content within the time limit")

// fetch is what one request asks of the network and what became of it. It is
// found in the request's context, since boxo passes nothing else down to the
// block store; it outlives the response only in goroutines that see the context
// end.
type fetch struct {
	offline bool          // only-if-cached
	timeout time.Duration // without progress
	cancel  context.CancelCauseFunc
	timer   *time.Timer

	blocksMax int   // blocks that a stream may carry
	sizeMax   int64 // bytes that a stream may carry

	mu     sync.Mutex // guards the following fields
	bound  budget
	failed error // the first block that could not be had
}

// budget is what a request may still read. An unlimited one is for responses
// that take no memory as they grow.
type budget struct {
	limited bool
	blocks  int
	size    int64 // bytes
}

type fetchKey struct{}

func newFetch(r *http.Request, o Options) (*fetch, context.Context) {
	ctx, cancel := context.WithCancelCause(r.Context())
	f := &fetch{
		offline:   r.Header.Get("Cache-Control") == "only-if-cached",
		timeout:   o.RetrievalTimeout,
		cancel:    cancel,
		blocksMax: o.StreamBlocksMax,
		sizeMax:   o.StreamSizeMax,
	}
	f.timer = time.AfterFunc(f.timeout, func() { cancel(errStalled) })
	return f, context.WithValue(ctx, fetchKey{}, f)
}

func fetchOf(ctx context.Context) *fetch {
	f, _ := ctx.Value(fetchKey{}).(*fetch)
	return f
}

func (f *fetch) end() {
	f.timer.Stop()
	f.cancel(nil)
}

// limitStream bounds a response that lists or repeats blocks without end.
func (f *fetch) limitStream() { f.limit(f.blocksMax, f.sizeMax) }

// limitListing bounds a response that is built in memory.
func (f *fetch) limitListing() { f.limit(f.blocksMax, listingSizeMax) }

func (f *fetch) limit(blocks int, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bound = budget{limited: true, blocks: blocks, size: size}
}

// spend counts a block that was read. It fails when the request has had all
// that it may have.
func (f *fetch) spend(size int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.bound.limited {
		return nil
	}
	f.bound.blocks--
	f.bound.size -= int64(size)
	if f.bound.blocks < 0 || f.bound.size < 0 {
		return errBudget
	}
	return nil
}

var errBudget = errors.New("the response exceeds what this gateway serves in one request")

// failure is the first block that could not be had, nil if there is none.
func (f *fetch) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// lost records that the request could not have c, and says why.
func (f *fetch) lost(ctx context.Context, c cid.Cid, err error) error {
	stalled := errors.Is(context.Cause(ctx), errStalled)
	if ctx.Err() != nil && !stalled {
		return err // nobody is waiting any more
	}
	lost := &fetchError{cid: c, phase: phaseOf(err), cause: err}
	if stalled {
		lost.stalled = f.timeout
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = lost
	}
	return lost
}

// phaseOf is how far the search for a block got, as the getter tells it.
func phaseOf(err error) string {
	var p interface{ Phase() string }
	if errors.As(err, &p) {
		return p.Phase()
	}
	if errors.Is(err, block.ErrNotFound) {
		return "not found"
	}
	return ""
}

// fetchError is a block that could not be had. It does not unwrap: boxo would
// take a missing block for a missing path, and answer 404, follow _redirects,
// or prove the absence with a CAR.
type fetchError struct {
	cid     cid.Cid
	phase   string
	stalled time.Duration // 0 if the search ended by itself
	cause   error
}

func (e *fetchError) Error() string {
	what := "get block " + e.cid.String()
	if e.stalled > 0 {
		what += fmt.Sprintf(" within %s", e.stalled)
	}
	switch {
	case e.phase != "":
		return what + ": " + e.phase
	case e.stalled > 0:
		return what + ": timeout"
	}
	return what + ": " + e.cause.Error()
}
