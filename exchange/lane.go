package exchange

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// lanesMax is how many streams carry blocks to one peer. On a long path one is
// not enough: yamux loses half of a stream's window as it grows (the credit that
// was due is left out of the update that announces the growth), so that the
// sender stands still for a round trip after each window.
const lanesMax = 4

// lanes are the streams that carry blocks to one peer.
type lanes struct {
	protocols []protocol.ID
	pacer     *pacer
	slots     chan struct{} // a token for each lane that nobody writes on

	mu     sync.Mutex // guards the following fields
	all    []*lane    // made when they are needed: most peers get no blocks
	idle   []*lane    // the last was used last
	closed bool
}

func newLanes(protocols []protocol.ID, p *pacer) *lanes {
	ls := &lanes{protocols: protocols, pacer: p, slots: make(chan struct{}, lanesMax)}
	for range lanesMax {
		ls.slots <- struct{}{}
	}
	return ls
}

// close ends the streams. Writes under way fail.
func (ls *lanes) close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.closed = true
	for _, l := range ls.all {
		l.close()
	}
}

// take waits for a lane that nobody writes on, and prefers the one that was used
// last: its window has grown.
func (ls *lanes) take(ctx context.Context) (*lane, error) {
	select {
	case <-ls.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if n := len(ls.idle); n > 0 {
		l := ls.idle[n-1]
		ls.idle = ls.idle[:n-1]
		return l, nil
	}
	l := newLane(ls.protocols)
	l.closed, l.pacer = ls.closed, ls.pacer
	ls.all = append(ls.all, l)
	return l, nil
}

func (ls *lanes) giveBack(l *lane) {
	ls.mu.Lock()
	ls.idle = append(ls.idle, l)
	ls.mu.Unlock()
	ls.slots <- struct{}{}
}

// lane is a stream to a peer that is opened when needed, and reopened when it
// broke. One message is written at a time.
type lane struct {
	protocols []protocol.ID
	// ordered has a write fail if the stream of those before has broken: what they
	// said may not have arrived, and means nothing without.
	ordered bool
	turn    chan struct{} // holds a token while nobody writes

	moved func(size int) // called after each piece that was written, and with 0 while it waits for the pacer; may be nil
	pacer *pacer         // nil if what is written is never limited

	mu     sync.Mutex // guards the following fields
	open   *stream
	closed bool
}

// stream writes messages of bitswap, or frames, as its protocol is.
type stream struct {
	network.Stream
	l        *lane
	messages *wire.Writer
	frames   *frame.Writer

	pacer *pacer    // nil if what is written to this peer is not limited
	due   time.Time // the deadline of the message that is written

	reset sync.Once
	gone  chan struct{} // closed when the stream was reset
}

// Reset ends the stream. A Write that waits for the pacer ends too.
func (s *stream) Reset() error {
	s.reset.Do(func() { close(s.gone) })
	return s.Stream.Reset()
}

// Write writes in pieces, so that it is seen whether a long message goes on.
func (s *stream) Write(p []byte) (n int, err error) {
	moved := s.l.moved
	if moved == nil {
		moved = func(int) {}
	}
	for n < len(p) && err == nil {
		piece := p[n:min(len(p), n+pieceSize)]
		if s.pacer != nil && s.pacer.get() > 0 {
			piece = piece[:min(len(piece), paceSize)]
			// The time that passes is not the peer's.
			s.expect(s.due.Add(s.pacer.pass(len(piece), s.gone, func() { moved(0) })))
		}
		var m int
		m, err = s.Stream.Write(piece)
		n += m
		moved(m)
	}
	return n, err
}

// expect has writes fail at the given time.
func (s *stream) expect(due time.Time) {
	s.due = due
	s.SetWriteDeadline(due)
}

func newLane(protocols []protocol.ID) *lane {
	l := &lane{protocols: protocols, turn: make(chan struct{}, 1)}
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

// write has put write about size bytes on the lane to p. broken says that the stream of
// what was written before had broken: the last of it may not have arrived.
func (x *Exchange) write(ctx context.Context, p peer.ID, l *lane, size int, put func(*stream) error) (broken bool, err error) {
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	s := l.current()
	if s != nil {
		// The stream may have broken while nobody used it; then once more.
		err := writeOn(ctx, s, size, put)
		if err == nil || ctx.Err() != nil {
			return false, err
		}
		if broken = true; l.ordered {
			l.replace(nil)
			return broken, fmt.Errorf("write to %s: %w", p, err)
		}
	}
	s, err = x.openStream(ctx, p, l)
	if err == nil {
		err = l.replace(s)
	}
	if err != nil {
		return broken, fmt.Errorf("open stream to %s: %w", p, err)
	}
	if err := writeOn(ctx, s, size, put); err != nil {
		l.replace(nil)
		return broken, fmt.Errorf("write to %s: %w", p, err)
	}
	return broken, nil
}

func (x *Exchange) openStream(ctx context.Context, p peer.ID, l *lane) (*stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "exchange"), openTime)
	defer cancel()
	s, err := x.host.NewStream(ctx, p, l.protocols...)
	if err != nil {
		return nil, err
	}
	out := &stream{Stream: s, l: l, gone: make(chan struct{})}
	if l.pacer != nil && !near(s.Conn().RemoteMultiaddr()) {
		out.pacer = l.pacer
	}
	if s.Protocol() == frame.Protocol {
		out.frames = frame.NewWriter(out)
	} else {
		out.messages = wire.NewWriter(out, string(s.Protocol()))
	}
	return out, nil
}

func writeOn(ctx context.Context, s *stream, size int, put func(*stream) error) error {
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	s.expect(time.Now().Add(timeFor(size)))
	return put(s)
}
