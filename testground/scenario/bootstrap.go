package scenario

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	bootstrappers = 3
	findTimeMax   = 30 * time.Second // of one find
)

// bootstrap: a network grows from three peers that all others know, everyone
// provides something, and everyone finds what others provide.
var bootstrap = Scenario{
	Name: "bootstrap", Doc: "a network grows from 3 peers; everyone provides, everyone finds", Peers: 100,
	TimeMax: time.Hour,
	Params: []Param{
		{"join", "auto", "cold: all enter through the first 3; warm: all have a routing table; auto: cold up to 300 peers"},
		{"ramp", "30s", "over which peers join"},
		{"settle", "60s", "between joining and finding"},
		{"finds", "20", "of each peer"},
	},
	Run: runBootstrap,
}

func runBootstrap(ctx context.Context, r *Run) error {
	ramp, settle, finds := r.Duration("ramp"), r.Duration("settle"), r.Int("finds")
	warm := r.Text("join") == "warm" || r.Text("join") == "auto" && r.Peers > 300
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.join(ctx, peers, warm, ramp); err != nil {
		return err
	}
	r.Logf("%d peers have joined", len(peers))
	time.Sleep(settle / 2)
	provided := make([]cid.Cid, len(peers))
	err := sim.Each(ctx, peers, func(ctx context.Context, p *sim.Peer) error {
		text := binary.LittleEndian.AppendUint64([]byte("provided by "), uint64(p.Number()))
		root, err := p.Node().Add(ctx, bytes.NewReader(text), node.AddOptions{})
		provided[p.Number()] = root.Cid
		return err
	})
	if err != nil {
		return err
	}
	r.Logf("each provides something")
	time.Sleep(settle / 2)
	for _, p := range peers {
		s := p.Node().Stats()
		r.Measure.Add("table_peers", r.Net.Age(), p.Number(), float64(s.DHT.TableSize))
		r.Measure.Add("connections", r.Net.Age(), p.Number(), float64(s.Peers))
	}
	targets := make([][]int, len(peers))
	for i := range targets {
		for range finds {
			t := r.Net.Rand().IntN(len(peers) - 1)
			if t >= i {
				t++
			}
			targets[i] = append(targets[i], t)
		}
	}
	err = sim.Each(ctx, peers, func(ctx context.Context, p *sim.Peer) error {
		for _, t := range targets[p.Number()] {
			if err := r.find(ctx, p, provided[t], peers[t]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.Logf("%d finds, all answered", finds*len(peers))
	}
	return err
}

// join starts peers: the first three at once, the others over a while, or all with
// the tables that they would have later.
func (r *Run) join(ctx context.Context, peers []*sim.Peer, warm bool, ramp time.Duration) error {
	if warm {
		r.Net.Warm(peers)
		return r.Start(ctx, peers)
	}
	first := peers[:min(bootstrappers, len(peers))]
	for _, p := range peers[1:] {
		p.SetBootstrap(first)
	}
	if err := r.Start(ctx, first); err != nil {
		return err
	}
	rest := peers[len(first):]
	return sim.Each(ctx, rest, func(ctx context.Context, p *sim.Peer) error {
		time.Sleep(ramp * time.Duration(p.Number()) / time.Duration(len(peers)))
		if err := p.Start(ctx); err != nil {
			return err
		}
		return nil
	})
}

// find looks for the provider of c, and fails if it is not found in time.
func (r *Run) find(ctx context.Context, p *sim.Peer, c cid.Cid, owner *sim.Peer) error {
	ctx, cancel := context.WithTimeout(ctx, findTimeMax)
	defer cancel()
	began := time.Now()
	var last error
	for info, err := range p.Node().FindProviders(ctx, c) {
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
