package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Local serves h to the returned client in memory, for a process that owns the
// repo itself. Close ends both, and returns when no call of h runs any more.
func Local(h http.Handler) *Client {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	calls := &calls{inner: h}
	srv := Server(calls)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l) // its only end is Close
	}()
	c := newClient("http://localhost", "", l.dial, nil)
	c.stop = func() error {
		err := srv.Close()
		<-done
		calls.end()
		return err
	}
	return c
}

// calls waits for the calls of a handler, which http.Server.Close does not.
type calls struct {
	inner   http.Handler
	running sync.WaitGroup

	mu    sync.Mutex // guards the following field, and the Add above against Wait
	ended bool
}

func (c *calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	c.inner.ServeHTTP(w, r)
}

func (c *calls) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.running.Wait()
}

// pipes is a net.Listener of in-memory connections.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("listener is closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "memory" }
