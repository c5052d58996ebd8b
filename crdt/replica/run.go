package replica

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

const (
	// intervalDefault is about how often a document is compared with a peer's.
	intervalDefault = 30 * time.Second
	// announceInterval is how long after an announcement the next one of a document waits, so
	// that it can tell more at once.
	announceInterval = 50 * time.Millisecond
	// lingerTime is for how long after its last announcement a document stays in its topic, and
	// requests are answered, when Run ends: those who are told get what they are told of.
	lingerTime = 250 * time.Millisecond
	// farewellTimeout is how long the end of Run may take for that, in all.
	farewellTimeout = time.Second
	// callsMax is how many peers wait to be pulled from, for each document; others are
	// forgotten, until the next comparison.
	callsMax = 16
	// againDelay is when what an announcement named is looked for once more, if those that
	// should have it had not: they may have passed on what they were only about to fetch.
	againDelay = time.Second
	// triesMax is how often.
	triesMax = 3
)

// Verdict is what becomes of a message.
type Verdict int

// The verdicts.
const (
	Accept Verdict = iota // pass it on
	Reject                // drop it, and hold it against whoever passed it on
	Ignore                // drop it
)

// Message is a message of a topic.
type Message struct {
	From peer.ID // who wrote it
	Via  peer.ID // who passed it on
	Data []byte
}

// Broadcaster has topics.
type Broadcaster interface {
	// Join enters a topic. judge is asked of each message before anyone sees it.
	Join(name string, judge func(context.Context, Message) Verdict) (Topic, error)
}

// Topic is where the announcements of a document are.
type Topic interface {
	Publish(ctx context.Context, data []byte) error
	// Next waits for a message. An error means that there will be none.
	Next(ctx context.Context) (Message, error)
	// Arrival waits for a peer that comes into the topic, those first that are there.
	Arrival(ctx context.Context) (peer.ID, error)
	Peers() []peer.ID
	Close() error
}

// call is a peer that may have what is missing.
type call struct {
	from  peer.ID
	heads []commit.ID // which it should have; none if it may have any
	tries int
	quiet bool // others in the topic hear of it themselves
}

// Run keeps the documents the same as everybody else's until ctx ends, and waits for all that
// it started. What was edited right before is announced, for which Topics and Host must still be
// there: that takes up to a second. It can run once.
func (r *Replica) Run(ctx context.Context) error {
	if r.o.Host == nil {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var docs, serves sync.WaitGroup
	r.o.Host.SetStreamHandler(wire.Protocol, r.handle)
	r.mu.Lock()
	r.start = func(f func(context.Context)) { docs.Go(func() { f(ctx) }) }
	r.answer = func(f func(context.Context)) { serves.Go(func() { f(serving) }) }
	for _, d := range r.docs {
		r.begin(d)
	}
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	r.start = nil
	r.mu.Unlock()
	docs.Wait()
	r.o.Host.RemoveStreamHandler(wire.Protocol)
	r.mu.Lock()
	r.answer = nil
	r.mu.Unlock()
	end()
	serves.Wait()
	return nil
}

// begin has a document kept the same as everybody else's, if Run runs. mu is held.
func (r *Replica) begin(d *Doc) {
	if r.start != nil {
		d.running.Add(1)
		r.start(func(ctx context.Context) { defer d.running.Done(); d.run(ctx) })
	}
}

// run keeps one document the same as everybody else's, until ctx ends or it is forgotten.
func (d *Doc) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var topic Topic = nowhere{}
	if b := d.replica.o.Topics; b != nil {
		tag := wire.Topic(d.id)
		t, err := b.Join("crdt/"+hex.EncodeToString(tag[:]), d.judge)
		if err != nil {
			d.replica.log.Error("join topic of document", "doc", d.id, "err", err)
		} else {
			topic = t
		}
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		select {
		case <-d.gone:
			cancel()
		case <-ctx.Done():
		}
	})
	tasks.Go(func() { d.announcing(ctx, topic) })
	tasks.Go(func() { d.hearing(ctx, topic) })
	tasks.Go(func() { d.greeting(ctx, topic) })
	d.pulling(ctx, topic)
	tasks.Wait()
	if err := topic.Close(); err != nil {
		d.replica.log.Info("leave topic of document", "doc", d.id, "err", err)
	}
}

// nowhere is the topic of those who have none.
type nowhere struct{}

func (nowhere) Publish(context.Context, []byte) error { return nil }
func (nowhere) Next(ctx context.Context) (Message, error) {
	<-ctx.Done()
	return Message{}, ctx.Err()
}
func (nowhere) Arrival(ctx context.Context) (peer.ID, error) {
	<-ctx.Done()
	return "", ctx.Err()
}
func (nowhere) Peers() []peer.ID { return nil }
func (nowhere) Close() error     { return nil }

