package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// idle: what a network costs that nobody uses.
var idle = Scenario{
	Name: "idle", Doc: "nobody wants anything: what it takes to keep a network, and to simulate it", Peers: 100,
	TimeMax: 4 * time.Hour, Clients: speakers,
	Params: []Param{
		{"degree", "10", "connections of each peer, at least"},
		{"settle", "60s", "time before anything is measured"},
		{"minutes", "3", "time in which it is"},
		{"messages", "0", "published each minute by random peers, to all"},
		{"size", "1024", "bytes of a message"},
		rampParam, connsParam,
	},
	Run: runIdle,
}

func runIdle(ctx context.Context, r *Run) error {
	settle, messages, size := r.Duration("settle"), r.Int("messages"), r.Int("size")
	last := time.Duration(r.Int("minutes")) * time.Minute
	if messages < 0 || last <= 0 {
		return fmt.Errorf("idle: %d messages a minute for %v, want 0 or more for some time", messages, last)
	}
	publish, err := r.listeners(ctx, r.Int("degree"), func(*sim.Peer, []byte, peer.ID) {})
	if err != nil {
		return err
	}
	time.Sleep(settle)
	r.Logf("settled")
	before := r.sent(anyProtocol)
	for end := time.Now().Add(last); time.Now().Before(end); {
		if messages == 0 {
			time.Sleep(time.Until(end))
			break
		}
		if err := publish[r.Net.Rand().IntN(len(publish))](ctx, make([]byte, size)); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		time.Sleep(time.Minute / time.Duration(messages))
	}
	after, n := r.sent(anyProtocol), float64(r.Peers)
	at := r.Net.Age()
	r.Measure.Add("sent_bytes_per_peer_s", at, -1, float64(after.Out-before.Out)/n/last.Seconds())
	r.Measure.Add("messages_per_peer_minute", at, -1, float64(after.Writes-before.Writes)/n/last.Minutes())
	return nil
}

func anyProtocol(protocol.ID) bool { return true }
