package exchange

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// lanesMax is how many streams carry blocks to one peer. On a long path one is
// not enough: yamux loses half of a stream's window as it grows (the credit that
// was due is left out of the update that announces the growth), so that the
// sender stands still for a round trip after each window.
const lanesMax = 4

// remote is a peer that can be talked to. Wants and answers have a stream of
// their own, so that they never wait behind blocks.
type remote struct {
	id      peer.ID
	control *lane
	slots   chan struct{} // a token for each lane of data that nobody writes on
	valued  bool          // by the connection manager; touched by the loop only

	mu     sync.Mutex // guards the following fields
	data   []*lane    // made when they are needed: most peers get no blocks
	idle   []*lane    // of data; the last was used last
	closed bool
	expect map[cid.Prefix]time.Time // kinds of CID that were asked for, and until when they are worth hashing
}

func newRemote(p peer.ID) *remote {
	r := &remote{
		id: p, control: newLane(), slots: make(chan struct{}, lanesMax),
		expect: make(map[cid.Prefix]time.Time),
	}
	for range lanesMax {
		r.slots <- struct{}{}
	}
	return r
}

// close ends the streams. Writes under way fail.
func (r *remote) close() {
	r.control.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, l := range r.data {
		l.close()
	}
}

// takeLane waits for a lane that nobody writes on, and prefers the one that was
// used last: its window has grown.
func (r *remote) takeLane(ctx context.Context) (*lane, error) {
	select {
	case <-r.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.idle); n > 0 {
		l := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return l, nil
	}
	l := newLane()
	l.closed = r.closed
	r.data = append(r.data, l)
	return l, nil
}

func (r *remote) giveBack(l *lane) {
	r.mu.Lock()
	r.idle = append(r.idle, l)
	r.mu.Unlock()
	r.slots <- struct{}{}
}

// expected tells whether blocks of this kind were asked for.
func (r *remote) expected(p cid.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.expect[p])
}

func (r *remote) willExpect(entries []swap.Entry) {
	until := time.Now().Add(expectTime)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range entries {
		if p := entries[i].Cid.Prefix(); !entries[i].Cancel {
			if _, known := r.expect[p]; !known && len(r.expect) >= prefixesMax {
				clear(r.expect)
			}
			r.expect[p] = until
		}
	}
}

// lane is a stream to a peer that is opened when needed, and reopened when it
// broke. One message is written at a time.
type lane struct {
	turn chan struct{} // holds a token while nobody writes

	moved func(size int) // called after each piece that was written; may be nil

	mu     sync.Mutex // guards the following fields
	open   *stream
	closed bool
}

type stream struct {
	network.Stream
	l *lane
	w *wire.Writer
}

// Write writes in pieces, so that it is seen whether a long message goes on.
func (s *stream) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = s.Stream.Write(p[n:min(len(p), n+pieceSize)])
		if n += m; s.l.moved != nil {
			s.l.moved(m)
		}
	}
	return n, err
}

func newLane() *lane {
	l := &lane{turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.open != nil {
		l.open.Reset()
	}
}

func (l *lane) current() *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// replace makes s the stream of the lane.
func (l *lane) replace(s *stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && s != nil {
		s.Reset()
		return network.ErrReset
	}
	if l.open != nil {
		l.open.Reset()
	}
	l.open = s
	return nil
}

// write sends a message of about size bytes on the lane to p. broken says that the
// stream of the messages before had broken: the last of them may not have arrived.
func (x *Exchange) write(ctx context.Context, p peer.ID, l *lane, m *wire.Message, size int) (broken bool, err error) {
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	s := l.current()
	if s != nil {
		// The stream may have broken while nobody used it; then once more.
		if err := x.writeOn(ctx, s, m, size); err == nil || ctx.Err() != nil {
			return false, err
		}
		broken = true
	}
	s, err = x.openStream(ctx, p, l)
	if err == nil {
		err = l.replace(s)
	}
	if err != nil {
		return broken, fmt.Errorf("open stream to %s: %w", p, err)
	}
	if err := x.writeOn(ctx, s, m, size); err != nil {
		l.replace(nil)
		return broken, fmt.Errorf("write to %s: %w", p, err)
	}
	return broken, nil
}

func (x *Exchange) openStream(ctx context.Context, p peer.ID, l *lane) (*stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "exchange"), openTime)
	defer cancel()
	s, err := x.host.NewStream(ctx, p, protocols...)
	if err != nil {
		return nil, err
	}
	out := &stream{Stream: s, l: l}
	out.w = wire.NewWriter(out, string(s.Protocol()))
	return out, nil
}