// greeting pulls from each peer that comes.
func (d *Doc) greeting(ctx context.Context, topic Topic) {
	for {
		p, err := topic.Arrival(ctx)
		if err != nil {
			return
		}
		d.call(call{from: p})
	}
}

// call has a peer pulled from.
func (d *Doc) call(c call) {
	select {
	case d.calls <- c:
	default:
	}
}

// pulling pulls from those who were called, and now and then from anybody.
func (d *Doc) pulling(ctx context.Context, topic Topic) {
	interval := d.replica.o.Interval
	timer := time.NewTimer(jitter(interval))
	defer timer.Stop()
	for {
		var c call
		select {
		case <-ctx.Done():
			return
		case c = <-d.calls:
		case <-timer.C:
			timer.Reset(jitter(interval))
			peers := topic.Peers()
			if len(peers) == 0 {
				continue
			}
			c.from = peers[rand.IntN(len(peers))]
		}
		d.answer(ctx, c)
	}
}

// jitter is between half of d and one and a half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// answer pulls from a peer what is still missing.
func (d *Doc) answer(ctx context.Context, c call) {
	lacks, err := d.lacks(ctx, c.heads)
	if err != nil || len(c.heads) > 0 && !lacks {
		return
	}
	applied, err := d.pull(ctx, c.from)
	if err != nil && ctx.Err() == nil {
		d.replica.counts.failed.Add(1)
		d.replica.log.Info("pull document", "doc", d.id, "peer", c.from, "err", err)
	}
	if applied > 0 && !c.quiet {
		d.tell()
	}
	if len(c.heads) == 0 || c.tries == triesMax {
		return
	}
	if lacks, err := d.lacks(ctx, c.heads); err == nil && lacks {
		c.tries++
		time.AfterFunc(againDelay, func() { d.call(c) })
	}
}

// lacks tells whether one of these commits is not here.
func (d *Doc) lacks(ctx context.Context, ids []commit.ID) (bool, error) {
	has, err := d.Has(ctx, ids...)
	return err == nil && !has, err
}

// counts are events since Open.
type counts struct {
	announced, heard, forged      atomic.Uint64
	pulled, failed, served, bytes atomic.Uint64
	surveyed                      atomic.Uint64
	rejected, forks, ignored      atomic.Uint64
}

// Stats is a moment of a replica's life; the counts begin with Open.
type Stats struct {
	Docs       int    `json:"docs"`
	MemorySize int64  `json:"memory_size"` // bytes, about
	Announced  uint64 `json:"announced"`   // announcements sent
	Heard      uint64 `json:"heard"`       // announcements received
	Forged     uint64 `json:"forged"`      // announcements rejected
	Pulled     uint64 `json:"pulled"`      // pulls from peers
	Failed     uint64 `json:"failed"`      // pulls that failed
	Surveyed   uint64 `json:"surveyed"`    // pulls before which commits were compared
	Served     uint64 `json:"served"`      // requests answered
	BytesIn    uint64 `json:"bytes_in"`    // pulled
	Rejected   uint64 `json:"rejected"`    // commits that break a rule
	Forks      uint64 `json:"forks"`       // commits by authors who have two histories
	Ignored    uint64 `json:"ignored"`     // snapshots that were damaged, so that the log was applied
}

// Stats can be called at any time.
func (r *Replica) Stats() Stats {
	c := &r.counts
	s := Stats{
		Announced: c.announced.Load(), Heard: c.heard.Load(), Forged: c.forged.Load(),
		Pulled: c.pulled.Load(), Failed: c.failed.Load(), Surveyed: c.surveyed.Load(), Served: c.served.Load(), BytesIn: c.bytes.Load(),
		Rejected: c.rejected.Load(), Forks: c.forks.Load(), Ignored: c.ignored.Load(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Docs, s.MemorySize = len(r.docs), r.size.Load()
	return s
}

// peerOf is the peer with an author's key.
func peerOf(a commit.Author) (peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PublicKey(a[:])
	if err != nil {
		return "", fmt.Errorf("read key of author %s: %w", a, err)
	}
	return peer.IDFromPublicKey(key)
}

// authorOf is the key in a peer's ID.
func authorOf(p peer.ID) (a commit.Author, err error) {
	key, err := p.ExtractPublicKey()
	if err != nil {
		return a, fmt.Errorf("read key of peer %s: %w", p, err)
	}
	raw, err := key.Raw()
	if err != nil || len(raw) != len(a) {
		return a, fmt.Errorf("read key of peer %s: not an Ed25519 key", p)
	}
	return commit.Author(raw), nil
}
