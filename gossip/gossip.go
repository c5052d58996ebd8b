// Package gossip spreads small signed messages to everyone who has joined a
// topic, usually within a second and without any of them knowing all the others.
//
// The protocol is gossipsub 1.1 and later by go-libp2p-pubsub, which enters the
// house here and nowhere else. This package fixes its policy: every message is
// signed by its author, every size and count is bounded, peers are scored, and a
// message is validated before it is passed on.
//
// It is not reliable delivery: a message may be lost, or come twice after a
// while, or out of order. What has to arrive is fetched by other means; gossip
// only says that it exists.
//
// Invariant: Subscription.Next never returns a message that its author did not
// sign or that the topic's Validator did not accept.
//
// Sources: the libp2p gossipsub specification, versions 1.0 to 1.3; Vyzovitis et
// al., "GossipSub: Attack-Resilient Message Propagation", 2020; the score
// parameters of Prysm, an Ethereum client.
package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of every topic.
const (
	// DataSizeMax is the largest message in bytes.
	DataSizeMax = 64 << 10
	// TopicsMax is how many topics one peer may be in, this one included.
	TopicsMax = 256
	// TopicSizeMax is the longest topic name in bytes.
	TopicSizeMax = 128

	networkSizeMax = 64 // bytes of a network's name
	// envelopeSizeMax is what a message needs besides its data: author, sequence
	// number, topic, signature and, for RSA authors, their key.
	envelopeSizeMax = 4 << 10
	// bufferDefault is how many messages wait for a slow reader.
	bufferDefault = 64
)

var (
	// ErrStopped is the error of everything once Run has ended.
	ErrStopped = errors.New("gossip has stopped")
	// ErrRejected is the error of publishing what the topic's own Validator does
	// not accept.
	ErrRejected = errors.New("message rejected by the topic's validator")
	// ErrClosed is the error of a topic or a subscription that was closed.
	ErrClosed = errors.New("closed")

	errRunTwice = errors.New("run gossip: it can run once")
)

// Options configure gossip. The zero value is the default network.
type Options struct {
	// Network keeps the topics of different networks apart. "" means "p2pnode".
	Network string
	// Buffer is how many messages each subscription holds for a slow reader
	// before the newest are dropped. Zero means 64.
	Buffer int
	// Score is what is known of a peer from elsewhere, around −100 to 100; it is
	// added to the peer's gossip score. It must return at once and must not call
	// back into this package. nil means nothing is known.
	Score func(peer.ID) float64
	// Logger hears of what goes on in the background. nil means silence.
	Logger *slog.Logger
}

// Gossip is one host's part in the topics of one network. It can be used before
// Run: topics are joined when Run begins, publishing waits for it. A host that has never
// joined a topic does not speak gossipsub.
type Gossip struct {
	host   host.Host
	o      Options
	prefix string
	tally  *tally

	started, ended chan struct{}

	// life is held while topics come and go, calls into pubsub included: pubsub
	// never calls back into what takes it.
	life   sync.Mutex
	topics map[string]*Topic
	ran    bool
	spawn  func(func(context.Context)) // starts what must end with Run; nil unless running
	begin  func() (*pubsub.PubSub, error)
	pubsub *pubsub.PubSub // nil before the first topic
}

// New prepares gossip on h and starts nothing. The host needs its private key,
// as every message is signed with it.
func New(h host.Host, o Options) (*Gossip, error) {
	if o.Network == "" {
		o.Network = "p2pnode"
	}
	if len(o.Network) > networkSizeMax || strings.Contains(o.Network, "/") {
		return nil, fmt.Errorf("network name %q: longer than %d bytes or with a slash", o.Network, networkSizeMax)
	}
	if o.Buffer <= 0 {
		o.Buffer = bufferDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	prefix := "/p2pnode/" + o.Network + "/"
	return &Gossip{
		host:    h,
		o:       o,
		prefix:  prefix,
		tally:   newTally(prefix),
		started: make(chan struct{}),
		ended:   make(chan struct{}),
		topics:  make(map[string]*Topic),
	}, nil
}

// Run takes part in the network until ctx ends, waits for everything it started
// that can be waited for, and returns nil. It can run once.
func (g *Gossip) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !g.claim() {
		return errRunTwice
	}
	var tasks sync.WaitGroup
	err := g.start(ctx, &tasks)
	if err == nil {
		<-ctx.Done()
	} else if ctx.Err() != nil {
		err = nil // it was stopped while it started
	}
	cancel()
	g.life.Lock()
	g.spawn = nil
	close(g.ended)
	g.life.Unlock()
	tasks.Wait()
	g.hangUp()
	return err
}

