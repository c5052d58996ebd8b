package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// handshakeTrips is how many round trips a dial takes: TCP, TLS.
	handshakeTrips = 2
	// dialTimeout is how long a dial waits for an answer.
	dialTimeout = 15 * time.Second
	// retryFirst is when a dial without an answer is tried again, each time after
	// twice as long.
	retryFirst = time.Second
	// backlogMax is how many connections may wait to be accepted.
	backlogMax = 128
	// ephemeral is the first port of dialers.
	ephemeral = 49152
)

// Errors of a dial.
var (
	errRefused     = errors.New("connection refused")
	errUnreachable = errors.New("no answer")
)

// Transport is libp2p's way into the fabric, of one host.
type Transport struct {
	nic  *NIC
	id   peer.ID
	key  crypto.PubKey
	port uint16
}

// Transport is a libp2p option that connects a host by n and nothing else. It takes
// TCP multiaddrs, so that whatever looks at addresses sees usual ones.
func (n *NIC) Transport() libp2p.Option {
	return libp2p.Transport(func(id peer.ID, key crypto.PrivKey) (transport.Transport, error) {
		return &Transport{nic: n, id: id, key: key.GetPublic(), port: ephemeral}, nil
	})
}

var _ transport.Transport = (*Transport)(nil)

func (t *Transport) Protocols() []int { return []int{ma.P_TCP} }
func (t *Transport) Proxy() bool      { return false }
func (t *Transport) String() string   { return "fabric" }

// CanDial tells whether an address is of the kind that exists here.
func (t *Transport) CanDial(addr ma.Multiaddr) bool {
	_, err := endpoint(addr)
	return err == nil
}

