package rival

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// Gossipsub is go-libp2p-pubsub's, with its defaults: no scores, no flooding of own
// messages.
type Gossipsub struct {
	host   host.Host
	pubsub *pubsub.PubSub
	count  *count
	spawn  func(func(context.Context)) // starts what must end with Close
	stop   context.CancelFunc
	tasks  sync.WaitGroup
}

// OpenGossipsub seats gossipsub alone. It knows whom it is connected to.
func OpenGossipsub(_ context.Context, s sim.Seat) (*Gossipsub, error) {
	h, err := newHost(s)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	g := &Gossipsub{host: h, count: new(count), stop: stop}
	g.spawn = func(f func(context.Context)) { g.tasks.Go(func() { f(ctx) }) }
	if g.pubsub, err = pubsub.NewGossipSub(ctx, h, pubsub.WithRawTracer(g.count)); err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("open gossipsub: %w", err), h.Close())
	}
	return g, nil
}

// Host is what it talks over.
func (g *Gossipsub) Host() host.Host { return g.host }

// Close ends gossipsub and its host.
func (g *Gossipsub) Close() error {
	g.stop()
	err := g.host.Close() // ends the readers of its streams
	g.tasks.Wait()
	return err
}

// Listen joins a topic and has hear called with each message of it, one at a time.
func (g *Gossipsub) Listen(topic string, hear func(data []byte, via peer.ID)) (publish func(context.Context, []byte) error, err error) {
	t, err := g.pubsub.Join(topic)
	if err != nil {
		return nil, fmt.Errorf("join %q: %w", topic, err)
	}
	s, err := t.Subscribe()
	if err != nil {
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	g.spawn(func(ctx context.Context) {
		for {
			m, err := s.Next(ctx) // gossipsub itself does not tell it of its end
			if err != nil {
				return
			}
			hear(m.Data, m.ReceivedFrom)
		}
	})
	return func(ctx context.Context, data []byte) error { return t.Publish(ctx, data) }, nil
}

// Repeated is how many messages have come that were there already.
func (g *Gossipsub) Repeated() uint64 { return g.count.duplicate.Load() }

// count is a tracer that counts those.
type count struct{ duplicate atomic.Uint64 }

var _ pubsub.RawTracer = (*count)(nil)

func (c *count) DuplicateMessage(*pubsub.Message) { c.duplicate.Add(1) }

// The rest of a tracer is not counted.
func (c *count) DeliverMessage(*pubsub.Message)           {}
func (c *count) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (c *count) OnClosedOutboundStream(peer.ID)           {}
func (c *count) Join(string)                              {}
func (c *count) Leave(string)                             {}
func (c *count) Graft(peer.ID, string)                    {}
func (c *count) Prune(peer.ID, string)                    {}
func (c *count) ValidateMessage(*pubsub.Message)          {}
func (c *count) RejectMessage(*pubsub.Message, string)    {}
func (c *count) ThrottlePeer(peer.ID)                     {}
func (c *count) RecvRPC(*pubsub.RPC)                      {}
func (c *count) SendRPC(*pubsub.RPC, peer.ID)             {}
func (c *count) DropRPC(*pubsub.RPC, peer.ID)             {}
func (c *count) UndeliverableMessage(*pubsub.Message)     {}
