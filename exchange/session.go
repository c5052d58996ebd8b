package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// Session fetches blocks that belong together, such as those of one DAG: peers
// that had some of them are asked for the others. It is a block.Getter and a
// block.Prefetcher, and safe for any number of concurrent calls.
type Session struct {
	x      *Exchange
	id     uint64
	done   chan struct{} // closed when the session has ended
	ended  func() error  // why it has ended
	last   string        // phase that it ended in; set before done is closed
	bytes  atomic.Int64
	blocks atomic.Int64

	unstored atomic.Pointer[error] // why a block could not be stored

	// Guarded by Exchange.mu:
	prefetches bool              // some wait may have no channel
	from       map[peer.ID]int64 // bytes of it that came, by peer
}

var (
	_ block.Getter     = (*Session)(nil)
	_ block.Prefetcher = (*Session)(nil)
)

// waiter is a Get, or a Prefetch, for which ch is nil.
type waiter struct {
	s  *Session
	ch chan result // has room for one
}

type result struct {
	b   block.Block
	err error
}

// Session opens a session that lives until ctx ends.
func (x *Exchange) Session(ctx context.Context) *Session {
	s := &Session{x: x, id: x.nextID.Add(1), done: make(chan struct{}), ended: ctx.Err, from: make(map[peer.ID]int64)}
	x.mu.Lock()
	x.sessions[s.id] = s
	x.mu.Unlock()
	context.AfterFunc(ctx, s.close)
	return s
}

func (s *Session) close() {
	s.last = s.Progress().Phase
	close(s.done)
	x := s.x
	x.mu.Lock()
	delete(x.sessions, s.id)
	if s.prefetches {
		for c, list := range x.waiting {
			x.setWaiting(c, slices.DeleteFunc(list, func(w *waiter) bool { return w.s == s && w.ch == nil }))
		}
	}
	x.mu.Unlock()
	x.post(context.Background(), swap.CloseSession{Session: s.id})
}

// Get fetches a block from peers. It does not look into the store, which its
// caller has done. If nobody has the block the error is a *NotFoundError.
func (s *Session) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if b, ok := block.Inline(c); ok {
		return b, nil
	}
	if err := block.Check(c); err != nil {
		return block.Block{}, fmt.Errorf("fetch: %w", err)
	}
	x := s.x
	w := &waiter{s: s, ch: make(chan result, 1)}
	b, saved, err := x.await(c, w)
	if err != nil || b.Cid().Defined() {
		return b, err
	}
	if saved {
		if b, err := x.o.Store.Get(ctx, c); err == nil {
			x.abandon(c, w)
			return b, nil
		}
	}
	if err := x.post(ctx, swap.Want{Session: s.id, Cids: []cid.Cid{c}}); err != nil {
		x.abandon(c, w)
		return block.Block{}, fmt.Errorf("fetch %s: %w", c, err)
	}
	select {
	case r := <-w.ch:
		return r.b, r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.done:
		err = s.ended()
	case <-x.stopped:
		err = ErrStopped
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &TimeoutError{Cid: c, Step: s.step()}
	} else {
		err = fmt.Errorf("fetch %s: %w", c, err)
	}
	if x.abandon(c, w) {
		x.post(context.Background(), swap.Drop{Session: s.id, Cids: []cid.Cid{c}})
	}
	return block.Block{}, err
}

// step is what the session is doing, or was doing when it ended.
func (s *Session) step() string {
	phase := s.Progress().Phase
	if phase == "idle" {
		select {
		case <-s.done:
			phase = s.last
		default:
		}
	}
	return phase
}

// Prefetch has blocks fetched and stored that Get will be asked for soon.
func (s *Session) Prefetch(ctx context.Context, cids ...cid.Cid) {
	x := s.x
	var want []cid.Cid
	for _, c := range cids {
		if block.Check(c) != nil {
			continue
		}
		if _, inline := block.Inline(c); inline {
			continue
		}
		if _, err := x.o.Store.Size(ctx, c); err == nil {
			continue
		}
		if b, saved, err := x.await(c, &waiter{s: s}); err == nil && !saved && !b.Cid().Defined() {
			want = append(want, c)
		}
	}
	if len(want) > 0 {
		x.post(ctx, swap.Want{Session: s.id, Cids: want})
	}
}

// await has w wait for c, unless the block is at hand already. saved means that
// it was stored a moment ago.
func (x *Exchange) await(c cid.Cid, w *waiter) (b block.Block, saved bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if b, ok := x.pending[c]; ok {
		return b, false, nil
	}
	if len(x.waiting) >= waitersMax {
		return block.Block{}, false, fmt.Errorf("fetch %s: over %d blocks are being fetched", c, waitersMax)
	}
	x.waiting[c] = append(x.waiting[c], w)
	w.s.prefetches = w.s.prefetches || w.ch == nil
	return block.Block{}, x.saved.has(c), nil
}

