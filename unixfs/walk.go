package unixfs

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/p2pnode/p2pnode/block"
)

// The ordered parallel walk.
//
// The walk keeps a list of what lies ahead of its consumer, in depth-first
// order: items, which are blocks in flight or arrived, and between them markers,
// which stand for children not asked for yet. When a node arrives, a marker for
// its children takes the place right behind it, wherever in the list that is;
// so blocks of many files and directories are in flight at once, and still come
// out in order.
//
//	consumer ← [file 1] [leaf] [leaf] (3 more leaves) [file 2] (97 more entries)
//	           ready    ready  flight  marker          flight   marker
//
// What to ask for next is always the first child of the first marker: the block
// nearest to the consumer. Markers wait in a heap ordered by position.
//
// Backpressure: blocks in flight (by estimate) and arrived (by size), including
// the nodes behind markers, stay within windowBlocks and windowBytes. The
// exception is the block that the consumer waits for, which is asked for in any
// case, or nothing would move. A block that turns out larger than its parent
// claimed, and does not fit, is forgotten and asked for again in its turn: a
// liar costs time, not memory.

// heldExtraMax is how far the nodes on the path to the consumer may exceed the
// window, in bytes. Honest paths hold a few hundred KiB.
const heldExtraMax = 64 << 20

// walkOptions is what a walk is told by its owner.
type walkOptions struct {
	windowBlocks int
	windowBytes  int64
	linksMax     uint64
	grow         func(place, block.Block) (grown, error)
	discard      bool             // nobody wants the blocks: only errors come out
	eager        bool             // wake the consumer for every block
	admit        func(place) bool // optional; called in order: whether to visit
}

// walk is the state of one walk.
type walk struct {
	get   func(place) (block.Block, error)
	hurry func(place) // nothing goes on without it
	o     walkOptions
	done  <-chan struct{}
	cause func() error
	wake  chan struct{} // something changed that the consumer may wait for
	wg    sync.WaitGroup

	mu      sync.Mutex // guards the following fields
	f       frontier
	window  int64     // bytes; starts as o.windowBytes
	blocks  int       // in flight or arrived
	bytes   int64     // of these, and of the nodes behind markers
	held    int64     // of the nodes behind markers alone
	current int64     // of the item that the consumer has
	links   uint64    // visited
	failed  *position // discard only: nothing behind it is asked for
	totals  Totals
}

// newWalk starts a walk at root. It ends when ctx does; the owner then calls
// w.wg.Wait.
func newWalk(ctx context.Context, g block.Getter, root place, o walkOptions) *walk {
	w := &walk{
		get:    func(p place) (block.Block, error) { return getBlock(ctx, g, p) },
		hurry:  func(place) {},
		o:      o,
		done:   ctx.Done(),
		cause:  func() error { return context.Cause(ctx) },
		wake:   make(chan struct{}, 1),
		window: o.windowBytes,
	}
	if p, ok := g.(block.Prefetcher); ok {
		w.hurry = func(of place) { p.Prefetch(ctx, of.cid) }
	}
	w.f.init()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f.insert(&item{
		state: marker, kind: root.kind, rest: 1, pos: position{up: &position{}, depth: 1},
		next: func() (place, error) { return root, nil },
	}, nil)
	w.fill()
	return w
}

// next returns the next item in order, or io.EOF. The one before is no longer
// counted, so the consumer must be done with it.
func (w *walk) next() (*item, error) {
	for {
		if it, err := w.poll(); it != nil || err != nil {
			return it, err
		}
		if err := w.await(); err != nil {
			return nil, err
		}
	}
}

// await returns when poll may have something new to say. The Gets in flight have no
// order: whoever serves them is told what the consumer waits for.
func (w *walk) await() error {
	if p, waits := w.waitsFor(); waits {
		w.hurry(p)
	}
	select {
	case <-w.wake:
		return nil
	case <-w.done:
		return w.ended()
	}
}

// waitsFor is what is in flight and comes next, if it was not asked before.
func (w *walk) waitsFor() (place, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	it := w.f.first()
	if it == nil || it.state != inFlight || it.hurried || it.place.known {
		return place{}, false
	}
	it.hurried = true
	return it.place, true
}

// ended is why the walk was ended from outside: as the block that the consumer
// waits for tells it, which knows what was tried to get it, else the bare cause.
func (w *walk) ended() error {
	w.wg.Wait() // Gets end with the context
	w.mu.Lock()
	defer w.mu.Unlock()
	cause := w.cause()
	for it := w.f.first(); it != nil && it != &w.f.ring; it = it.right {
		if it.err != nil && errors.Is(it.err, cause) {
			return it.err
		}
	}
	return cause
}

// poll is next without the waiting: nil, nil says that the next block is still
// in flight.
func (w *walk) poll() (*item, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= w.current
	w.current = 0
	w.fill()
	it := w.f.first()
	switch {
	case it == nil:
		return nil, io.EOF
	case it.state != ready:
		return nil, nil
	}
	w.f.remove(it)
	w.blocks--
	w.current = it.bytes
	return it, nil
}

// front is the kind of what comes next.
func (w *walk) front() (k kind, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it := w.f.first(); it != nil {
		return it.kind, true
	}
	return 0, false
}

