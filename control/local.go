package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Local serves h to the returned client in memory, for a process that owns the
// repo itself. Close ends both.
func Local(h http.Handler) *Client {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := Server(h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l) // its only end is Close
	}()
	c := newClient("http://localhost", "", l.dial, nil)
	c.stop = func() error {
		err := srv.Close()
		<-done
		return err
	}
	return c
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