// abandon ends the wait of w. It returns true if nobody of its session waits
// for c any more.
func (x *Exchange) abandon(c cid.Cid, w *waiter) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setWaiting(c, slices.DeleteFunc(x.waiting[c], func(o *waiter) bool { return o == w }))
	return !slices.ContainsFunc(x.waiting[c], func(o *waiter) bool { return o.s == w.s })
}

func (x *Exchange) setWaiting(c cid.Cid, list []*waiter) {
	if len(list) == 0 {
		delete(x.waiting, c)
	} else {
		x.waiting[c] = list
	}
}

// stillWaited returns those of the blocks that somebody waits for.
func (x *Exchange) stillWaited(cids []cid.Cid) []cid.Cid {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.DeleteFunc(cids, func(c cid.Cid) bool { return len(x.waiting[c]) == 0 })
}

// isAwaited tells whether a Get waits for c.
func (x *Exchange) isAwaited(c cid.Cid) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.waiting[c], func(w *waiter) bool { return w.ch != nil })
}

// takeWaiting ends the wait for c.
func (x *Exchange) takeWaiting(c cid.Cid) []*waiter {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.waiting[c]
	delete(x.waiting, c)
	return list
}

// Order is in which order the blocks of a DAG are wanted.
type Order = swarm.Order

// The orders.
const (
	// Rarest is all of them, those first that are rare, so that the peers that fetch the
	// same can soon have them from each other.
	Rarest = swarm.Rarest
	// Forward is all of them from the beginning to the end, as they are read: what Get
	// waits for comes before all others, and these only so far ahead as a reader may soon
	// need them.
	Forward = swarm.Forward
	// Parts is only what Get and Prefetch ask for.
	Parts = swarm.Parts
)

// Fetch has the blocks of the DAG below root fetched and stored while the session lives. It
// does not wait for them. A session fetches one DAG so, the first.
//
// Stops are left out, and what they lead to: blocks below which all is here. The DAG without them
// is another one than the whole: only those exchange its blocks as a swarm who leave out the same.
// At most StopsMax count, the first.
func (s *Session) Fetch(root cid.Cid, o Order, stops ...cid.Cid) {
	if block.Check(root) == nil && s.x.o.Links != nil {
		name := pruned(root, stops[:min(len(stops), StopsMax)])
		s.x.post(context.Background(), swarm.Fetch{ID: s.id, Root: name, First: root, Order: o})
	}
}

// StopsMax is how many blocks a Fetch leaves out.
const StopsMax = frame.StopsMax

// deliver hands a block to those that wait for it, and to the store. sessions fetch it,
// whether they wait or not. It returns how many bytes the store owes to unsaved.
func (x *Exchange) deliver(b block.Block, from peer.ID, sessions []uint64) int64 {
	x.mu.Lock()
	list := x.waiting[b.Cid()]
	delete(x.waiting, b.Cid())
	_, twice := x.pending[b.Cid()]
	if !twice {
		x.pending[b.Cid()] = b
		x.queue = append(x.queue, b)
	}
	for _, id := range sessions {
		if s := x.sessions[id]; s != nil {
			s.count(b, from)
		}
	}
	var last *Session
	for _, w := range list {
		if w.s != last && !slices.Contains(sessions, w.s.id) {
			w.s.count(b, from)
			last = w.s
		}
	}
	x.mu.Unlock()
	for _, w := range list {
		if w.ch != nil {
			w.ch <- result{b: b}
		}
	}
	if twice {
		return 0
	}
	select {
	case x.saves <- struct{}{}:
	default:
	}
	return int64(b.Size())
}

// count notes that a block was received. Exchange.mu is held.
func (s *Session) count(b block.Block, from peer.ID) {
	s.blocks.Add(1)
	s.bytes.Add(int64(b.Size()))
	if _, known := s.from[from]; known || len(s.from) < sourcesMax {
		s.from[from] += int64(b.Size())
	}
}

// fail tells those that wait for a block that it will not come, but for the sessions that
// have hope.
func (x *Exchange) fail(a swap.Fail, hopes func(session uint64) bool) {
	x.mu.Lock()
	var end, wait []*waiter
	for _, w := range x.waiting[a.Cid] {
		if hopes(w.s.id) {
			wait = append(wait, w)
		} else {
			end = append(end, w)
		}
	}
	x.setWaiting(a.Cid, wait)
	x.mu.Unlock()
	err := &NotFoundError{Cid: a.Cid, Reason: a.Reason}
	x.log.Debug("want given up", "err", err, "hopeful", len(wait))
	for _, w := range end {
		if w.ch != nil {
			w.ch <- result{err: err}
		}
	}
}
