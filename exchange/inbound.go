package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// inbound is what the streams of one peer to us share.
type inbound struct {
	streams int           // open; guarded by Exchange.mu
	readers chan struct{} // slots for streams
	bodies  chan struct{} // slots for messages
	entries *rate.Limiter
}

// hashJob is a message whose blocks are to be named.
type hashJob struct {
	peer     peer.ID
	payloads []wire.Payload
	size     int64
}

// listen has the host tell of peers and streams.
func (x *Exchange) listen(ctx context.Context) error {
	sub, err := x.host.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
	})
	if err != nil {
		return fmt.Errorf("subscribe to host events: %w", err)
	}
	x.spawn(func() {
		defer sub.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-sub.Out():
				var p peer.ID
				switch e := e.(type) {
				case event.EvtPeerConnectednessChanged:
					p = e.Peer
				case event.EvtPeerIdentificationCompleted:
					p = e.Peer
				case event.EvtPeerProtocolsUpdated:
					p = e.Peer
				}
				x.post(ctx, refresh{p})
			}
		}
	})
	for _, id := range protocols {
		x.host.SetStreamHandler(id, func(s network.Stream) {
			if !x.spawn(func() { x.receive(ctx, s) }) {
				s.Reset()
			}
		})
	}
	x.spawn(func() {
		for _, p := range x.host.Network().Peers() {
			x.post(ctx, refresh{p})
		}
	})
	return nil
}

func (x *Exchange) unlisten() {
	for _, id := range protocols {
		x.host.RemoveStreamHandler(id)
	}
}

// enter counts a stream in. It returns nil if the peer has too many.
func (x *Exchange) enter(p peer.ID) *inbound {
	x.mu.Lock()
	defer x.mu.Unlock()
	in := x.inbound[p]
	if in == nil {
		in = &inbound{
			readers: make(chan struct{}, readersMax), bodies: make(chan struct{}, bodiesMax),
			entries: rate.NewLimiter(entryRateMax, entryBurst),
		}
		x.inbound[p] = in
	}
	if in.streams >= streamsMax {
		return nil
	}
	in.streams++
	return in
}

func (x *Exchange) leave(p peer.ID, in *inbound) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if in.streams--; in.streams == 0 {
		delete(x.inbound, p)
	}
}

// turn waits until the stream may be read. Meanwhile it costs the peer its
// flow-control window, and us no more than that. ok is false if it took too long.
func (in *inbound) turn(ctx context.Context) (ok bool) {
	select {
	case in.readers <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(turnTime)
	defer patience.Stop()
	select {
	case in.readers <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// receive reads the messages of a stream when its turn has come.
func (x *Exchange) receive(ctx context.Context, s network.Stream) {
	p := s.Conn().RemotePeer()
	in := x.enter(p)
	if in == nil {
		x.log.Debug("too many streams", "peer", p)
		s.Reset()
		return
	}
	defer x.leave(p, in)
	if x.isBanned(p) || !in.turn(ctx) {
		s.Reset()
		return
	}
	defer func() { <-in.readers }()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	s.CloseWrite()
	// The peer may be faster than the host's identification of it.
	x.host.Peerstore().AddProtocols(p, s.Protocol())
	x.post(ctx, refresh{p})
	x.read(ctx, s, in)
}

// read reads messages until the stream ends.
func (x *Exchange) read(ctx context.Context, s network.Stream, in *inbound) {
	p := s.Conn().RemotePeer()
	reader := wire.NewReader(s)
	for {
		err := x.receiveOne(ctx, s, reader, in)
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			s.Close()
			return
		case errors.Is(err, wire.ErrMalformed) || errors.Is(err, wire.ErrLimit):
			x.report(p, FaultMalformed)
		case errors.Is(err, errSlow):
			x.report(p, FaultSlow)
		}
		x.log.Debug("read message", "peer", p, "err", err)
		s.Reset()
		return
	}
}

var errSlow = errors.New("message too slow")

// receiveOne reads a message and passes it on: wants and presences at once and
// in order, blocks through the hashers.
func (x *Exchange) receiveOne(ctx context.Context, s network.Stream, reader *wire.Reader, in *inbound) error {
	s.SetReadDeadline(time.Time{}) // between messages a peer may be silent
	length, err := reader.Length()
	if err != nil {
		return err
	}
	select {
	case in.bodies <- struct{}{}:
		defer func() { <-in.bodies }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p := s.Conn().RemotePeer()
	reserved := 0
	defer func() { s.Scope().ReleaseMemory(reserved) }()
	begun := time.Now()
	told, counted := begun, 0
	m, err := reader.Body(length, func(have, size int) error {
		if size > reserved {
			if err := s.Scope().ReserveMemory(size-reserved, network.ReservationPriorityMedium); err != nil {
				return err
			}
			reserved = size
		}
		now := time.Now()
		if now.Sub(told) > progressEvery {
			x.post(ctx, swap.Receiving{Peer: p, Size: have - counted})
			told, counted = now, have
		}
		return s.SetReadDeadline(begun.Add(timeFor(have)))
	})
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	if err != nil {
		return err
	}
	return x.pass(ctx, p, &m, in)
}

func (x *Exchange) pass(ctx context.Context, p peer.ID, m *wire.Message, in *inbound) error {
	e := swap.Received{Peer: p, Full: m.Full, Entries: make([]swap.Entry, len(m.Entries))}
	for i := range m.Entries {
		e.Entries[i] = swap.Entry(m.Entries[i])
	}
	for _, c := range m.Presences {
		if c.Have {
			e.Haves = append(e.Haves, c.Cid)
		} else {
			e.DontHaves = append(e.DontHaves, c.Cid)
		}
	}
	if err := in.entries.WaitN(ctx, len(e.Entries)); err != nil {
		return err
	}
	if m.Full || len(m.Entries)+len(m.Presences) > 0 {
		if err := x.post(ctx, arrival{event: e}); err != nil {
			return err
		}
	}
	if len(m.Payloads) == 0 {
		return nil
	}
	job := hashJob{peer: p, payloads: m.Payloads}
	for i := range m.Payloads {
		job.size += int64(len(m.Payloads[i].Data))
	}
	if err := x.unsaved.Acquire(ctx, job.size); err != nil {
		return err
	}
	select {
	case x.hashes <- job:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hashing names blocks.
func (x *Exchange) hashing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-x.hashes:
			x.post(ctx, arrival{event: x.hash(job), size: job.size})
		}
	}
}

// hash names the blocks of a message. What nobody can have asked for is not
// even hashed.
func (x *Exchange) hash(job hashJob) swap.Received {
	e := swap.Received{Peer: job.peer}
	x.mu.Lock()
	r := x.remotes[job.peer]
	x.mu.Unlock()
	for _, p := range job.payloads {
		if r == nil || !r.expected(p.Prefix) {
			e.JunkSize += len(p.Data)
			continue
		}
		if int64(len(p.Data)) < job.size/2 {
			p.Data = bytes.Clone(p.Data) // or a small block would keep the whole message in memory
		}
		b, err := p.Block()
		if err != nil {
			e.JunkSize += len(p.Data)
			continue
		}
		e.Blocks = append(e.Blocks, b)
	}
	return e
}
