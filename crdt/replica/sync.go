package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Limits on requests.
const (
	// pullsMax is how many pulls are under way, each with up to a section in memory.
	pullsMax = 4
	// landmarksMax is how many commits a pull names at first.
	landmarksMax = 256
	// servesMax is how many requests are answered at once; others are told to come again.
	servesMax = 32
	// servesPeerMax is how many of them may be of one peer, which never needs more than pullsMax.
	servesPeerMax = 4
	// idleTimeout is how long a stream may carry nothing.
	idleTimeout = 20 * time.Second
	// pullTimeout is how long a pull may take. What has come is kept, and the next one goes on.
	pullTimeout = 5 * time.Minute
)

// StatusError is what a peer has answered instead of what it was asked for.
type StatusError struct {
	Peer   peer.ID
	Status wire.Status
}

func (e *StatusError) Error() string { return fmt.Sprintf("peer %s answers: %s", e.Peer, e.Status) }

// line is a stream that fails when nothing comes or goes for a while, or when it is late.
type line struct {
	network.Stream
	end  time.Time
	in   uint64 // bytes
	stop func() bool
}

// newLine makes a line of a stream, which is cut when ctx ends. It must be dropped.
func newLine(ctx context.Context, s network.Stream) *line {
	l := &line{Stream: s, end: time.Now().Add(pullTimeout)}
	l.stop = context.AfterFunc(ctx, l.cut)
	return l
}

// cut ends both directions. That it fails means that they have ended.
func (l *line) cut() { _ = l.Reset() }

// drop ends what was read to its end, or what nobody wants the rest of.
func (l *line) drop() {
	l.stop()
	l.cut()
}

func (l *line) deadline() time.Time {
	idle := time.Now().Add(idleTimeout)
	if idle.After(l.end) {
		return l.end
	}
	return idle
}

func (l *line) Read(b []byte) (int, error) {
	if err := l.SetReadDeadline(l.deadline()); err != nil {
		return 0, err
	}
	n, err := l.Stream.Read(b)
	l.in += uint64(n)
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	if err := l.SetWriteDeadline(l.deadline()); err != nil {
		return 0, err
	}
	return l.Stream.Write(b)
}

// ask sends a request about the document, and returns the line on which the answer comes, of
// which the status was read. It must be closed.
func (d *Doc) ask(ctx context.Context, to peer.ID, req wire.Request) (*line, wire.Status, error) {
	s, err := d.replica.o.Host.NewStream(ctx, to, wire.Protocol)
	if err != nil {
		return nil, 0, err
	}
	l := newLine(ctx, s)
	req.Topic = wire.Topic(d.id)
	req.Proof = wire.Proof(d.id, s.Conn().LocalPeer(), to)
	var answer [1]byte
	if _, err = l.Write(req.Append(nil)); err == nil {
		if err = s.CloseWrite(); err == nil {
			_, err = io.ReadFull(l, answer[:])
		}
	}
	if err != nil {
		l.drop()
		return nil, 0, err
	}
	status, err := wire.StatusOf(answer[0])
	if err != nil {
		l.drop()
		d.replica.o.Judge.Report(to, FaultMalformed)
		return nil, 0, err
	}
	return l, status, nil
}

