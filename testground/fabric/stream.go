package fabric

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	// windowSize is how many bytes of a stream may be written and not yet read.
	windowSize = 4 << 20
	// unsentMax is how many of a connection's bytes may wait for the line. All its
	// streams share it, as they share a socket: whoever writes each message on a new
	// one must not find room for all of them.
	unsentMax = 256 << 10
	// frameSize is the most bytes of a frame; between two, others get their turn.
	frameSize = 16 << 10
)

// stream is one end of a stream: two halves that end independently.
type stream struct {
	c   *conn
	id  uint64
	in  half
	out half
	tap io.Writer // may be nil
}

// half is one direction of a stream, as one end sees it.
type half struct {
	s        *stream
	changed  *sync.Cond
	deadline time.Time
	ended    error // io.EOF after a FIN

	data   [][]byte // in: arrived, not read
	unsent int      // out: bytes that wait for the line
	queued bool     // out: among the connection's writers
	unread int      // out: bytes written, not read at the other end
}

func (c *conn) newStream(id uint64) *stream {
	s := &stream{c: c, id: id}
	for _, h := range []*half{&s.in, &s.out} {
		h.s, h.changed = s, sync.NewCond(&c.nic.f.mu)
	}
	if tap := c.nic.f.o.Tap; tap != nil {
		s.tap = tap()
	}
	c.streams[id] = s
	return s
}

// arrived takes data in.
func (h *half) arrived(p []byte) {
	if h.ended != nil {
		h.credit(len(p)) // nobody will read it
		return
	}
	h.data = append(h.data, p)
	h.changed.Broadcast()
}

// finish ends the way in after what has arrived.
func (h *half) finish() {
	if h.ended == nil {
		h.ended = io.EOF
		h.changed.Broadcast()
		h.s.forget()
	}
}

// stop ends a half at once.
func (h *half) stop(cause error) {
	if h.ended == nil || h.ended == io.EOF {
		h.ended = cause
	}
	h.data = nil
	h.changed.Broadcast()
	h.s.forget()
}

// sent notes that bytes have left for the line.
func (h *half) sent(n int) {
	if h == nil {
		return
	}
	h.unsent -= n
	h.s.c.sent(n)
	h.changed.Broadcast()
}

// full tells whether h must wait for room on the line. One frame of each stream may
// wait whatever the others have, so that none is kept out by a large one.
func (h *half) full() bool { return h.unsent > 0 && h.s.c.unsent >= unsentMax }

// sent lets the next one write that waits for room, or all if nothing else will.
func (c *conn) sent(n int) {
	c.unsent -= n
	for len(c.writers) > 0 && c.unsent < unsentMax {
		h := c.writers[0]
		c.writers[0] = nil
		c.writers = c.writers[1:]
		h.queued = false
		h.changed.Broadcast()
		if c.unsent > 0 {
			return
		}
	}
}

// credit gives the writer at the other end room for n more bytes.
func (h *half) credit(n int) {
	if far := h.s.c.remote.streams[h.s.id]; far != nil {
		far.out.unread -= n
		far.out.changed.Broadcast()
	}
}

// forget frees a stream of which both halves have ended.
func (s *stream) forget() {
	if s.in.ended != nil && s.out.ended != nil && len(s.in.data) == 0 {
		delete(s.c.streams, s.id)
	}
}

// drop ends both halves.
func (s *stream) drop(cause error) {
	s.in.stop(cause)
	s.out.stop(cause)
}

// abort ends the stream on both sides.
func (s *stream) abort(code network.StreamErrorCode) {
	if s.in.ended != nil && s.out.ended != nil && len(s.in.data) == 0 {
		return
	}
	s.c.push(frame{kind: frameReset, stream: s.id, code: uint32(code)})
	s.drop(&network.StreamError{ErrorCode: code})
}

// wait waits for a change, or the deadline.
func (h *half) wait() error {
	if !h.deadline.IsZero() {
		if !time.Now().Before(h.deadline) {
			return os.ErrDeadlineExceeded
		}
	}
	h.changed.Wait()
	return nil
}

func (s *stream) Read(p []byte) (int, error) {
	defer s.c.lock()()
	h := &s.in
	for len(h.data) == 0 {
		if h.ended != nil {
			return 0, h.ended
		}
		if err := h.wait(); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(p) && len(h.data) > 0 {
		m := copy(p[n:], h.data[0])
		n += m
		if h.data[0] = h.data[0][m:]; len(h.data[0]) == 0 {
			h.data[0] = nil
			h.data = h.data[1:]
		}
	}
	h.credit(n)
	s.forget()
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	defer s.c.lock()()
	h := &s.out
	written := 0
	for written < len(p) {
		if h.ended != nil {
			if h.ended == io.EOF {
				return written, io.ErrClosedPipe
			}
			return written, h.ended
		}
		if full := h.full(); full || h.unread >= windowSize {
			if full && !h.queued {
				h.queued = true
				s.c.writers = append(s.c.writers, h)
			}
			if err := h.wait(); err != nil {
				return written, err
			}
			continue
		}
		n := min(len(p)-written, frameSize)
		h.unsent += n
		h.unread += n
		s.c.unsent += n
		s.c.push(frame{kind: frameData, stream: s.id, data: append([]byte(nil), p[written:written+n]...), from: h})
		if s.tap != nil {
			s.tap.Write(p[written : written+n]) // its errors are its own
		}
		written += n
	}
	return written, nil
}

func (s *stream) Close() error {
	err := s.CloseWrite()
	s.CloseRead()
	return err
}

func (s *stream) CloseWrite() error {
	defer s.c.lock()()
	if s.out.ended == nil {
		s.c.push(frame{kind: frameFin, stream: s.id})
		s.out.ended = io.EOF
		s.out.changed.Broadcast()
		s.forget()
	}
	return nil
}

func (s *stream) CloseRead() error {
	defer s.c.lock()()
	h := &s.in
	if h.ended == nil {
		s.c.push(frame{kind: frameStop, stream: s.id})
	}
	h.stop(network.ErrReset)
	return nil
}

func (s *stream) Reset() error { return s.ResetWithError(network.StreamNoError) }

func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	defer s.c.lock()()
	s.abort(code)
	return nil
}

func (s *stream) SetDeadline(t time.Time) error {
	defer s.c.lock()()
	s.in.setDeadline(t)
	s.out.setDeadline(t)
	return nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	defer s.c.lock()()
	s.in.setDeadline(t)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	defer s.c.lock()()
	s.out.setDeadline(t)
	return nil
}

func (h *half) setDeadline(t time.Time) {
	h.deadline = t
	h.changed.Broadcast()
	if t.IsZero() {
		return
	}
	h.s.c.nic.f.at(t, func(time.Time) {
		if h.deadline.Equal(t) {
			h.changed.Broadcast()
		}
	})
}