func endpoint(addr ma.Multiaddr) (netip.AddrPort, error) {
	first, err := manet.ToNetAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	tcp, ok := first.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%s: not TCP", addr)
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

func multiaddr(ap netip.AddrPort) ma.Multiaddr {
	kind := "ip4"
	if ap.Addr().Is6() {
		kind = "ip6"
	}
	return ma.StringCast("/" + kind + "/" + ap.Addr().String() + "/tcp/" + strconv.Itoa(int(ap.Port())))
}

// Listen is the multiaddr by which a host listens on an address and port.
func (f *Fabric) Listen(at netip.AddrPort) string { return multiaddr(at).String() }

// Dial connects to p, in two round trips.
func (t *Transport) Dial(ctx context.Context, addr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	to, err := endpoint(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errUnreachable)
	defer cancel()
	d := &dial{t: t, to: to, peer: p, done: make(chan struct{})}
	f := t.nic.f
	f.mu.Lock()
	f.at(time.Now(), d.begin)
	f.mu.Unlock()
	select {
	case <-d.done:
		if d.err != nil {
			return nil, fmt.Errorf("dial %s: %w", addr, d.err)
		}
		return d.conn, nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		d.given = true
		if d.conn != nil { // it came at the same moment
			c := d.conn
			f.at(time.Now(), func(time.Time) { c.closeQuietly() })
		}
		return nil, fmt.Errorf("dial %s: %w", addr, context.Cause(ctx))
	}
}

// dial is a connection in the making.
type dial struct {
	tries int
	t     *Transport
	to    netip.AddrPort
	peer  peer.ID
	done  chan struct{}
	given bool // up
	// answered means that the other end has got the first packet.
	answered bool
	conn     *conn
	err      error
}

func (d *dial) end(c *conn, err error) {
	d.conn, d.err = c, err
	close(d.done)
}

// begin sends the first packet, and again while there is no answer, as TCP does.
func (d *dial) begin(now time.Time) {
	f := d.t.nic.f
	if d.t.nic.dead || d.given || d.answered {
		return
	}
	f.at(now.Add(retryFirst<<d.tries), d.begin)
	d.tries++
	to := f.nics[d.to.Addr()]
	if to == nil {
		return
	}
	f.at(now.Add(f.delay(d.t.nic, to)), func(now time.Time) { d.knock(now, to) })
}

// knock is the first packet at the other end.
func (d *dial) knock(now time.Time, to *NIC) {
	f, from := d.t.nic.f, d.t.nic
	if to.dead || to.line.NoInbound || f.cut(from, to) != Open || d.answered {
		return
	}
	d.answered = true
	back := now.Add(f.delay(to, from))
	if to.listeners[d.to.Port()] == nil {
		f.at(back, func(time.Time) { d.end(nil, errRefused) })
		return
	}
	trips := time.Duration(handshakeTrips-1) * (f.delay(from, to) + f.delay(to, from))
	f.at(now.Add(trips), func(now time.Time) { d.accept(now, to) })
}

// accept makes the connection: at the other end now, here when its word of it arrives.
func (d *dial) accept(now time.Time, to *NIC) {
	f, from := d.t.nic.f, d.t.nic
	l := to.listeners[d.to.Port()]
	if d.given || from.dead || to.dead || l == nil || f.cut(from, to) != Open {
		return
	}
	back := now.Add(f.delay(to, from))
	if l.t.id != d.peer {
		f.at(back, func(time.Time) { d.end(nil, fmt.Errorf("peer is %s, not %s", l.t.id, d.peer)) })
		return
	}
	if len(l.backlog) >= backlogMax {
		return
	}
	d.t.port = max(d.t.port+1, ephemeral)
	near := netip.AddrPortFrom(from.addr, d.t.port)
	c, r := f.newConn(d.t, l.t, multiaddr(near), multiaddr(d.to))
	f.note(now, from.addr, to.addr, frame{kind: traceConn, stream: uint64(d.to.Port())})
	l.backlog = append(l.backlog, r)
	l.ready.Signal()
	f.at(back, func(time.Time) {
		if d.given {
			c.closeQuietly()
			return
		}
		d.end(c, nil)
	})
}

// newConn makes both ends of a connection: c is the dialer's.
func (f *Fabric) newConn(from, to *Transport, near, far ma.Multiaddr) (c, r *conn) {
	end := func(t, o *Transport, addr, farAddr ma.Multiaddr, next uint64) *conn {
		f.conns++
		c := &conn{
			nic: t.nic, transport: t, key: o.key, peer: o.id, addr: addr, farAddr: farAddr,
			ready: sync.NewCond(&f.mu), streams: make(map[uint64]*stream), next: next,
		}
		t.nic.conns[c] = f.conns
		return c
	}
	c, r = end(from, to, near, far, 1), end(to, from, far, near, 2)
	c.remote, r.remote = r, c
	return c, r
}

// closeQuietly closes a connection that nobody has got.
func (c *conn) closeQuietly() {
	c.push(frame{kind: frameBye, code: uint32(network.ConnNoError)})
	queue := c.queue
	c.end(errClosed)
	c.queue = queue
}

// listener accepts connections on a port.
type listener struct {
	t       *Transport
	at      netip.AddrPort
	backlog []*conn
	ready   *sync.Cond
	closed  bool
}

// Listen accepts connections on a port of the NIC's address, or on a free one.
func (t *Transport) Listen(addr ma.Multiaddr) (transport.Listener, error) {
	at, err := endpoint(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	f := t.nic.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.Addr() != t.nic.addr {
		return nil, fmt.Errorf("listen on %s: address is not %s", addr, t.nic.addr)
	}
	port := at.Port()
	if port == 0 {
		for port = 1024; t.nic.listeners[port] != nil; port++ {
		}
	}
	if t.nic.listeners[port] != nil {
		return nil, fmt.Errorf("listen on %s: port is taken", addr)
	}
	l := &listener{t: t, at: netip.AddrPortFrom(at.Addr(), port), ready: sync.NewCond(&f.mu)}
	t.nic.listeners[port] = l
	return l, nil
}

func (l *listener) Accept() (transport.CapableConn, error) {
	f := l.t.nic.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(l.backlog) == 0 {
		if l.closed {
			return nil, transport.ErrListenerClosed
		}
		l.ready.Wait()
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

// end refuses what comes from now on, and what was not accepted.
func (l *listener) end() {
	l.closed = true
	for _, c := range l.backlog {
		c.closeQuietly()
	}
	l.backlog = nil
	l.ready.Broadcast()
}

func (l *listener) Close() error {
	f := l.t.nic.f
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(l.t.nic.listeners, l.at.Port())
	l.end()
	return nil
}

func (l *listener) Addr() net.Addr          { return net.TCPAddrFromAddrPort(l.at) }
func (l *listener) Multiaddr() ma.Multiaddr { return multiaddr(l.at) }
