package scenario

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	bootstrappers = 3
	rampCold      = 30 * time.Second
	findTimeMax   = 30 * time.Second // of one find
	// provideTimeMax is how long the script waits for a record to be out.
	provideTimeMax = 30 * time.Second
)

// bootstrap: a network grows from three peers that all others know, everyone
// provides something, and everyone finds what others provide.
var bootstrap = Scenario{
	Name: "bootstrap", Doc: "a network grows from 3 peers; everyone provides, everyone finds", Peers: 100,
	TimeMax: time.Hour, Clients: finders, Daemons: AnyDaemons,
	Params: []Param{
		{"join", "auto", "cold: all enter through the first 3; warm: all have a routing table; auto: cold up to 300 peers"},
		{"ramp", "auto", "over which peers start; auto: 30s if cold, 0s if warm"},
		{"settle", "60s", "between joining and finding"},
		{"finds", "20", "of each peer"},
		{"turn", "0", "peers that provide, or search, at a time; 0 is all"},
		connsParam,
	},
	Run: runBootstrap,
}

func runBootstrap(ctx context.Context, r *Run) error {
	settle, finds, turn := r.Duration("settle"), r.Int("finds"), r.Int("turn")
	warm := r.Text("join") == "warm" || r.Text("join") == "auto" && r.Peers > 300
	ramp := time.Duration(0)
	switch {
	case r.Text("ramp") != "auto":
		ramp = r.Duration("ramp")
	case !warm:
		ramp = rampCold
	}
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.join(ctx, peers, warm, ramp); err != nil {
		return err
	}
	r.Logf("%d peers have joined", len(peers))
	time.Sleep(settle / 2)
	before := r.sent(isDHT)
	provided := make([]cid.Cid, len(peers))
	err := inTurns(ctx, peers, turn, func(ctx context.Context, p *sim.Peer) (err error) {
		provided[p.Number()], err = r.provide(ctx, p)
		return err
	})
	if err != nil {
		return err
	}
	r.Logf("each provides something")
	r.perCall("provide", before, len(peers))
	time.Sleep(settle / 2)
	for _, p := range peers {
		r.Measure.Add("table_peers", r.Net.Age(), p.Number(), float64(running[finder](p).Table()))
		r.Measure.Add("connections", r.Net.Age(), p.Number(), float64(len(p.Connected())))
	}
	targets := r.targets(finds)
	before = r.sent(isDHT)
	err = inTurns(ctx, peers, turn, func(ctx context.Context, p *sim.Peer) error {
		for _, t := range targets[p.Number()] {
			if err := r.find(ctx, p, provided[t], peers[t]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.perCall("find", before, finds*len(peers))
		r.Logf("%d finds, all answered", finds*len(peers))
	}
	return err
}

// inTurns has so many peers at a time do what each is to do once; 0 is all.
func inTurns(ctx context.Context, peers []*sim.Peer, turn int, do func(context.Context, *sim.Peer) error) error {
	if turn <= 0 {
		turn = len(peers)
	}
	for some := range slices.Chunk(peers, turn) {
		if err := sim.Each(ctx, some, do); err != nil {
			return err
		}
	}
	return nil
}

// targets draws whose things each peer looks for.
func (r *Run) targets(finds int) [][]int {
	targets := make([][]int, r.Peers)
	for i := range targets {
		for range finds {
			t := r.Net.Rand().IntN(r.Peers - 1)
			if t >= i {
				t++
			}
			targets[i] = append(targets[i], t)
		}
	}
	return targets
}

// perCall notes what the DHT has sent since, for each of so many calls. What it does
// besides is in it.
func (r *Run) perCall(call string, before sim.Bytes, calls int) {
	now, at, n := r.sent(isDHT), r.Net.Age(), float64(max(calls, 1))
	if now.Writes == before.Writes {
		return // nobody counts
	}
	r.Measure.Add(call+"_messages", at, -1, float64(now.Writes-before.Writes)/n)
	r.Measure.Add(call+"_bytes", at, -1, float64(now.Out-before.Out)/n)
}

// provide has a peer provide something of its own. What takes long goes on in the
// background; that it is found is what counts.
func (r *Run) provide(ctx context.Context, p *sim.Peer) (cid.Cid, error) {
	ctx, cancel := context.WithTimeout(ctx, provideTimeMax)
	defer cancel()
	began := time.Now()
	text := binary.LittleEndian.AppendUint64([]byte("provided by "), uint64(p.Number()))
	c, err := running[finder](p).Provide(ctx, text)
	switch {
	case late(err) && c.Defined():
		r.Measure.Add("provided_late", r.Net.Age(), p.Number(), 1)
		return c, nil
	case err != nil:
		return cid.Undef, fmt.Errorf("%s provides: %w", p, err)
	}
	r.Measure.Add("provide_time_s", r.Net.Age(), p.Number(), time.Since(began).Seconds())
	return c, nil
}

// join starts peers over a while: with the tables that they would have later, or after
// the first three, by whom they enter.
func (r *Run) join(ctx context.Context, peers []*sim.Peer, warm bool, ramp time.Duration) error {
	if warm {
		r.Net.Warm(peers)
		return r.startOver(ctx, ramp, peers)
	}
	first := peers[:min(bootstrappers, len(peers))]
	for _, p := range peers[1:] {
		p.SetBootstrap(first)
	}
	if err := r.Start(ctx, first); err != nil {
		return err
	}
	return r.startOver(ctx, ramp, peers[len(first):])
}

// find looks for the provider of c, and fails if it is not found in time.
func (r *Run) find(ctx context.Context, p *sim.Peer, c cid.Cid, owner *sim.Peer) error {
	ctx, cancel := context.WithTimeout(ctx, findTimeMax)
	defer cancel()
	began := time.Now()
	var last error
	for info, err := range running[finder](p).FindProviders(ctx, c) {
		if err != nil {
			last = err
			break
		}
		if info.ID == owner.ID() {
			r.Measure.Add("find_time_s", r.Net.Age(), p.Number(), time.Since(began).Seconds())
			return nil
		}
	}
	return fmt.Errorf("%s is not found as provider of %s after %v: %w", owner, c, time.Since(began), last)
}