// pull asks a peer for what is missing, applies it, and tells how many commits it was. What a
// peer does wrong ends the pull, and what was applied stays.
func (d *Doc) pull(ctx context.Context, from peer.ID) (applied int, err error) {
	r := d.replica
	select {
	case r.pulls <- struct{}{}:
		defer func() { <-r.pulls }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("pull %s from %s: %w", d.id, from, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, pullTimeout+idleTimeout) // the line is cut before
	defer cancel()
	s, err := d.lock(ctx)
	if err != nil {
		return 0, err
	}
	request := wire.Request{Kind: wire.Pull, Commits: uint64(s.core.Recent()), Have: s.core.Landmarks(landmarksMax)}
	d.mu.Unlock()
	l, status, err := d.ask(ctx, from, request)
	if err == nil && status == wire.Unclear {
		l.drop()
		l, status, err = d.askClearly(ctx, from, request.Have)
	}
	if err != nil {
		return 0, err
	}
	defer l.drop()
	if status != wire.OK {
		return 0, &StatusError{from, status}
	}
	r.counts.pulled.Add(1)
	applied, err = d.unpack(ctx, from, l)
	r.counts.bytes.Add(l.in)
	return applied, err
}

// askClearly asks for what is missing after a survey has told what is not. Landmarks are what
// there is to say if it has not.
func (d *Doc) askClearly(ctx context.Context, from peer.ID, landmarks []commit.ID) (*line, wire.Status, error) {
	have, err := d.survey(ctx, from)
	if err != nil {
		return nil, 0, fmt.Errorf("survey: %w", err)
	}
	if have == nil {
		have = landmarks
	}
	return d.ask(ctx, from, wire.Request{Kind: wire.Pull, Have: have})
}

// unpack applies a bundle.
func (d *Doc) unpack(ctx context.Context, from peer.ID, l io.Reader) (applied int, err error) {
	bundle := wire.NewBundleReader(l)
	defer bundle.Close()
	var begun *beginning
	for {
		section, err := bundle.Next()
		switch {
		case errors.Is(err, io.EOF) && begun != nil:
			d.replica.o.Judge.Report(from, FaultIncomplete)
			return applied, fmt.Errorf("base that nothing proves: %w", wire.ErrMalformed)
		case errors.Is(err, io.EOF):
			return applied, nil
		case errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrLimit):
			d.replica.o.Judge.Report(from, FaultMalformed)
			return applied, err
		case err != nil:
			return applied, err
		}
		if section.Base != nil {
			if begun, err = d.begin(ctx, from, *section.Base); err != nil {
				return applied, err
			}
			continue
		}
		if begun != nil {
			n, err := begun.take(ctx, section)
			applied += n
			if err != nil {
				return applied, err
			}
			if n > 0 {
				begun = nil
			}
			continue
		}
		if len(section.Heads) == 0 {
			d.replica.o.Judge.Report(from, FaultMalformed)
			return applied, fmt.Errorf("section without heads: %w", wire.ErrMalformed)
		}
		report, before, err := d.receive(ctx, from, section.Blocks, section.Heads)
		applied += len(report.Applied)
		if err != nil {
			return applied, err
		}
		if len(report.Rejected) > 0 {
			return applied, report.Rejected[0].Err
		}
		if before {
			continue // what its heads follow may not be wanted here
		}
		// Each section holds all that its heads follow: else it could go on for ever.
		if lacks, err := d.lacks(ctx, idsOf(section.Heads)); err != nil || lacks {
			if lacks {
				d.replica.o.Judge.Report(from, FaultIncomplete)
				err = fmt.Errorf("heads without what they follow: %w", wire.ErrMalformed)
			}
			return applied, err
		}
	}
}

// handle answers a request, while Run runs.
func (r *Replica) handle(s network.Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer == nil {
		_ = s.Reset() // the peer may have before
		return
	}
	r.answer(func(ctx context.Context) { r.serve(ctx, s) })
}

func (r *Replica) serve(ctx context.Context, s network.Stream) {
	l := newLine(ctx, s)
	defer l.stop()
	defer s.Close()
	select {
	case r.serves <- struct{}{}:
		defer func() { <-r.serves }()
	default:
		r.reply(l, wire.Busy)
		return
	}
	from := s.Conn().RemotePeer()
	if !r.admit(from) {
		r.reply(l, wire.Busy)
		return
	}
	defer r.dismiss(from)
	data, err := io.ReadAll(io.LimitReader(l, wire.RequestSizeMax+1))
	if err != nil {
		l.cut()
		return
	}
	req, err := wire.DecodeRequest(data)
	if err != nil {
		if !errors.Is(err, wire.ErrVersion) {
			r.o.Judge.Report(from, FaultMalformed)
		}
		l.cut()
		return
	}
	r.mu.Lock()
	d := r.topics[req.Topic]
	r.mu.Unlock()
	if d == nil || req.Proof != wire.Proof(d.id, from, s.Conn().LocalPeer()) {
		r.reply(l, wire.Unknown)
		return
	}
	r.counts.served.Add(1)
	switch req.Kind {
	case wire.Redeem:
		err = d.redeem(ctx, l, from, req.Secret)
	case wire.Survey:
		err = d.tellRanges(ctx, l, req.Ranges)
	default:
		err = d.send(ctx, l, from, req)
	}
	if err != nil {
		r.log.Info("answer about document", "doc", d.id, "peer", from, "err", err)
		l.cut()
	}
}

