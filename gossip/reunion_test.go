package gossip

import (
	"fmt"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestLost: who was in a topic with this peer is lost, and nobody else.
func TestLost(t *testing.T) {
	y := newTally("/n/")
	y.Join("/n/here")
	y.Join("/n/left")
	y.Leave("/n/left")
	yes := true
	for p, topic := range map[peer.ID]string{"friend": "/n/here", "other": "/n/elsewhere", "former": "/n/left"} {
		if _, err := y.FilterIncomingSubscriptions(p, []*pb.RPC_SubOpts{{Subscribe: &yes, Topicid: &topic}}); err != nil {
			t.Fatal(err)
		}
		y.OnClosedOutboundStream(p)
	}
	if len(y.lost) != 1 || <-y.lost != "friend" {
		t.Error("not the one peer is lost that was in a topic with this one")
	}
}

// TestReunions: few are dialled at a time, and nobody who is lost again soon.
func TestReunions(t *testing.T) {
	r := reunions{active: make(map[peer.ID]struct{}), last: make(map[peer.ID]time.Time)}
	now := time.Unix(0, 0)
	for i := range 2 * reunionsMax {
		if began, want := r.begin(peer.ID(fmt.Sprint(i)), now), i < reunionsMax; began != want {
			t.Errorf("the %d. is dialled: %v", i, began)
		}
	}
	r.end("0", now)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{partedTime - 1, false}, {partedTime, true}, {partedTime, false}} {
		if got := r.begin("0", now.Add(c.after)); got != c.want {
			t.Errorf("who is lost again after %v is dialled: %v", c.after, got)
		}
	}
	if len(r.last) > 0 {
		t.Errorf("%d are remembered that were lost long ago", len(r.last))
	}
}
