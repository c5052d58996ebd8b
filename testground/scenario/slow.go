package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// slow: most of those who have a file are slow.
var slow = Scenario{
	Name: "slow-peers", Doc: "a file's holders are slow, but for one", Peers: 12,
	TimeMax: 2 * time.Hour, Clients: sharers, Daemons: LinedDaemons,
	Params: []Param{
		{"slow", "256kbit", "uplink of the slow holders"},
		{"size", "8388608", "bytes of the file"},
	},
	Run: runSlow,
}

func runSlow(ctx context.Context, r *Run) error {
	up, size := r.Rate("slow"), r.Int("size")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.connected(ctx, peers, len(peers)-1); err != nil {
		return err
	}
	c, err := r.add(ctx, peers[0], size)
	if err != nil {
		return err
	}
	holders, reader := peers[1:len(peers)-1], peers[len(peers)-1]
	if err := sim.Each(ctx, holders, func(ctx context.Context, p *sim.Peer) error { return r.fetch(ctx, p, c, "spread_time_s") }); err != nil {
		return err
	}
	line := r.Line()
	for _, p := range holders {
		p.SetLine(fabric.Line{Up: up, Down: line.Down, Jitter: line.Jitter, Loss: line.Loss})
	}
	began := time.Now()
	if err := r.fetch(ctx, reader, c, "fetch_time_s"); err != nil {
		return err
	}
	took := time.Since(began)
	if line.Up > 0 {
		alone := float64(size) * 8 / float64(line.Up)
		r.Measure.Add("times_the_fast_one", r.Net.Age(), reader.Number(), took.Seconds()/alone)
		r.Logf("%v; the fast one alone takes %.1f s", took.Round(time.Millisecond), alone)
	}
	return r.Check()
}
