package quicnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// Listen is the multiaddr by which a host listens on an address and port.
func (n *Network) Listen(at netip.AddrPort) string {
	kind := "ip4"
	if at.Addr().Is6() {
		kind = "ip6"
	}
	return fmt.Sprintf("/%s/%s/udp/%d/quic-v1", kind, at.Addr(), at.Port())
}

// Transport is a libp2p option that connects a host by c and nothing else.
func (c *NIC) Transport() libp2p.Option {
	return libp2p.ChainOptions(libp2p.Transport(c.transport), libp2p.QUICReuse(c.sockets))
}

// sockets has QUIC listen and dial through c.
func (c *NIC) sockets(life fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
	m, err := quicreuse.NewConnManager(reset, token,
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return c, nil }),
		quicreuse.OverrideListenUDP(func(_ string, at *net.UDPAddr) (net.PacketConn, error) { return c.listen(at) }))
	if err == nil {
		life.Append(fx.StopHook(m.Close))
	}
	return m, err
}

// PreferredSourceIPForDestination makes a NIC a quicreuse.SourceIPSelector.
func (c *NIC) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return c.addr.AsSlice(), nil
}

func (c *NIC) transport(key crypto.PrivKey, m *quicreuse.ConnManager, psk pnet.PSK, gater connmgr.ConnectionGater, r network.ResourceManager) (transport.Transport, error) {
	t, err := libp2pquic.NewTransport(key, m, psk, gater, r)
	if err != nil {
		return nil, err
	}
	return &watched{Transport: t, nic: c}, nil
}

// watched is libp2p's QUIC transport, whose connections a cut can end.
type watched struct {
	transport.Transport
	nic *NIC
}

func (t *watched) Dial(ctx context.Context, addr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	c, err := t.Transport.Dial(ctx, addr, p)
	if err != nil {
		return nil, err
	}
	return c, t.nic.keep(c)
}

func (t *watched) Listen(addr ma.Multiaddr) (transport.Listener, error) {
	l, err := t.Transport.Listen(addr)
	if err != nil {
		return nil, err
	}
	return &watchedListener{Listener: l, nic: t.nic}, nil
}

// Close closes the transport as libp2p would.
func (t *watched) Close() error {
	if c, ok := t.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

type watchedListener struct {
	transport.Listener
	nic *NIC
}

func (l *watchedListener) Accept() (transport.CapableConn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return c, l.nic.keep(c)
}

// keep remembers a connection for as long as it lives, and a little longer.
func (c *NIC) keep(k transport.CapableConn) error {
	remote, _, err := quicreuse.FromQuicMultiaddr(k.RemoteMultiaddr())
	if err != nil {
		return fmt.Errorf("connection with %s: %w", k.RemoteMultiaddr(), err)
	}
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if len(c.conns) == cap(c.conns) { // before it grows
		c.conns = slices.DeleteFunc(c.conns, func(o conn) bool { return o.IsClosed() })
	}
	c.conns = append(c.conns, conn{k, addrPort(remote).Addr()})
	return nil
}
