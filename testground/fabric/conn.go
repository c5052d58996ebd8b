package fabric

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// How connections end other than by being closed.
var (
	errClosed      = errors.New("connection closed")
	errRemote      = errors.New("connection closed by the other end")
	errRemoteReset = errors.New("connection reset by the other end")
	errTimeout     = errors.New("connection timed out")
	errCrashed     = errors.New("host crashed")
)

// acceptMax is how many streams of a connection may wait to be accepted.
const acceptMax = 256

// conn is one end of a connection. Its fields are guarded by the fabric's mutex.
type conn struct {
	nic       *NIC
	remote    *conn
	transport *Transport
	key       crypto.PubKey // of the other end
	peer      peer.ID       // the other end
	addr      ma.Multiaddr
	farAddr   ma.Multiaddr

	// The way out.
	queue       []frame // to be put on the line
	unsent      int     // bytes of streams in it
	writers     []*half // that wait for room in it, in turn
	waiting     bool    // for the uplink
	flight      int     // bytes on the way
	lastArrival time.Time
	seq         uint64
	held        []frame // stopped by a cut
	silentSince time.Time

	// The way in.
	expected uint64  // sequence number of the next frame
	early    []frame // arrived before it, in order
	accepted []*stream
	ready    *sync.Cond // there is something to accept, or nothing any more

	streams map[uint64]*stream
	next    uint64 // ID of the next stream; odd ones are the dialer's
	ended   error
}

// frame is what travels on a connection.
type frame struct {
	seq    uint64
	kind   frameKind
	stream uint64
	data   []byte
	code   uint32
	from   *half
}

type frameKind uint8

const (
	frameOpen frameKind = iota
	frameData
	frameFin   // no more data
	frameStop  // no more data is wanted
	frameReset // of the stream
	frameBye   // of the connection
)

// push puts a frame in the queue.
func (c *conn) push(fr frame) {
	if c.ended != nil || c.nic.dead {
		return
	}
	fr.seq = c.seq
	c.seq++
	c.queue = append(c.queue, fr)
	c.nic.offer(c, time.Now())
}

// deliver hands frames that have arrived to the other end, in their order.
func (c *conn) deliver(fr frame, now time.Time) {
	r := c.remote
	if fr.seq != r.expected {
		i, _ := slices.BinarySearchFunc(r.early, fr.seq, func(e frame, seq uint64) int { return int(int64(e.seq) - int64(seq)) })
		r.early = slices.Insert(r.early, i, fr)
		return
	}
	r.handle(fr)
	for r.expected = fr.seq + 1; len(r.early) > 0 && r.early[0].seq == r.expected; r.expected++ {
		fr = r.early[0]
		r.early = r.early[1:]
		r.handle(fr)
		c.flight -= len(fr.data)
	}
	c.flight -= len(fr.data)
	c.nic.offer(c, now)
}

// handle takes a frame in.
func (c *conn) handle(fr frame) {
	if c.ended != nil {
		return
	}
	switch fr.kind {
	case frameBye:
		c.end(&network.ConnError{Remote: true, ErrorCode: network.ConnErrorCode(fr.code), TransportError: errRemote})
		return
	case frameOpen:
		s := c.newStream(fr.stream)
		if len(c.accepted) >= acceptMax {
			s.abort(network.StreamResourceLimitExceeded)
			return
		}
		c.accepted = append(c.accepted, s)
		c.ready.Signal()
		return
	}
	s := c.streams[fr.stream]
	if s == nil {
		return // closed on this side
	}
	switch fr.kind {
	case frameData:
		s.in.arrived(fr.data)
	case frameFin:
		s.in.finish()
	case frameStop:
		s.out.stop(network.ErrReset)
	case frameReset:
		s.drop(&network.StreamError{Remote: true, ErrorCode: network.StreamErrorCode(fr.code)})
	}
}

// end closes this end without a word to the other.
func (c *conn) end(cause error) {
	if c.ended != nil {
		return
	}
	c.ended = cause
	c.queue, c.held, c.early = nil, nil, nil
	delete(c.nic.conns, c)
	for _, s := range c.streams {
		s.drop(cause)
	}
	c.accepted = nil
	c.ready.Broadcast()
}

func (c *conn) lock() func() {
	c.nic.f.mu.Lock()
	return c.nic.f.mu.Unlock
}

func (c *conn) Close() error { return c.CloseWithError(network.ConnNoError) }

func (c *conn) CloseWithError(code network.ConnErrorCode) error {
	defer c.lock()()
	if c.ended != nil {
		return nil
	}
	// What was queued goes out first, as from a socket that is closed.
	for _, s := range c.streams {
		s.drop(errClosed)
	}
	c.push(frame{kind: frameBye, code: uint32(code)})
	queue := c.queue
	c.end(&network.ConnError{ErrorCode: code, TransportError: errClosed})
	c.queue = queue
	return nil
}

func (c *conn) IsClosed() bool {
	defer c.lock()()
	return c.ended != nil
}

func (c *conn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	defer c.lock()()
	if c.ended != nil {
		return nil, c.ended
	}
	s := c.newStream(c.next)
	c.next += 2
	c.push(frame{kind: frameOpen, stream: s.id})
	return s, nil
}

func (c *conn) AcceptStream() (network.MuxedStream, error) {
	defer c.lock()()
	for len(c.accepted) == 0 {
		if c.ended != nil {
			return nil, c.ended
		}
		c.ready.Wait()
	}
	s := c.accepted[0]
	c.accepted = c.accepted[1:]
	return s, nil
}

func (c *conn) As(any) bool                        { return false }
func (c *conn) LocalPeer() peer.ID                 { return c.transport.id }
func (c *conn) RemotePeer() peer.ID                { return c.peer }
func (c *conn) RemotePublicKey() crypto.PubKey     { return c.key }
func (c *conn) ConnState() network.ConnectionState { return network.ConnectionState{Transport: "tcp"} }
func (c *conn) LocalMultiaddr() ma.Multiaddr       { return c.addr }
func (c *conn) RemoteMultiaddr() ma.Multiaddr      { return c.farAddr }
func (c *conn) Scope() network.ConnScope           { return &network.NullScope{} }
func (c *conn) Transport() transport.Transport     { return c.transport }

// inOrder lists the connections of a peer in the order of their making.
func (n *NIC) inOrder() []*conn {
	list := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *conn) int { return int(int64(n.conns[a]) - int64(n.conns[b])) })
	return list
}

// inOrder lists the peers by their address.
func (f *Fabric) inOrder() []*NIC {
	list := make([]*NIC, 0, len(f.nics))
	for _, n := range f.nics {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *NIC) int { return a.addr.Compare(b.addr) })
	return list
}
