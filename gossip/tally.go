package gossip

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// peersMax bounds how many peers are accounted for. It is far more than a host
// keeps connections to; beyond it, subscriptions are refused.
const peersMax = 8192

// tally watches pubsub: it counts for Stats, and bounds how many topics each
// peer can make this one remember. pubsub's own filter bounds only how many one
// RPC can name.
type tally struct {
	prefix string // of this network's topics; others are none of our business

	delivered, duplicate, rejected, undelivered, unsent atomic.Uint64

	lost chan peer.ID // that were in a topic with this one; nobody waits for a reader

	mu    sync.Mutex // guards the following
	peers map[peer.ID]account
	own   map[string]struct{} // topics of this peer
}

// account is what a peer makes this one remember.
type account struct {
	topics map[string]struct{} // that it is in
	links  map[string]struct{} // topics whose messages it and this peer exchange
}

func newAccount() account {
	return account{make(map[string]struct{}), make(map[string]struct{})}
}

var (
	_ pubsub.RawTracer          = (*tally)(nil)
	_ pubsub.SubscriptionFilter = (*tally)(nil)
)

func newTally(prefix string) *tally {
	return &tally{prefix: prefix, lost: make(chan peer.ID, lostMax), peers: make(map[peer.ID]account), own: make(map[string]struct{})}
}

// CanSubscribe holds for this peer and for others.
func (y *tally) CanSubscribe(topic string) bool {
	return strings.HasPrefix(topic, y.prefix) && len(topic) <= len(y.prefix)+TopicSizeMax
}

// FilterIncomingSubscriptions drops what goes beyond TopicsMax for one peer.
func (y *tally) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	if len(subs) > TopicsMax {
		return nil, fmt.Errorf("%w: %d at once", pubsub.ErrTooManySubscriptions, len(subs))
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	a, known := y.peers[from]
	kept := pubsub.FilterSubscriptions(subs, y.CanSubscribe)
	if !known {
		if len(y.peers) >= peersMax {
			return nil, nil
		}
		a = newAccount()
		y.peers[from] = a
	}
	n := 0
	for _, s := range kept {
		topic := s.GetTopicid()
		if !s.GetSubscribe() {
			delete(a.topics, topic)
		} else if _, in := a.topics[topic]; !in {
			if len(a.topics) >= TopicsMax {
				continue
			}
			a.topics[topic] = struct{}{}
		}
		kept[n] = s
		n++
	}
	return kept[:n], nil
}

func (y *tally) stats() Stats {
	y.mu.Lock()
	peers, links := len(y.peers), 0
	for _, a := range y.peers {
		links += len(a.links)
	}
	y.mu.Unlock()
	return Stats{
		Peers:       peers,
		Links:       links,
		Delivered:   y.delivered.Load(),
		Duplicate:   y.duplicate.Load(),
		Rejected:    y.rejected.Load(),
		Undelivered: y.undelivered.Load(),
		Unsent:      y.unsent.Load(),
	}
}

// OnNewOutboundStream begins a peer's account.
func (y *tally) OnNewOutboundStream(p peer.ID, _ protocol.ID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if _, known := y.peers[p]; !known {
		y.peers[p] = newAccount()
	}
}

// OnClosedOutboundStream ends it: pubsub has forgotten the peer.
func (y *tally) OnClosedOutboundStream(p peer.ID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for topic := range y.peers[p].topics {
		if _, shared := y.own[topic]; shared {
			select {
			case y.lost <- p:
			default:
			}
			break
		}
	}
	delete(y.peers, p)
}

// Join notes a topic of this peer.
func (y *tally) Join(topic string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.own[topic] = struct{}{}
}

// Leave forgets it.
func (y *tally) Leave(topic string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.own, topic)
}

// Graft begins a link.
func (y *tally) Graft(p peer.ID, topic string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if a, known := y.peers[p]; known {
		a.links[topic] = struct{}{}
	}
}

// Prune ends a link.
func (y *tally) Prune(p peer.ID, topic string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.peers[p].links, topic)
}

// DeliverMessage counts.
func (y *tally) DeliverMessage(*pubsub.Message) { y.delivered.Add(1) }

// RejectMessage counts.
func (y *tally) RejectMessage(*pubsub.Message, string) { y.rejected.Add(1) }

// DuplicateMessage counts.
func (y *tally) DuplicateMessage(*pubsub.Message) { y.duplicate.Add(1) }

// DropRPC counts.
func (y *tally) DropRPC(*pubsub.RPC, peer.ID) { y.unsent.Add(1) }

// UndeliverableMessage counts.
func (y *tally) UndeliverableMessage(*pubsub.Message) { y.undelivered.Add(1) }

// The rest of pubsub.RawTracer is not counted.

func (y *tally) ValidateMessage(*pubsub.Message) {}
func (y *tally) ThrottlePeer(peer.ID)            {}
func (y *tally) RecvRPC(*pubsub.RPC)             {}
func (y *tally) SendRPC(*pubsub.RPC, peer.ID)    {}
