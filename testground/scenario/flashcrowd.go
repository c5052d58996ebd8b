package scenario

import (
	"context"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// flashCrowd: one peer has a file, all others want it at the same time.
var flashCrowd = Scenario{
	Name: "flash-crowd", Doc: "one peer has a file, all others want it at once", Peers: 17,
	TimeMax: 2 * time.Hour, Clients: sharers, Daemons: AnyDaemons,
	Params: []Param{
		{"size", "8388608", "bytes of the file"},
		{"chunk", "0", "bytes of a block of it; 0 is as many as the client likes"},
		{"degree", "8", "connections of each peer, at least"},
		{"way", "read", "how it is fetched: read, from the beginning to the end, or pin, all of it"},
		{"from", "", "what the one is that has it, as client; empty: as client says"},
		{"other", "", "what every second peer of the crowd is, as client; empty: as client says"},
		rttParam,
	},
	Run: runFlashCrowd,
}

func runFlashCrowd(ctx context.Context, r *Run) error {
	size, chunk, degree := r.Int("size"), r.Int("chunk"), r.Int("degree")
	if err := r.populateAt(r.Duration("rtt")); err != nil {
		return err
	}
	peers := r.Net.Peers()
	from, other := r.clientOf("from"), r.clientOf("other")
	start := func(ctx context.Context, p *sim.Peer) error {
		switch {
		case p.Number() == 0:
			return r.startAs(ctx, p, from)
		case p.Number()%2 == 0:
			return r.startAs(ctx, p, other)
		}
		return r.start(ctx, p)
	}
	if r.Check() != nil {
		return r.Check()
	}
	if err := r.connectedBy(ctx, peers, degree, start); err != nil {
		return err
	}
	seed, crowd := peers[0], peers[1:]
	c, err := r.addChunks(ctx, seed, size, chunk)
	if err != nil {
		return err
	}
	time.Sleep(settleTime) // until its record is out
	r.Logf("%d peers want %d bytes", len(crowd), size)
	costs := r.sharing(seed, size)
	began := time.Now()
	fetch := r.fetch
	if r.Text("way") == "pin" {
		fetch = r.fetchPinned
	}
	err = sim.Each(ctx, crowd, func(ctx context.Context, p *sim.Peer) error {
		if p.Number()%2 == 0 && r.Text("other") != "" {
			return fetch(ctx, p, c, "other_completion_time_s")
		}
		return fetch(ctx, p, c, "completion_time_s")
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	costs.drain()
	costs.measure()
	if bound := crowdBound(size, len(crowd), r.Rate("uplink"), r.Rate("downlink")); bound > 0 {
		r.Measure.AddBound(measure.Bound{Series: "completion_time_s", Label: "the lines allow", Value: bound})
		r.Measure.Add("times_the_bound", r.Net.Age(), -1, took.Seconds()/bound)
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

// sharing is what a file costs those who share it.
type sharing struct {
	r         *Run
	seed      *sim.Peer
	size      int
	seedBytes int64 // over its line, before
	before    sim.Bytes
}

func (r *Run) sharing(seed *sim.Peer, size int) sharing {
	return sharing{r, seed, size, seed.NIC().Traffic().BytesOut, r.sent(isExchange)}
}

// drain waits for what is on its way, and be it for nobody any more: it costs too.
func (s sharing) drain() {
	last, _ := s.received()
	for began := time.Now(); time.Since(began) < drainTimeMax; {
		time.Sleep(drainTime)
		now, _ := s.received()
		if now == last {
			return
		}
		last = now
	}
}

// received sums up what all have received, and what of it they had.
func (s sharing) received() (all, again int64) {
	for _, p := range s.r.Net.Peers() {
		a, b := running[sharer](p).Received()
		all, again = all+a, again+b
	}
	return all, again
}

// measure notes what it has cost since.
func (s sharing) measure() {
	r, at, peers := s.r, s.r.Net.Age(), len(s.r.Net.Peers())
	note := func(name string, value float64) { r.Measure.Add(name, at, -1, value) }
	in, twice := s.received()
	now := r.sent(isExchange)
	note("duplicate_share", float64(twice)/float64(max(in, 1)))
	if sent := s.seed.NIC().Traffic().BytesOut - s.seedBytes; sent > 0 { // it has a line
		note("seed_copies", float64(sent)/float64(max(s.size, 1)))
	}
	if now.Writes == s.before.Writes {
		return // nobody counts
	}
	r.Logf("%d bytes sent, %d of them blocks that have come, %d of these in vain", now.Out-s.before.Out, in, twice)
	note("control_bytes_per_peer", float64(now.Out-s.before.Out-in)/float64(peers))
	note("messages_per_peer", float64(now.Writes-s.before.Writes)/float64(peers))
}

const (
	settleTime = 15 * time.Second // for tables to form and records to be sent
	// drainTime without a block is taken for the end of what is on the way.
	drainTime    = 10 * time.Second
	drainTimeMax = 10 * time.Minute
)

// connected starts peers with full tables and connects each to some others.
func (r *Run) connected(ctx context.Context, peers []*sim.Peer, degree int) error {
	return r.connectedBy(ctx, peers, degree, r.start)
}

// connectedBy is connected of peers that start starts.
func (r *Run) connectedBy(ctx context.Context, peers []*sim.Peer, degree int, start func(context.Context, *sim.Peer) error) error {
	r.Net.Warm(peers)
	if err := sim.Each(ctx, peers, start); err != nil {
		return err
	}
	if err := r.Net.Connect(ctx, r.Net.Regular(peers, degree)); err != nil {
		return err
	}
	time.Sleep(settleTime)
	return nil
}
