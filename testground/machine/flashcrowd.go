package machine

import (
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// contentParams are those of scenarios in which a file is fetched.
var contentParams = []Param{
	{"size", "8388608", "bytes of the file"},
	{"block", "262144", "bytes of a block"},
	{"degree", "8", "connections of each peer, at least"},
}

// flashCrowd: one peer has a file, all others, or some, want it at the same time.
var flashCrowd = Scenario{
	Name: "flash-crowd", Doc: "one peer has a file, all others want it at once", Peers: 64,
	TimeMax: 4 * time.Hour,
	Params: append([]Param{
		{"active", "0", "peers that want it; 0 is all"},
	}, contentParams...),
	Play: playFlashCrowd,
}

func playFlashCrowd(r *Run) error {
	size, active := r.int("size"), r.int("active")
	peers := r.populate(nil)
	if err := r.connect(r.int("degree")); err != nil || r.err != nil {
		return err
	}
	c, err := r.add(peers[0], size)
	if err != nil {
		return err
	}
	crowd := peers[1:]
	if active > 0 && active < len(crowd) {
		crowd = crowd[:active]
	}
	began := r.World.Now()
	bound := crowdBound(size, len(crowd), r.rate("uplink"), r.rate("downlink"))
	within := 10*time.Minute + 20*bound
	if err := r.fetchAll(crowd, c, within, func(*Peer) string { return "completion_time_s" }); err != nil {
		return err
	}
	took, at := r.World.Now()-began, r.World.Now()
	r.Measure.Add("seed_copies", at, -1, float64(ExchangeOf(peers[0]).Stats().BytesOut)/float64(size))
	if bound > 0 {
		r.Measure.AddBound(measure.Bound{Series: "completion_time_s", Label: "the lines allow", Value: bound.Seconds()})
		r.Measure.Add("times_the_bound", at, -1, took.Seconds()/bound.Seconds())
	}
	return nil
}

// add puts a file of that size on a peer's disk, and provides its root.
func (r *Run) add(p *Peer, size int) (Content, error) {
	block := r.int("block")
	if r.err != nil || block < 16 || block > 2<<20 {
		return nil, fmt.Errorf("add content: blocks of %d bytes; want 16 to 2 MiB", block)
	}
	c := NewContent(r.World.rng, size, block)
	ExchangeOf(p).Keep(c...)
	r.World.Provide(p, c[0].Cid())
	return c, nil
}

// fetchAll has peers fetch content, all at once, and waits until each has all of
// it. Who has it provides it.
func (r *Run) fetchAll(peers []*Peer, c Content, within time.Duration, series func(*Peer) string) error {
	cids := c.Cids()
	left := len(peers)
	var bad error
	for _, p := range peers {
		ExchangeOf(p).Fetch(cids, within, func(f *Fetch) {
			left--
			if !f.OK() && bad == nil {
				bad = fmt.Errorf("%s: %d of %d blocks failed: %v", p, f.Failed, len(cids), f.Phases)
			}
			r.measured(series(p), f)
			r.World.Provide(p, cids[0])
		})
	}
	err := r.until("fetch by all", within, func() bool { return left == 0 || bad != nil })
	if bad != nil {
		return bad
	}
	return err
}

// crowdBound is what the lines allow: the seed must send all of it once, and all
// uplinks together must send it to everyone.
func crowdBound(size, crowd, up, down int) time.Duration {
	bound := max(duration(size, up), duration(size, down))
	if up > 0 {
		all := float64(crowd) * float64(size) * 8 / (float64(crowd+1) * float64(up))
		bound = max(bound, time.Duration(all*float64(time.Second)))
	}
	return bound
}
