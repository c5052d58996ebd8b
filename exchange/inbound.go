package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"

	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// inbound is what the streams of one peer to us share.
type inbound struct {
	streams int           // open; guarded by Exchange.mu
	readers chan struct{} // slots for streams
	bodies  chan struct{} // slots for messages
	entries *rate.Limiter // of bitswap
	leaves  *rate.Limiter // that frames make the machine look at
	account account       // of both
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
	for _, id := range x.spoken() {
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
	for _, id := range x.spoken() {
		x.host.RemoveStreamHandler(id)
	}
}

// spoken lists the protocols that are spoken here.
func (x *Exchange) spoken() []protocol.ID {
	if x.o.Links == nil {
		return protocols
	}
	return slices.Concat(swarmProtocols, protocols)
}

// enter counts a stream in. It returns nil if the peer has too many.
func (x *Exchange) enter(p peer.ID) *inbound {
	x.mu.Lock()
	defer x.mu.Unlock()
	in := x.inbound[p]
	if in == nil {
		in = &inbound{
			readers: make(chan struct{}, readersMax), bodies: make(chan struct{}, bodiesMax),
			entries: rate.NewLimiter(entryRateMax, entryBurst), leaves: rate.NewLimiter(leafRateMax, leafBurst),
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
	if s.Protocol() == frame.Protocol {
		x.readFrames(ctx, s, in)
	} else {
		x.read(ctx, s, in)
	}
}

// read reads messages until the stream ends.
func (x *Exchange) read(ctx context.Context, s network.Stream, in *inbound) {
	reader := wire.NewReader(s)
	for {
		if err := x.receiveOne(ctx, s, reader, in); err != nil {
			x.endRead(s, err)
			return
		}
	}
}

// endRead ends a stream of which no more can be read, and reports what was wrong with it.
func (x *Exchange) endRead(s network.Stream, err error) {
	p := s.Conn().RemotePeer()
	switch {
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		s.Close()
		return
	case errors.Is(err, wire.ErrMalformed) || errors.Is(err, wire.ErrLimit) || errors.Is(err, frame.ErrMalformed) || errors.Is(err, frame.ErrLimit):
		x.report(p, FaultMalformed)
	case errors.Is(err, errSlow):
		x.report(p, FaultSlow)
	}
	x.log.Debug("read stream", "peer", p, "protocol", s.Protocol(), "err", err)
	s.Reset()
}

var errSlow = errors.New("message too slow")

// receiveOne reads a message and passes it on: wants and presences at once and
// in order, blocks through the hashers.
func (x *Exchange) receiveOne(ctx context.Context, s network.Stream, reader *wire.Reader, in *inbound) error {
	p := s.Conn().RemotePeer()
	received := func(size int) { x.post(ctx, swap.Receiving{Peer: p, Size: size}) }
	return x.readOne(ctx, s, reader, in, received, func(buf []byte) (blocks bool, err error) {
		m, err := wire.Decode(buf)
		if err != nil {
			return false, err
		}
		return len(m.Payloads) > 0, x.pass(ctx, p, &m, in)
	})
}

// readOne reads what one length is in front of, tells of long ones how they come in, and
// has take take it, which says whether it held blocks. Small ones never wait for those that
// are large, and only what holds blocks, or is large, for the limit.
func (x *Exchange) readOne(ctx context.Context, s network.Stream, reader *wire.Reader, in *inbound, received func(size int), take func([]byte) (blocks bool, err error)) error {
	s.SetReadDeadline(time.Time{}) // between messages a peer may be silent
	length, err := reader.Length()
	if err != nil {
		return err
	}
	if length > smallMax {
		select {
		case in.bodies <- struct{}{}:
			defer func() { <-in.bodies }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	reserved := 0
	defer func() { s.Scope().ReleaseMemory(reserved) }()
	begun := time.Now()
	told, counted := begun, 0
	paid := 0
	pay := func(have int) {
		if x.down.get() > 0 && !near(s.Conn().RemoteMultiaddr()) {
			// The time that passes is not the peer's, nor is it silent.
			begun = begun.Add(x.down.pass(have-paid, ctx.Done(), func() { received(0) }))
		}
		paid = have
	}
	buf, err := reader.Bytes(length, func(have, size int) error {
		if size > reserved {
			if err := s.Scope().ReserveMemory(size-reserved, network.ReservationPriorityMedium); err != nil {
				return err
			}
			reserved = size
		}
		if length > smallMax {
			pay(have)
		}
		now := time.Now()
		if now.Sub(told) > progressEvery {
			received(have - counted)
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
	blocks, err := take(buf)
	if blocks || length > smallMax {
		pay(length)
	}
	return err
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
	if err := x.gate.pass(ctx, &in.account, wanted(e.Entries)); err != nil {
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
	case x.hashes <- func() { x.post(ctx, arrival{event: x.hash(job), size: job.size}) }:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wanted is how many entries want something.
func wanted(list []swap.Entry) (n int) {
	for i := range list {
		if !list[i].Cancel {
			n++
		}
	}
	return n
}

// gave says that what a peer has asked for was here, n times.
func (x *Exchange) gave(p peer.ID, n int) {
	x.mu.Lock()
	in := x.inbound[p]
	x.mu.Unlock()
	if in != nil && n > 0 {
		in.account.refund(n)
	}
}

// hashing names and verifies blocks.
func (x *Exchange) hashing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-x.hashes:
			job()
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
