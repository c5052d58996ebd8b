package gossip

import (
	"net"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The score of a peer is a sum of what it has delivered and how it has behaved.
// The numbers are those of Prysm, which a large and attacked network runs on,
// with one topic's weight. Mesh delivery (P3) is not scored: it punishes honest
// peers of quiet topics.
const (
	scoreDecayInterval = 12 * time.Second
	scoreDecayToZero   = 0.01
	scoreRetained      = 100 * 12 * time.Second
	topicScoreMax      = 32.72 // what being useful can earn in all topics
)

// peerScore is the score of a peer over all topics.
func peerScore(known func(peer.ID) float64) *pubsub.PeerScoreParams {
	if known == nil {
		known = func(peer.ID) float64 { return 0 }
	}
	return &pubsub.PeerScoreParams{
		Topics:            make(map[string]*pubsub.TopicScoreParams), // pubsub adds to it
		TopicScoreCap:     topicScoreMax,
		AppSpecificScore:  known,
		AppSpecificWeight: 1,

		// More than ten peers behind one address are suspect, except on this machine.
		IPColocationFactorWeight:    -35.11,
		IPColocationFactorThreshold: 10,
		IPColocationFactorWhitelist: loopback(),

		BehaviourPenaltyWeight:    -15.92,
		BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(2 * time.Minute),

		DecayInterval: scoreDecayInterval,
		DecayToZero:   scoreDecayToZero,
		RetainScore:   scoreRetained,
	}
}

// scoreThresholds say what a low score costs.
func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold:             -4000,
		PublishThreshold:            -8000,
		GraylistThreshold:           -16000,
		AcceptPXThreshold:           100,
		OpportunisticGraftThreshold: 5,
	}
}

// topicScore is what a peer earns in one topic.
func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight: 1,

		TimeInMeshWeight:  0.0324,
		TimeInMeshQuantum: time.Second,
		TimeInMeshCap:     300,

		FirstMessageDeliveriesWeight: 1,
		FirstMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(20 * time.Minute),
		FirstMessageDeliveriesCap:    40,

		InvalidMessageDeliveriesWeight: -140,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(50 * time.Minute),
	}
}

func loopback() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}