// admit tells whether one more request of a peer is answered now. Then it must be dismissed.
func (r *Replica) admit(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.served[p] == servesPeerMax {
		return false
	}
	r.served[p]++
	return true
}

func (r *Replica) dismiss(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.served[p]--; r.served[p] == 0 {
		delete(r.served, p)
	}
}

// reply answers with a status alone.
func (r *Replica) reply(l *line, s wire.Status) {
	if _, err := l.Write([]byte{byte(s)}); err != nil {
		l.cut()
	}
}

// send sends what is on disk and not known to somebody who has the commits that a pull names.
// If they have some that are not here, they are asked next.
func (d *Doc) send(ctx context.Context, l *line, to peer.ID, req wire.Request) error {
	ctx, cancel := context.WithDeadline(ctx, l.end)
	defer cancel()
	s, err := d.lock(ctx)
	if err != nil {
		return err
	}
	t, count := s.tip, uint64(s.core.Recent())
	missing := s.core.Since(idsOf(t.heads), req.Have)
	news := slices.ContainsFunc(req.Have, func(id commit.ID) bool { return !s.core.Has(id) })
	var base *crdt.Base
	if s.core.Compacted() && !slices.ContainsFunc(req.Have, s.core.Has) {
		var b crdt.Base
		b, err = s.core.Origin()
		base = &b
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if news && base == nil { // else what is not here is before the horizon
		d.call(call{from: to})
	}
	if base == nil && dark(req.Commits, count-min(count, uint64(len(missing))), len(missing)) {
		d.replica.reply(l, wire.Unclear)
		return nil
	}
	if _, err := l.Write([]byte{byte(wire.OK)}); err != nil {
		return err
	}
	p := packer{doc: d, bundle: wire.NewBundleWriter(l)}
	if base != nil {
		if err := p.bundle.Base(*base); err != nil {
			return err
		}
	}
	if err := p.pack(ctx, t, missing); err != nil {
		return err
	}
	return p.bundle.Close()
}

// packer packs commits of a document's log.
type packer struct {
	doc    *Doc
	bundle *wire.BundleWriter
}

// pack writes these commits, in sections between the marks of the log.
func (p *packer) pack(ctx context.Context, t tip, ids []commit.ID) error {
	if len(ids) == 0 {
		return nil
	}
	store := p.doc.replica.store
	numbers := make([]uint64, len(ids))
	for i, id := range ids {
		_, n, err := store.find(ctx, id)
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	slices.SortFunc(numbers, cmp.Compare[uint64]) // the log, too, has parents before children
	marks, err := store.marks(ctx, p.doc.id, t)
	if err != nil {
		return err
	}
	for _, m := range marks {
		k, _ := slices.BinarySearch(numbers, m.count)
		if k == 0 {
			continue
		}
		heads, err := p.here(ctx, m.heads)
		if err != nil {
			return err
		}
		if err := p.section(ctx, heads, numbers[:k]); err != nil {
			return err
		}
		numbers = numbers[k:]
	}
	return nil
}

// here are the heads of a mark that are part of the document still.
func (p *packer) here(ctx context.Context, heads []crdt.Head) ([]crdt.Head, error) {
	s, err := p.doc.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer p.doc.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(heads), func(h crdt.Head) bool { return !s.core.Has(h.ID) }), nil
}

// section writes the commits with these numbers.
func (p *packer) section(ctx context.Context, heads []crdt.Head, numbers []uint64) error {
	if err := p.bundle.Heads(heads); err != nil {
		return err
	}
	store, id := p.doc.replica.store, p.doc.id
	for len(numbers) > 0 {
		k := 1 // those in a row are read at once
		for k < len(numbers) && numbers[k] == numbers[0]+uint64(k) {
			k++
		}
		err := store.log(ctx, id, numbers[0], numbers[0]+uint64(k), func(b block.Block) error { return p.bundle.Block(b) })
		if err != nil {
			return err
		}
		numbers = numbers[k:]
	}
	return nil
}
