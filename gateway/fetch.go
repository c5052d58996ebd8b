package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// errStalled is the cause of a context that ended because a request went
// without progress for too long.
var errStalled = errors.New("no content within the time limit")

// errTooLarge means that a request has read all that it may.
var errTooLarge = errors.New("the content exceeds what this gateway serves in one response")

// errBusy means that the listings that are made now take all there is for them.
var errBusy = errors.New("too many large directories are being listed at once: try again")

// fetch is what one request asks of the network and what became of it. It is
// found in the request's context, since boxo passes nothing else down to the
// block store; it outlives the response only in goroutines that see the context
// end.
type fetch struct {
	offline bool          // only-if-cached
	ranges  string        // the Range header
	timeout time.Duration // without progress
	cancel  context.CancelCauseFunc
	timer   *time.Timer

	blocksMax int           // blocks that a stream may carry
	sizeMax   int64         // bytes that a stream may carry
	listings  *atomic.Int64 // bytes of directory blocks, of all requests

	mu      sync.Mutex // guards the following fields
	bound   bound
	descent descent
	failed  error // why the response cannot be what was asked for
	source  phaser
	asked   []cid.Cid // of source, and not answered yet
	streams streamer  // the source, until it was told of a file
	listed  int64     // bytes, this request's part of listings
	ended   bool
}

// phaser is a getter that can tell what it is doing.
type phaser interface{ Phase() string }

// streamer is a getter that fetches a file better if it knows that one is read: from the
// beginning to its end, or, if not whole, a part of it.
type streamer interface {
	Stream(root cid.Cid, whole bool)
}

// bound is what a request may still read, if it is limited.
type bound struct {
	limited   bool
	listing   bool // only directories count
	archive   bool // of blocks, for which no depth is too much
	blocks    int
	sizeBytes int64
}

type fetchKey struct{}

func newFetch(r *http.Request, o Options, listings *atomic.Int64) (*fetch, context.Context) {
	ctx, cancel := context.WithCancelCause(r.Context())
	f := &fetch{
		offline:   r.Header.Get("Cache-Control") == "only-if-cached",
		ranges:    r.Header.Get("Range"),
		timeout:   o.RetrievalTimeout,
		cancel:    cancel,
		blocksMax: o.StreamBlocksMax,
		sizeMax:   o.StreamSizeMax,
		listings:  listings,
	}
	f.timer = time.AfterFunc(f.timeout, f.stall)
	return f, context.WithValue(ctx, fetchKey{}, f)
}

func fetchOf(ctx context.Context) *fetch {
	f, _ := ctx.Value(fetchKey{}).(*fetch)
	return f
}

// stall ends a request without progress. What it waits for is noted first: the
// source ends with the request, and boxo may answer before the source does.
func (f *fetch) stall() {
	f.mu.Lock()
	source := f.source
	f.mu.Unlock()
	phase := ""
	if source != nil {
		phase = "out of time while " + source.Phase()
	}
	f.mu.Lock()
	if f.failed == nil && len(f.asked) > 0 {
		f.failed = &fetchError{cid: f.asked[0], phase: phase, stalled: f.timeout}
	}
	f.mu.Unlock()
	f.cancel(errStalled)
}

// ask notes that the source is asked for c, until the returned function is called.
func (f *fetch) ask(c cid.Cid) (answered func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, c)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		i := slices.Index(f.asked, c)
		f.asked = slices.Delete(f.asked, i, i+1)
	}
}

// watch tells where the request gets its blocks from.
func (f *fetch) watch(source block.Getter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.source, _ = source.(phaser)
	f.streams, _ = source.(streamer)
	f.stream()
}

// stream tells the source of the file that is read, once both are known and the request is for
// its content. Of a part that has an end that is not worth a round trip. f.mu is held.
func (f *fetch) stream() {
	whole := f.ranges == "" || f.ranges == "bytes=0-"
	if !f.bound.listing || f.streams == nil || !f.descent.file.Defined() || !whole && !strings.HasSuffix(f.ranges, "-") {
		return
	}
	f.streams.Stream(f.descent.file, whole)
	f.streams = nil
}

func (f *fetch) end() {
	f.timer.Stop()
	f.cancel(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.listings.Add(-f.listed)
}

// limitStream bounds a response that may repeat blocks without end: an archive
// of blocks, or one of files.
func (f *fetch) limitStream(blocks bool) {
	f.limit(bound{limited: true, archive: blocks, blocks: f.blocksMax, sizeBytes: f.sizeMax})
}

// limitListing bounds a response that is built in memory if what it is about
// turns out to be a directory.
func (f *fetch) limitListing() {
	f.limit(bound{limited: true, listing: true, blocks: f.blocksMax, sizeBytes: listingSizeMax})
}

func (f *fetch) limit(b bound) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bound = b
	f.stream()
}

// spend counts a block that was read. It fails when the request has had all
// that it may have.
func (f *fetch) spend(b block.Block) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.bound.limited || f.bound.listing && !mayList(b) {
		return nil
	}
	if f.ended {
		return context.Canceled
	}
	f.bound.blocks--
	f.bound.sizeBytes -= int64(b.Size())
	var err error
	if f.bound.blocks < 0 || f.bound.sizeBytes < 0 {
		err = errTooLarge
	} else if f.bound.listing {
		f.listed += int64(b.Size())
		if f.listings.Add(int64(b.Size())) > listingsSizeMax {
			err = errBusy
		}
	}
	if f.failed == nil {
		f.failed = err
	}
	return err
}

// descend takes in a block that is read, and fails when it lies too deep.
func (f *fetch) descend(b block.Block) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bound.archive {
		return nil
	}
	err := f.descent.enter(b, f.bound.limited && !f.bound.listing)
	if err == nil {
		f.stream()
	}
	if err != nil && f.failed == nil {
		f.failed = err
	}
	return err
}

// refused tells whether err means content that may be had and is not served.
func refused(err error) bool { return errors.Is(err, errTooLarge) || errors.Is(err, errTooDeep) }

// failure is why the response cannot be what was asked for, nil if it can: the
// first block that could not be had, or that it was refused.
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
	f.mu.Lock()
	defer f.mu.Unlock()
	if stalled {
		lost.stalled = f.timeout
	}
	var noted *fetchError
	if f.failed == nil || errors.As(f.failed, &noted) && noted.phase == "" && noted.cid == c {
		f.failed = lost
	}
	return lost
}

// phaseOf is how far the search for a block got, as the getter tells it.
func phaseOf(err error) string {
	var p phaser
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