func (x *Exchange) writeOn(ctx context.Context, s *stream, m *wire.Message, size int) error {
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	s.SetWriteDeadline(time.Now().Add(timeFor(size)))
	return s.w.Write(m)
}

// send writes wants and presences.
func (d *driver) send(ctx context.Context, a swap.Send) {
	x := d.x
	r := x.remotes[a.Peer]
	if r == nil {
		return
	}
	r.willExpect(a.Entries)
	m := &wire.Message{Full: a.Full, Entries: make([]wire.Entry, len(a.Entries))}
	size := 0
	for i := range a.Entries {
		m.Entries[i] = wire.Entry(a.Entries[i])
		size += m.Entries[i].Size()
	}
	for _, c := range a.Haves {
		m.Presences = append(m.Presences, wire.Presence{Cid: c, Have: true})
	}
	for _, c := range a.DontHaves {
		m.Presences = append(m.Presences, wire.Presence{Cid: c})
	}
	size += len(m.Presences) * block.CIDSizeMax
	x.spawn(func() {
		broken, err := x.write(ctx, a.Peer, r.control, m, size)
		if err != nil {
			x.log.Debug("send wants", "peer", a.Peer, "err", err)
		}
		x.post(ctx, swap.Sent{Peer: a.Peer, Failed: err != nil, Broken: broken})
	})
}

// look asks the store which blocks it has.
func (x *Exchange) look(ctx context.Context, a swap.Look) {
	e := swap.Looked{Peer: a.Peer, Blocks: make([]swap.Sized, len(a.Cids))}
	for i, c := range a.Cids {
		size, err := x.o.Store.Size(ctx, c)
		if err != nil {
			size = -1
		}
		e.Blocks[i] = swap.Sized{Cid: c, Size: size}
	}
	x.post(ctx, e)
}

// serve reads blocks and writes them to a peer.
func (x *Exchange) serve(ctx context.Context, r *remote, a swap.Serve) {
	e := swap.Served{Peer: a.Peer, Seq: a.Seq}
	m := &wire.Message{Pending: a.Pending}
	for _, c := range a.Cids {
		b, err := x.o.Store.Get(ctx, c)
		if err != nil {
			x.log.Debug("read block to serve", "cid", c, "err", err)
			e.Missing = append(e.Missing, c)
			continue
		}
		m.Payloads = append(m.Payloads, wire.PayloadOf(b))
		e.Size += b.Size()
	}
	if len(m.Payloads) > 0 {
		if err := x.writeBlocks(ctx, r, m, e.Size, a.Seq); err != nil {
			x.log.Debug("send blocks", "peer", a.Peer, "err", err)
			e.Failed = true
		}
	}
	x.post(ctx, e)
}

func (x *Exchange) writeBlocks(ctx context.Context, r *remote, m *wire.Message, size int, seq uint64) error {
	l, err := r.takeLane(ctx)
	if err != nil {
		return err
	}
	defer r.giveBack(l)
	told, gone := time.Now(), 0
	l.moved = func(size int) {
		gone += size
		if now := time.Now(); now.Sub(told) >= servingEvery {
			x.post(ctx, swap.Serving{Peer: r.id, Seq: seq, Size: gone})
			told, gone = now, 0
		}
	}
	_, err = x.write(ctx, r.id, l, m, size)
	return err
}
