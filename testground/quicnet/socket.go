package quicnet

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/marcopolo/simnet"
)

// socket is what QUIC takes for a UDP socket. Its fields are guarded by the network's
// mutex.
type socket struct {
	nic      *NIC
	at       netip.AddrPort
	conn     *simnet.SimConn // replaced when the line changes
	deadline time.Time       // of reads
	closed   bool
}

var _ net.PacketConn = (*socket)(nil)

// ephemeral is the port of a host that asks for any.
const ephemeral = 49152

// listen opens the NIC's socket. There is one at a time, because simnet gives each a
// line of its own.
func (c *NIC) listen(at *net.UDPAddr) (net.PacketConn, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	ap := addrPort(at)
	switch {
	case ap.Addr() != c.addr && !ap.Addr().IsUnspecified():
		return nil, fmt.Errorf("listen on %s: address is not %s", at, c.addr)
	case c.socket != nil:
		return nil, fmt.Errorf("listen on %s: %s is open", at, c.socket.at)
	}
	port := ap.Port()
	if port == 0 {
		port = ephemeral
	}
	c.socket = &socket{nic: c, at: netip.AddrPortFrom(c.addr, port)}
	c.socket.connect()
	return c.socket, nil
}

// connect connects the socket by the line as it is now.
func (s *socket) connect() {
	was := s.conn
	s.conn = s.nic.n.packets.NewEndpoint(net.UDPAddrFromAddrPort(s.at), s.nic.link())
	s.conn.SetReadDeadline(s.deadline)
	if was != nil {
		was.Close() // which sends its reader on to the new one
	}
}

// current is the simnet end of the socket.
func (s *socket) current() (*simnet.SimConn, error) {
	s.nic.n.mu.Lock()
	defer s.nic.n.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	return s.conn, nil
}

func (s *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		conn, err := s.current()
		if err != nil {
			return 0, nil, err
		}
		n, from, err := conn.ReadFrom(p)
		if err != nil {
			if now, _ := s.current(); now != nil && now != conn {
				continue // the line has changed
			}
			return 0, nil, err
		}
		if s.nic.receives(addrPort(from), p[:n]) {
			return n, from, nil
		}
	}
}

func (s *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	ap := addrPort(to)
	for {
		conn, err := s.current()
		if err != nil {
			return 0, err
		}
		if !s.nic.sends(ap, len(p)) {
			return len(p), nil
		}
		// simnet tells 4 bytes of an address from the same in 16.
		n, err := conn.WriteTo(p, net.UDPAddrFromAddrPort(ap))
		if now, _ := s.current(); err == nil || now == nil || now == conn {
			return n, err
		}
	}
}

func (s *socket) Close() error {
	n := s.nic.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.nic.socket = nil
	return s.conn.Close()
}

func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.at) }

func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

func (s *socket) SetReadDeadline(t time.Time) error {
	n := s.nic.n
	n.mu.Lock()
	defer n.mu.Unlock()
	s.deadline = t
	return s.conn.SetReadDeadline(t)
}

// SetWriteDeadline does nothing: writes do not wait.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer do nothing; QUIC warns of sockets that have no
// buffers.
func (s *socket) SetReadBuffer(int) error  { return nil }
func (s *socket) SetWriteBuffer(int) error { return nil }