func (g *Gossip) claim() bool {
	g.life.Lock()
	defer g.life.Unlock()
	first := !g.ran
	g.ran = true
	return first
}

func (g *Gossip) start(ctx context.Context, tasks *sync.WaitGroup) error {
	g.life.Lock()
	defer g.life.Unlock()
	g.begin = g.starter(ctx, tasks)
	tasks.Go(func() { g.reuniting(ctx) })
	g.spawn = func(f func(context.Context)) { tasks.Go(func() { f(ctx) }) }
	for _, t := range g.topics {
		if err := t.attach(); err != nil {
			return fmt.Errorf("join topic %q: %w", t.name, err)
		}
	}
	close(g.started)
	return nil
}

// wake begins to speak gossipsub: with the first topic, for it costs streams to every
// peer, and whoever is in no topic has no use for them. life is held.
func (g *Gossip) wake() error {
	if g.pubsub != nil {
		return nil
	}
	ps, err := g.begin()
	if err != nil {
		return fmt.Errorf("start gossipsub: %w", err)
	}
	g.pubsub = ps
	return nil
}

// starter returns what starts pubsub: in a goroutine of Run, not of whoever joins the
// first topic, for pubsub's own inherit its labels, by which profiles and traces tell
// the nodes of a process apart.
func (g *Gossip) starter(ctx context.Context, tasks *sync.WaitGroup) func() (*pubsub.PubSub, error) {
	type started struct {
		pubsub *pubsub.PubSub
		err    error
	}
	orders, results := make(chan struct{}), make(chan started)
	tasks.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-orders:
				ps, err := g.newPubSub(ctx)
				results <- started{ps, err}
			}
		}
	})
	return func() (*pubsub.PubSub, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case orders <- struct{}{}:
			s := <-results
			return s.pubsub, s.err
		}
	}
}

func (g *Gossip) newPubSub(ctx context.Context) (*pubsub.PubSub, error) {
	return pubsub.NewGossipSub(ctx, g.host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(DataSizeMax+envelopeSizeMax),
		pubsub.WithSubscriptionFilter(g.tally),
		pubsub.WithRawTracer(g.tally),
		pubsub.WithPeerScore(peerScore(g.o.Score), scoreThresholds()),
		pubsub.WithPeerGater(pubsub.DefaultPeerGaterParams()),
		// What this peer writes goes to everyone it knows in the topic: else it
		// would be lost to those whom the mesh takes in only afterwards.
		pubsub.WithFloodPublish(true),
		pubsub.WithLogger(g.o.Logger),
		pubsub.WithRPCLogger(g.o.Logger),
	)
}

// hangUp ends the streams of pubsub, whose readers would else live as long as
// the connections, and refuses new ones.
func (g *Gossip) hangUp() {
	for _, id := range pubsub.GossipSubDefaultProtocols {
		g.host.RemoveStreamHandler(id)
	}
	for _, c := range g.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if isGossip(s) {
				_ = s.Reset() // the peer may have closed it already
			}
		}
	}
}

func isGossip(s network.Stream) bool {
	for _, id := range pubsub.GossipSubDefaultProtocols {
		if s.Protocol() == id {
			return true
		}
	}
	return false
}

// wait returns once gossip runs.
func (g *Gossip) wait(ctx context.Context) error {
	select {
	case <-g.ended:
		return ErrStopped
	default:
	}
	select {
	case <-g.started:
		return nil
	case <-g.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats is a moment of gossip's life; the counts begin with New.
type Stats struct {
	Topics      int    `json:"topics"`
	Peers       int    `json:"peers"`     // that speak gossipsub
	Links       int    `json:"links"`     // mesh links: peers that pass messages on, summed over topics
	Delivered   uint64 `json:"delivered"` // messages that were valid and new, own ones included
	Duplicate   uint64 `json:"duplicate"`
	Rejected    uint64 `json:"rejected"`    // by signature, size or a Validator
	Undelivered uint64 `json:"undelivered"` // dropped because a subscription's reader was slow
	Unsent      uint64 `json:"unsent"`      // RPCs dropped because a peer was slow
}

// Stats can be called at any time.
func (g *Gossip) Stats() Stats {
	s := g.tally.stats()
	g.life.Lock()
	defer g.life.Unlock()
	s.Topics = len(g.topics)
	return s
}
