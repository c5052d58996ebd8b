package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// nat: most peers take no connections.
var nat = Scenario{
	Name: "nat-majority", Doc: "most peers take no connections from outside", Peers: 40,
	TimeMax: 2 * time.Hour, Daemons: LinedDaemons,
	Params: []Param{
		{"natted", "0.7", "share of the peers"},
		{"size", "50000", "bytes of what is added"},
	},
	Run: runNAT,
}

func runNAT(ctx context.Context, r *Run) error {
	natted, size := r.Share("natted"), r.Int("size")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	open := max(bootstrappers, len(peers)-int(natted*float64(len(peers))))
	line := r.Line()
	line.NoInbound = true
	for _, p := range peers[open:] {
		p.SetLine(line)
	}
	for _, p := range peers[1:] {
		p.SetBootstrap(peers[:bootstrappers])
	}
	if err := r.Start(ctx, peers); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	fromOpen, err := r.add(ctx, peers[0], size)
	if err != nil {
		return err
	}
	fromNAT, err := r.add(ctx, peers[len(peers)-1], size)
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	// Whoever takes connections is reached by all.
	err = sim.Each(ctx, peers[1:], func(ctx context.Context, p *sim.Peer) error { return r.fetch(ctx, p, fromOpen, "fetch_time_s") })
	if err != nil {
		return err
	}
	came := make([]bool, len(peers))
	err = sim.Each(ctx, peers[:len(peers)-1], func(ctx context.Context, p *sim.Peer) (err error) {
		came[p.Number()], err = r.answered(ctx, p, fromNAT, 2*time.Minute)
		return err
	})
	if err != nil {
		return err
	}
	n := 0
	for _, ok := range came {
		if ok {
			n++
		}
	}
	r.Measure.Add("reached_through_nat", r.Net.Age(), -1, float64(n))
	r.Logf("%d of %d have reached one behind a NAT", n, len(peers)-1)
	if n == 0 {
		return fmt.Errorf("nat-majority: nobody has reached a peer that is connected to others")
	}
	return nil
}
