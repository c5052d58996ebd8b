package gossip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// validationTimeout is how long a Validator may take.
	validationTimeout = 5 * time.Second
	// validationsRunning is how many messages of one topic are validated at once;
	// further ones are dropped.
	validationsRunning = 64
)

// Message is one message of a topic. It must not be changed.
type Message struct {
	From peer.ID // who wrote and signed it
	Via  peer.ID // who passed it on: From itself, or anyone
	Data []byte
}

// Verdict is what a Validator makes of a message.
type Verdict int

const (
	// Accept delivers the message and passes it on.
	Accept Verdict = iota
	// Reject drops it and holds it against the peer that passed it on.
	Reject
	// Ignore drops it and holds it against nobody: it may be right but it is old,
	// or cannot be judged.
	Ignore
)

// Validator judges the messages of a topic before anyone sees them, this
// peer's own included. It is called from several goroutines at once.
type Validator func(ctx context.Context, m Message) Verdict

// TopicError refuses a topic.
type TopicError struct {
	Name string
	What string
}

func (e *TopicError) Error() string { return fmt.Sprintf("topic %q: %s", e.Name, e.What) }

// SizeError refuses a message.
type SizeError struct {
	Size int // bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("message of %d bytes, more than %d", e.Size, DataSizeMax)
}

// Topic is a joined topic.
type Topic struct {
	gossip   *Gossip
	name     string
	validate Validator

	// The following are guarded by gossip.life.
	subs   map[*Subscription]struct{}
	closed bool
	inner  *pubsub.Topic             // nil until gossip runs
	events *pubsub.TopicEventHandler // nil until somebody waits for an arrival
}

// Join enters a topic, once until it is closed. A nil validator accepts
// everything that is signed and not too large. Nothing is received before
// Subscribe.
func (g *Gossip) Join(name string, validate Validator) (*Topic, error) {
	switch {
	case name == "" || len(name) > TopicSizeMax:
		return nil, &TopicError{name, fmt.Sprintf("not between 1 and %d bytes long", TopicSizeMax)}
	case !utf8.ValidString(name):
		return nil, &TopicError{name, "not UTF-8"}
	}
	g.life.Lock()
	defer g.life.Unlock()
	switch {
	case g.stopped():
		return nil, fmt.Errorf("join topic %q: %w", name, ErrStopped)
	case g.topics[name] != nil:
		return nil, &TopicError{name, "joined already"}
	case len(g.topics) == TopicsMax:
		return nil, &TopicError{name, fmt.Sprintf("more than %d topics", TopicsMax)}
	}
	t := &Topic{gossip: g, name: name, validate: validate, subs: make(map[*Subscription]struct{})}
	if g.spawn != nil {
		if err := t.attach(); err != nil {
			return nil, fmt.Errorf("join topic %q: %w", name, stopped(err))
		}
	}
	g.topics[name] = t
	return t, nil
}

func (g *Gossip) stopped() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// stopped translates what pubsub answers when its context has ended.
func stopped(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ErrStopped
	}
	return err
}

// attach joins the topic in pubsub, which runs. gossip.life is held.
func (t *Topic) attach() error {
	g := t.gossip
	if err := g.wake(); err != nil {
		return err
	}
	wire := g.prefix + t.name
	err := g.pubsub.RegisterTopicValidator(wire, t.judge,
		pubsub.WithValidatorTimeout(validationTimeout),
		pubsub.WithValidatorConcurrency(validationsRunning))
	if err != nil {
		return err
	}
	if t.inner, err = g.pubsub.Join(wire); err != nil {
		return err
	}
	if err := t.inner.SetScoreParams(topicScore()); err != nil {
		return err
	}
	for s := range t.subs {
		if err := s.attach(); err != nil {
			return err
		}
	}
	return nil
}

// judge is cheap first: the size, then what the application thinks. pubsub has
// verified the signature before.
func (t *Topic) judge(ctx context.Context, _ peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if len(m.Data) > DataSizeMax {
		return pubsub.ValidationReject
	}
	if t.validate == nil {
		return pubsub.ValidationAccept
	}
	switch t.validate(ctx, messageOf(m)) {
	case Accept:
		return pubsub.ValidationAccept
	case Reject:
		return pubsub.ValidationReject
	default:
		return pubsub.ValidationIgnore
	}
}

func messageOf(m *pubsub.Message) Message {
	return Message{From: m.GetFrom(), Via: m.ReceivedFrom, Data: m.Data}
}

// Publish signs data and sends it to everyone in the topic, own subscriptions
// included. It returns when the message is on its way, which says nothing about
// its arrival: there may be nobody. Before Run it waits.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) > DataSizeMax {
		return &SizeError{len(data)}
	}
	if err := t.gossip.wait(ctx); err != nil {
		return fmt.Errorf("publish to topic %q: %w", t.name, err)
	}
	t.gossip.life.Lock()
	inner, closed := t.inner, t.closed
	t.gossip.life.Unlock()
	if closed {
		return fmt.Errorf("publish to topic %q: %w", t.name, ErrClosed)
	}
	err := inner.Publish(ctx, data)
	var invalid pubsub.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		err = ErrRejected
	case errors.Is(err, pubsub.ErrTopicClosed):
		err = ErrClosed
	case ctx.Err() == nil:
		err = stopped(err)
	}
	return fmt.Errorf("publish to topic %q: %w", t.name, err)
}

