package dht

import (
	"context"
	"sync"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio/pbio"
)

// lines send messages over a stream of their own to each peer. The DHT's sender opens another
// stream when one breaks, or was closed by a peer as nothing came for a minute: what the first
// one had taken and not delivered is lost, and a question that is asked then is answered all the
// same. A line that breaks stays broken, so an answer says that all that went before has arrived.
type lines struct {
	host     host.Host
	protocol protocol.ID

	mu sync.Mutex // guards by
	by map[peer.ID]*line
}

func newLines(h host.Host, p protocol.ID) *lines {
	return &lines{host: h, protocol: p, by: make(map[peer.ID]*line)}
}

// line is a stream to a peer, opened when it is first used.
type line struct {
	mu     sync.Mutex // held while a message goes, and its answer comes
	stream network.Stream
	err    error // by which it broke
}

// SendMessage implements pb.MessageSender.
func (s *lines) SendMessage(ctx context.Context, p peer.ID, m *pb.Message) error {
	return s.use(ctx, p, func(s network.Stream) error { return pbio.NewDelimitedWriter(s).WriteMsg(m) })
}

// SendRequest implements pb.MessageSender.
func (s *lines) SendRequest(ctx context.Context, p peer.ID, m *pb.Message) (*pb.Message, error) {
	answer := new(pb.Message)
	err := s.use(ctx, p, func(s network.Stream) error {
		if err := pbio.NewDelimitedWriter(s).WriteMsg(m); err != nil {
			return err
		}
		return pbio.NewDelimitedReader(s, network.MessageSizeMax).ReadMsg(answer)
	})
	return answer, err
}

// use lets f use the line to a peer. If it fails, or ctx ends, the line is broken.
func (s *lines) use(ctx context.Context, p peer.ID, f func(network.Stream) error) error {
	s.mu.Lock()
	l := s.by[p]
	if l == nil {
		l = new(line)
		s.by[p] = l
	}
	s.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == nil && l.err == nil {
		l.stream, l.err = s.host.NewStream(ctx, p, s.protocol)
	}
	if l.err != nil {
		return l.err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.stream.Reset() }) // it may have ended
	l.err = f(l.stream)
	if !stop() && l.err == nil {
		l.err = ctx.Err()
	}
	if l.err != nil {
		_ = l.stream.Reset()
	}
	return l.err
}

// close ends all lines. What was sent and not confirmed may be lost.
func (s *lines) close() {
	for _, l := range s.by {
		if l.stream != nil {
			_ = l.stream.Close() // of a broken one, again
		}
	}
}
