package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// partition: the network falls in two and is mended.
var partition = Scenario{
	Name: "partition", Doc: "the network falls in two, and is mended", Peers: 40,
	TimeMax: 2 * time.Hour, Daemons: LinedDaemons,
	Params: []Param{
		{"cut", "90s", "how long it is in two"},
		{"way", "hold", "hold: what is sent waits; drop: connections end at once"},
		{"size", "50000", "bytes of what is added"},
	},
	Run: runPartition,
}

func runPartition(ctx context.Context, r *Run) error {
	cut, size := r.Duration("cut"), r.Int("size")
	way, known := map[string]fabric.Cut{"hold": fabric.Hold, "drop": fabric.Drop}[r.Text("way")]
	if !known {
		return fmt.Errorf("parameter way: %q is not hold or drop", r.Text("way"))
	}
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.connected(ctx, peers, 6); err != nil {
		return err
	}
	here, there := peers[:len(peers)/2], peers[len(peers)/2:]
	for _, p := range there {
		p.NIC().SetGroup(1)
	}
	before, err := r.add(ctx, there[0], size)
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	r.Net.Fabric().SetCut(0, 1, way)
	r.Logf("cut")
	began := time.Now()
	during, err := r.add(ctx, here[0], size)
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	// On one's own side all goes on; across there is an answer, be it no.
	if err := r.fetch(ctx, here[1], during, "fetch_in_cut_s"); err != nil {
		return err
	}
	if came, err := r.answered(ctx, here[2], before, 2*time.Minute); err != nil || came && time.Since(began) < cut {
		return fmt.Errorf("%s fetches across the cut: came %v: %w", here[2], came, err)
	}
	time.Sleep(cut - min(cut, time.Since(began)))
	r.Net.Fabric().SetCut(0, 1, fabric.Open)
	r.Logf("mended")
	time.Sleep(time.Minute) // connections are noticed dead, and made again
	err = sim.Each(ctx, there, func(ctx context.Context, p *sim.Peer) error { return r.fetch(ctx, p, during, "fetch_after_s") })
	if err == nil {
		err = sim.Each(ctx, here, func(ctx context.Context, p *sim.Peer) error { return r.fetch(ctx, p, before, "fetch_after_s") })
	}
	return err
}
