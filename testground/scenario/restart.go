package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// restart: an operator restarts all peers, one after the other.
var restart = Scenario{
	Name: "rolling-restart", Doc: "all peers are restarted, one after the other; nothing is lost", Peers: 30,
	TimeMax: 2 * time.Hour, Daemons: AnyDaemons,
	Params: []Param{
		{"down", "5s", "for which each peer is away"},
		{"size", "50000", "bytes that each peer has"},
	},
	Run: runRestart,
}

func runRestart(ctx context.Context, r *Run) error {
	down, size := r.Duration("down"), r.Int("size")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.connected(ctx, peers, 4); err != nil {
		return err
	}
	held := make([]content, len(peers))
	for i, p := range peers {
		var err error
		if held[i], err = r.add(ctx, p, size); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	for i, p := range peers {
		if err := p.Stop(); err != nil {
			return err
		}
		time.Sleep(down)
		if err := r.start(ctx, p); err != nil {
			return err
		}
		// Others go on: they know him from before, or find him anew.
		other := peers[(i+len(peers)/2)%len(peers)]
		if err := r.fetch(ctx, other, held[i], "fetch_after_restart_s"); err != nil {
			return err
		}
	}
	r.Logf("all are restarted")
	// Nothing is fetched twice: what the neighbour has now it has not had before.
	return sim.Each(ctx, peers, func(ctx context.Context, p *sim.Peer) error {
		return r.fetch(ctx, p, held[(p.Number()+1)%len(peers)], "fetch_at_last_s")
	})
}
