package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/measure"
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
		{"chunk", "0", "bytes of a block of it; 0 is as many as the client likes"},
		{"degree", "8", "connections of each peer, at least"},
		{"way", "read", "how it is fetched: read, from the beginning to the end, or pin, all of it"},
		rttParam,
	},
	Run: runFreeRide,
}

func runFreeRide(ctx context.Context, r *Run) error {
	riders, gives, size, degree := r.Share("riders"), r.Rate("gives"), r.Int("size"), r.Int("degree")
	if err := r.populateAt(r.Duration("rtt")); err != nil {
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
	c, err := r.addChunks(ctx, peers[0], size, r.Int("chunk"))
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	fetch := r.fetch
	if r.Text("way") == "pin" {
		fetch = r.fetchPinned
	}
	err = sim.Each(ctx, peers[1:], func(ctx context.Context, p *sim.Peer) error {
		series := "completion_time_s"
		if p.Number() >= first {
			series = "rider_completion_time_s"
		}
		return fetch(ctx, p, c, series)
	})
	if err != nil {
		return err
	}
	give, ride := r.Measure.Summarize("completion_time_s"), r.Measure.Summarize("rider_completion_time_s")
	if ride.Count > 0 && give.Count > 0 {
		r.Measure.Add("riders_times_givers", r.Net.Age(), -1, ride.P50/give.P50)
		r.Measure.AddBound(measure.Bound{Series: "riders_times_givers", Label: "the median of those who give", Value: 1})
	}
	return r.Check()
}
