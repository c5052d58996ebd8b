package control

import (
	"context"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/exchange"
)

const (
	// progressInterval is how often progress is told.
	progressInterval = 200 * time.Millisecond
	// sourcesMax is of how many peers it tells.
	sourcesMax = 32
)

// fetches are the running fetches that somebody may watch. The client chooses
// the id, so that it can ask from the start; an entry lives as long as its
// fetch or one of its watchers.
type fetches struct {
	mu   sync.Mutex // guards the following field, and all of every fetch
	byID map[string]*fetch
}

type fetch struct {
	users int
	read  func() Progress // nil before the fetch has begun
	done  chan struct{}   // closed when it is over
}

// use returns the fetch of that id and what gives it up.
func (f *fetches) use(id string) (*fetch, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.byID[id]
	if !ok {
		if f.byID == nil {
			f.byID = make(map[string]*fetch)
		}
		x = &fetch{done: make(chan struct{})}
		f.byID[id] = x
	}
	x.users++
	return x, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if x.users--; x.users == 0 {
			delete(f.byID, id)
		}
	}
}

// begin lets the fetch of that id be watched until end is called. An id that is
// empty or in use is not watched.
func (f *fetches) begin(id string, read func() Progress) (end func()) {
	if id == "" {
		return func() {}
	}
	x, give := f.use(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	if x.read != nil {
		return give
	}
	x.read = read
	return func() {
		close(x.done)
		give()
	}
}

func (f *fetches) progress(x *fetch) Progress {
	f.mu.Lock()
	read := x.read
	f.mu.Unlock()
	if read == nil {
		return Progress{Phase: "resolving"}
	}
	return read()
}

// progress tells how far the fetch with that id is, until it is over.
func (s *server) progress(ctx context.Context, p *params, out *stream) (any, error) {
	x, give := s.fetches.use(p.text("id"))
	defer give()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		if err := out.progress(s.fetches.progress(x)); err != nil {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-x.done:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func progressOf(p exchange.Progress) Progress {
	told := Progress{Bytes: p.Bytes, Blocks: p.Blocks, Peers: p.Peers, Phase: p.Phase,
		Pieces: p.Leaves, PiecesHere: p.LeavesHere, PiecesAsked: p.Asked}
	for _, f := range p.Sources[:min(len(p.Sources), sourcesMax)] {
		told.Sources = append(told.Sources, Source{Peer: f.Peer.String(), Bytes: f.Bytes, PiecesAsked: f.Asked, Rate: f.Rate})
	}
	return told
}
