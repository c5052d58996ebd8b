package gossip

import (
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Filter lets a peer change its subscriptions and returns how many are kept.
func (g *Gossip) Filter(from peer.ID, subscribe bool, topics ...string) (int, error) {
	subs := make([]*pb.RPC_SubOpts, len(topics))
	for i := range topics {
		subs[i] = &pb.RPC_SubOpts{Subscribe: &subscribe, Topicid: &topics[i]}
	}
	kept, err := g.tally.FilterIncomingSubscriptions(from, subs)
	return len(kept), err
}

// Forget is what happens when a peer is gone.
func (g *Gossip) Forget(p peer.ID) { g.tally.OnClosedOutboundStream(p) }