// Peers lists who is known to be in the topic, among the connected peers.
func (t *Topic) Peers() []peer.ID {
	t.gossip.life.Lock()
	defer t.gossip.life.Unlock()
	if t.inner == nil || t.closed || t.gossip.stopped() {
		return nil
	}
	return t.inner.ListPeers()
}

// Arrival waits for a peer that comes into the topic, among the connected peers; those who
// are there already come first. It is for one caller at a time, and waits until ctx ends,
// though the topic be closed.
func (t *Topic) Arrival(ctx context.Context) (peer.ID, error) {
	if err := t.gossip.wait(ctx); err != nil {
		return "", fmt.Errorf("watch topic %q: %w", t.name, err)
	}
	events, err := t.watch()
	if err != nil {
		return "", fmt.Errorf("watch topic %q: %w", t.name, stopped(err))
	}
	for {
		e, err := events.NextPeerEvent(ctx)
		if err != nil || e.Type == pubsub.PeerJoin {
			return e.Peer, err
		}
	}
}

func (t *Topic) watch() (*pubsub.TopicEventHandler, error) {
	t.gossip.life.Lock()
	defer t.gossip.life.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if t.events == nil {
		var err error
		if t.events, err = t.inner.EventHandler(); err != nil {
			return nil, err
		}
	}
	return t.events, nil
}

// Close leaves the topic and closes its subscriptions.
func (t *Topic) Close() error {
	g := t.gossip
	g.life.Lock()
	defer g.life.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	delete(g.topics, t.name)
	for s := range t.subs {
		s.detach()
	}
	if t.events != nil {
		t.events.Cancel()
	}
	if t.inner == nil || g.stopped() {
		return nil
	}
	err := errors.Join(g.pubsub.UnregisterTopicValidator(g.prefix+t.name), t.inner.Close())
	if err != nil && !g.stopped() {
		return fmt.Errorf("leave topic %q: %w", t.name, err)
	}
	return nil
}

// Subscription is a queue of a topic's messages.
type Subscription struct {
	topic    *Topic
	messages chan Message
	done     chan struct{} // closed by detach
	once     sync.Once
	inner    *pubsub.Subscription // guarded by gossip.life; nil until gossip runs
}

// Subscribe begins to receive the topic's messages. Each subscription receives
// all of them, from now on.
func (t *Topic) Subscribe() (*Subscription, error) {
	g := t.gossip
	g.life.Lock()
	defer g.life.Unlock()
	switch {
	case t.closed:
		return nil, fmt.Errorf("subscribe to topic %q: %w", t.name, ErrClosed)
	case g.stopped():
		return nil, fmt.Errorf("subscribe to topic %q: %w", t.name, ErrStopped)
	}
	s := &Subscription{topic: t, messages: make(chan Message), done: make(chan struct{})}
	if g.spawn != nil {
		if err := s.attach(); err != nil {
			return nil, fmt.Errorf("subscribe to topic %q: %w", t.name, stopped(err))
		}
	}
	t.subs[s] = struct{}{}
	return s, nil
}

// attach subscribes in pubsub, whose subscription holds the buffer, and hands
// its messages to Next for as long as gossip runs. gossip.life is held.
func (s *Subscription) attach() error {
	g := s.topic.gossip
	inner, err := s.topic.inner.Subscribe(pubsub.WithBufferSize(g.o.Buffer))
	if err != nil {
		return err
	}
	s.inner = inner
	g.spawn(func(ctx context.Context) {
		for {
			m, err := inner.Next(ctx)
			if err != nil {
				return // cancelled, or gossip has stopped
			}
			select {
			case s.messages <- messageOf(m):
			case <-s.done:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

// Next waits for the next message. Its errors are ErrClosed, ErrStopped and the
// context's.
func (s *Subscription) Next(ctx context.Context) (Message, error) {
	select {
	case m := <-s.messages:
		return m, nil
	case <-s.done:
		return Message{}, ErrClosed
	case <-s.topic.gossip.ended:
		return Message{}, ErrStopped
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// Close ends the subscription. The topic stays joined.
func (s *Subscription) Close() {
	s.topic.gossip.life.Lock()
	defer s.topic.gossip.life.Unlock()
	s.detach()
}

// detach ends the subscription once. gossip.life is held.
func (s *Subscription) detach() {
	s.once.Do(func() {
		close(s.done)
		delete(s.topic.subs, s)
		if s.inner != nil {
			s.inner.Cancel()
		}
	})
}
