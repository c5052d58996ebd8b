package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// freeRide: some take and hardly give.
var freeRide = Scenario{
	Name: "free-riders", Doc: "a flash crowd in which some hardly give", Peers: 17,
	TimeMax: 2 * time.Hour, Clients: sharers, Daemons: LinedDaemons,
	Params: []Param{
		{"riders", "0.25", "share of the peers"},
		{"gives", "64kbit", "uplink of a rider"},
		{"size", "8388608", "bytes of the file"},
		{"degree", "8", "connections of each peer, at least"},
	},
	Run: runFreeRide,
}

func runFreeRide(ctx context.Context, r *Run) error {
	riders, gives, size, degree := r.Share("riders"), r.Rate("gives"), r.Int("size"), r.Int("degree")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	line := r.Line()
	first := len(peers) - int(riders*float64(len(peers)))
	for _, p := range peers[first:] {
		p.SetLine(fabric.Line{Up: gives, Down: line.Down, Jitter: line.Jitter, Loss: line.Loss})
	}
	if err := r.connected(ctx, peers, degree); err != nil {
		return err
	}
	c, err := r.add(ctx, peers[0], size)
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	return sim.Each(ctx, peers[1:], func(ctx context.Context, p *sim.Peer) error {
		series := "completion_time_s"
		if p.Number() >= first {
			series = "rider_completion_time_s"
		}
		return r.fetch(ctx, p, c, series)
	})
}