// skip drops what comes next, as long as it is of kind k.
func (w *walk) skip(k kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for it := w.f.first(); it != nil && it.kind == k; it = w.f.first() {
		w.f.remove(it)
		switch it.state {
		case marker:
			w.bytes -= it.bytes
			w.held -= it.bytes
		case ready:
			w.bytes -= it.bytes
			w.blocks--
		case inFlight: // settle uncounts it
			it.state = gone
		}
	}
	w.fill()
}

// setWindow changes the window, in bytes.
func (w *walk) setWindow(bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.window = bytes
}

// fill asks for blocks, nearest first, while there is room; the caller holds mu.
func (w *walk) fill() {
	for len(w.f.markers) > 0 {
		m := w.f.markers[0]
		select {
		case <-w.done:
			return
		default:
		}
		if w.failed != nil && w.failed.before(&m.pos) {
			return
		}
		p := m.peek()
		bytes := p.estimate()
		if w.full(m, bytes) && !w.awaited(m) {
			return
		}
		w.links++
		if w.links > w.o.linksMax {
			m.err = &LimitError{What: "links", Max: w.o.linksMax}
		}
		if m.err != nil || p.bytes > 0 || w.o.admit == nil || w.o.admit(*p) {
			w.ask(m, bytes)
		}
		w.advance(m)
	}
}

// full tells whether the window has no room for the next child of m; the caller
// holds mu. As long as nodes in flight may yet bring forth nearer blocks, half
// of the window is kept free for these: else blocks that are far from the
// consumer, and leave the window last, would soon fill it.
func (w *walk) full(m *item, bytes int64) bool {
	blocksMax, bytesMax := w.o.windowBlocks, w.window
	if !w.o.discard && !w.f.settled(m) {
		blocksMax, bytesMax = blocksMax/2, bytesMax/2
	}
	return w.blocks >= blocksMax || w.bytes+bytes > bytesMax
}

// awaited tells whether it is what the consumer cannot go on without; the caller
// holds mu.
func (w *walk) awaited(it *item) bool { return w.current == 0 && w.f.first() == it }

// ask turns the next child of marker m into an item; the caller holds mu.
func (w *walk) ask(m *item, bytes int64) {
	it := &item{pos: m.pos, kind: m.place.kind, place: m.place, bytes: bytes, err: m.err}
	w.f.insert(it, m.left)
	w.blocks++
	w.bytes += bytes
	if it.err != nil || it.place.known {
		w.settle(it, 0, grown{link: it.place.link}, it.err)
		return
	}
	w.wg.Add(1)
	go w.run(it)
}

// advance moves marker m to its next child; the caller holds mu.
func (w *walk) advance(m *item) {
	m.rest--
	m.pos.index++
	m.peeked = false
	if m.rest == 0 {
		w.f.remove(m)
		w.bytes -= m.bytes
		w.held -= m.bytes
	}
}

// run gets one block and makes sense of it.
func (w *walk) run(it *item) {
	defer w.wg.Done()
	b, err := w.get(it.place)
	var g grown
	if err == nil {
		g, err = w.o.grow(it.place, b)
	}
	w.mu.Lock()
	w.settle(it, b.Size(), g, err)
	w.fill()
	first := w.f.first()
	news := first == nil || first.state == ready || w.o.eager
	w.mu.Unlock()
	if news {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// settle takes in what came of it; the caller holds mu.
func (w *walk) settle(it *item, size int, g grown, err error) {
	estimate := it.bytes
	w.bytes -= estimate
	it.bytes = 0
	w.f.landed(it)
	if it.state == gone {
		w.blocks--
		return
	}
	var data, node int64 // what must be kept
	if len(g.data) > 0 && !w.o.discard {
		data = int64(size)
	}
	if g.links > 0 {
		node = int64(size)
	}
	if err == nil && w.bytes+data+node > w.window && data+node > estimate && !w.awaited(it) {
		w.again(it, data+node)
		return
	}
	if err == nil && w.held+node > w.window+heldExtraMax {
		err = &LimitError{What: "bytes of nodes in one path", Max: uint64(w.window + heldExtraMax)}
	}
	it.state, it.err = ready, err
	if err != nil {
		w.fail(it)
		return
	}
	it.bytes = data
	w.bytes += data
	it.grown = g
	if g.links > 0 {
		w.mark(it, node)
	}
	if w.o.discard {
		w.totals.Blocks++
		w.totals.Bytes += int64(size)
		w.f.remove(it)
		w.blocks--
	}
}

// mark puts a marker for the children of it behind it; the caller holds mu.
func (w *walk) mark(it *item, bytes int64) {
	at := it.pos
	w.f.insert(&item{
		state: marker, kind: it.grown.kind, bytes: bytes,
		pos:  position{up: &at, depth: at.depth + 1},
		next: it.grown.next, rest: it.grown.links,
	}, it)
	it.grown.next = nil
	w.bytes += bytes
	w.held += bytes
}

// again puts a marker in the place of it, which knows the true size now; the
// caller holds mu.
func (w *walk) again(it *item, bytes int64) {
	p := it.place
	p.bytes = bytes
	m := &item{
		state: marker, kind: it.kind, pos: it.pos, rest: 1,
		next: func() (place, error) { return p, nil },
	}
	w.f.insert(m, it)
	w.f.remove(it)
	w.blocks--
}

// fail remembers the first failure in order; the caller holds mu.
func (w *walk) fail(it *item) {
	if w.o.discard && (w.failed == nil || it.pos.before(w.failed)) {
		at := it.pos
		w.failed = &at
	}
}
