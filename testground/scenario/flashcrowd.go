package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// flashCrowd: one peer has a file, all others want it at the same time.
var flashCrowd = Scenario{
	Name: "flash-crowd", Doc: "one peer has a file, all others want it at once", Peers: 17,
	TimeMax: 2 * time.Hour,
	Params: []Param{
		{"size", "8388608", "bytes of the file"},
		{"degree", "8", "connections of each peer, at least"},
	},
	Run: runFlashCrowd,
}

func runFlashCrowd(ctx context.Context, r *Run) error {
	size, degree := r.Int("size"), r.Int("degree")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.connected(ctx, peers, degree); err != nil {
		return err
	}
	seed, crowd := peers[0], peers[1:]
	c, err := r.add(ctx, seed, size)
	if err != nil {
		return err
	}
	time.Sleep(settleTime) // until its record is out
	r.Logf("%d peers want %d bytes", len(crowd), size)
	before := seed.NIC().Traffic().BytesOut
	began := time.Now()
	err = sim.Each(ctx, crowd, func(ctx context.Context, p *sim.Peer) error { return r.fetch(ctx, p, c, "completion_time_s") })
	if err != nil {
		return err
	}
	took := time.Since(began)
	at := r.Net.Age()
	r.Measure.Add("seed_copies", at, -1, float64(seed.NIC().Traffic().BytesOut-before)/float64(size))
	var in, twice int64
	for _, p := range crowd {
		s := p.Node().Stats().Exchange
		in, twice = in+s.BytesIn, twice+s.DupBytes
	}
	r.Measure.Add("duplicate_share", at, -1, float64(twice)/float64(max(in, 1)))
	if bound := crowdBound(size, len(crowd), r.Rate("uplink"), r.Rate("downlink")); bound > 0 {
		r.Measure.Add("times_the_bound", at, -1, took.Seconds()/bound)
		r.Logf("the last after %v, %.2f times the bound of %.1f s", took.Round(time.Millisecond), took.Seconds()/bound, bound)
	}
	return r.Check()
}

// crowdBound is what the lines allow, in seconds: the seed must send all of it
// once, and all uplinks together must send it to everyone.
func crowdBound(size, crowd, up, down int) float64 {
	bits := float64(size) * 8
	bound := 0.0
	if up > 0 {
		bound = max(bits/float64(up), float64(crowd)*bits/float64((crowd+1)*up))
	}
	if down > 0 {
		bound = max(bound, bits/float64(down))
	}
	return bound
}

const settleTime = 15 * time.Second // for tables to form and records to be sent

// connected starts peers with full tables and connects each to some others.
func (r *Run) connected(ctx context.Context, peers []*sim.Peer, degree int) error {
	r.Net.Warm(peers)
	if err := r.Start(ctx, peers); err != nil {
		return err
	}
	if err := r.Net.Connect(ctx, r.Net.Regular(peers, degree)); err != nil {
		return err
	}
	time.Sleep(settleTime)
	return nil
}
