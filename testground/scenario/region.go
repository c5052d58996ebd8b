package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/unixfs"
)

// region: all peers of a region are gone at once.
var region = Scenario{
	Name: "region-failure", Doc: "a whole region goes silent; what others have is found", Peers: 48,
	TimeMax: 2 * time.Hour,
	Params:  []Param{{"size", "50000", "bytes of what is added"}},
	Run:     runRegion,
}

func runRegion(ctx context.Context, r *Run) error {
	size := r.Int("size")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.connected(ctx, peers, 6); err != nil {
		return err
	}
	var lost, rest []*sim.Peer
	for _, p := range peers {
		if p.Region() == 3 {
			lost = append(lost, p)
		} else {
			rest = append(rest, p)
		}
	}
	c, err := r.add(ctx, lost[0], size)
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	// One copy outside is enough.
	if _, err := rest[0].Node().Pin(ctx, unixfs.Path{Root: c.root}, "copy", nil); err != nil {
		return err
	}
	time.Sleep(settleTime)
	if err := sim.Each(ctx, lost, func(_ context.Context, p *sim.Peer) error { return p.Crash(true) }); err != nil {
		return err
	}
	r.Logf("%d peers are gone", len(lost))
	return sim.Each(ctx, rest[1:], func(ctx context.Context, p *sim.Peer) error { return r.fetch(ctx, p, c, "fetch_after_s") })
}
