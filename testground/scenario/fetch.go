package scenario

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// fetchDAG: one peer fetches what all others have.
var fetchDAG = Scenario{
	Name: "fetch", Doc: "one peer fetches what all others have", Peers: 2,
	TimeMax: time.Hour, Clients: sharers,
	Params: []Param{
		{"shape", "file", "of what is fetched: file; small, a directory of many files; or chain, directories each in the one before"},
		{"size", "16777216", "bytes of the file, or of the small files together"},
		{"chunk", "262144", "bytes of a block of the file"},
		{"count", "1000", "small files, or directories in a chain"},
		{"way", "pin", "how it is fetched: pin, all of it, or read, from the beginning to the end"},
		{"uplinks", "", "of those who have it, as 50mbit,25mbit; empty: as uplink says"},
		{"from", "", "what those who have it are, as client; empty: as client says"},
		{"idle", "0", "peers that are connected too, and have nothing"},
		rttParam, wireParam, connsParam,
	},
	Run: runFetch,
}

// rttParam makes all peers equally distant.
var rttParam = Param{"rtt", "0s", "round trip time between any two; 0 is as regions have it"}

// keeper is a sharer that takes any DAG.
type keeper interface {
	// Keep keeps the blocks of a DAG.
	Keep(ctx context.Context, root cid.Cid, blocks []block.Block) error
	// Pin fetches a whole DAG, and returns when it is here.
	Pin(ctx context.Context, root cid.Cid) error
}

func runFetch(ctx context.Context, r *Run) error {
	f, err := r.cast()
	if err != nil {
		return err
	}
	root, blocks, size, err := r.shape(ctx)
	if err != nil {
		return err
	}
	if err := f.begin(ctx, r, root, blocks); err != nil {
		return err
	}
	costs := r.sharing(f.holders[0], size)
	asked := r.asked()
	began := time.Now()
	if err := r.get(ctx, f.reader, root); err != nil {
		return fmt.Errorf("%s fetches %s: %w", f.reader, root, err)
	}
	took := time.Since(began).Seconds()
	note := func(series string, value float64) { r.Measure.Add(series, r.Net.Age(), f.reader.Number(), value) }
	note("fetch_time_s", took)
	costs.drain()
	costs.measure()
	if asked = r.asked() - asked; asked > 0 { // somebody counts
		note("wants_per_block", float64(asked)/float64(len(blocks)))
		r.Measure.AddBound(measure.Bound{Series: "wants_per_block", Label: "one", Value: 1})
	}
	rtt := r.Duration("rtt").Seconds()
	if levels := float64(len(blocks)); r.Text("shape") == "chain" && rtt > 0 {
		note("round_trips_per_level", took/rtt/levels)
		r.Measure.AddBound(measure.Bound{Series: "round_trips_per_level", Label: "one", Value: 1})
	}
	sum := f.uplink
	if down := r.Line().Down; down > 0 && (sum == 0 || down < sum) {
		sum = down
	}
	if sum > 0 {
		bound := rtt + float64(size)*8/float64(sum)
		r.Measure.AddBound(measure.Bound{Series: "fetch_time_s", Label: "the lines allow", Value: bound})
		r.Measure.Add("times_the_bound", r.Net.Age(), -1, took/bound)
		r.Logf("%d blocks of %d bytes after %.3f s, %.2f times the bound", len(blocks), size, took, took/bound)
	}
	return r.Check()
}

// fetching is who takes part in a fetch.
type fetching struct {
	holders, idle []*sim.Peer
	reader        *sim.Peer
	uplink        int // of all holders, in bits/s
	from          string
}

// cast makes the peers, and says what each is to be.
func (r *Run) cast() (f fetching, err error) {
	ups, err := r.uplinks()
	if err != nil {
		return f, err
	}
	if err := r.populateAt(r.Duration("rtt")); err != nil {
		return f, err
	}
	r.speak()
	idle, peers := r.Int("idle"), r.Net.Peers()
	f.from = r.clientOf("from")
	if err := r.Check(); err != nil {
		return f, err
	}
	if idle < 0 || len(peers)-idle < 2 {
		return f, fmt.Errorf("parameter idle: %d of %d peers, one of which has something and one of which fetches it", idle, len(peers))
	}
	last := len(peers) - idle - 1
	f.holders, f.reader, f.idle = peers[:last], peers[last], peers[last+1:]
	if len(ups) > 0 && len(ups) != len(f.holders) {
		return f, fmt.Errorf("parameter uplinks: %d, for %d peers that have something", len(ups), len(f.holders))
	}
	for i, p := range f.holders {
		line := r.Line()
		if len(ups) > 0 {
			line.Up = ups[i]
			p.SetLine(line)
		}
		f.uplink += line.Up
	}
	return f, nil
}

// begin starts the peers, gives those who are to have it what is to be fetched, and connects
// the reader with all.
func (f fetching) begin(ctx context.Context, r *Run, root cid.Cid, blocks []block.Block) error {
	r.Net.Warm(r.Net.Peers())
	err := sim.Each(ctx, r.Net.Peers(), func(ctx context.Context, p *sim.Peer) error {
		if slices.Contains(f.holders, p) {
			return r.startAs(ctx, p, f.from)
		}
		return r.start(ctx, p)
	})
	if err != nil {
		return err
	}
	for _, p := range f.holders {
		if err := running[keeper](p).Keep(ctx, root, blocks); err != nil {
			return err
		}
	}
	others := append(slices.Clone(f.holders), f.idle...)
	if len(f.idle) > 0 { // nobody is to be found first
		r.Net.Rand().Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	}
	for _, p := range others {
		if err := r.Net.Connect(ctx, []sim.Pair{{A: f.reader, B: p}}); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	r.Measure.Add("reader_connections", r.Net.Age(), f.reader.Number(), float64(len(f.reader.Connected())))
	return nil
}

// get fetches a DAG as the parameter way says.
func (r *Run) get(ctx context.Context, p *sim.Peer, root cid.Cid) error {
	switch r.Text("way") {
	case "pin":
		return running[keeper](p).Pin(ctx, root)
	case "read":
		f, err := running[sharer](p).Open(ctx, root)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	}
	return fmt.Errorf("parameter way: %q, want pin or read", r.Text("way"))
}

// uplinks are those that the parameter names.
func (r *Run) uplinks() (ups []int, err error) {
	text := r.Text("uplinks")
	if text == "" {
		return nil, nil
	}
	for _, s := range strings.Split(text, ",") {
		up, err := ParseRate(s)
		if err != nil {
			return nil, fmt.Errorf("parameter uplinks: %w", err)
		}
		ups = append(ups, up)
	}
	return ups, nil
}

// populateAt makes the peers, all equally far from each other if rtt is not 0.
func (r *Run) populateAt(rtt time.Duration) error {
	if rtt > 0 {
		r.Net.SetLatency(func(_, _ *sim.Peer) time.Duration { return rtt / 2 })
	}
	return r.Populate()
}

// shape makes what is fetched, and tells how many bytes all its blocks have.
func (r *Run) shape(ctx context.Context) (root cid.Cid, blocks []block.Block, size int, err error) {
	store := blockstore.NewMem()
	profile := build.V1_2025
	profile.ChunkSize = r.Int("chunk")
	o := build.Options{Profile: profile}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], r.Net.Rand().Uint64())
	random := rand.NewChaCha8(key)
	total, count := r.Int("size"), r.Int("count")
	if err := r.Check(); err != nil || count < 1 || total < 1 {
		return root, nil, 0, fmt.Errorf("parameters size and count: want 1 at least: %w", err)
	}
	tree := build.NewTree(store, o)
	switch r.Text("shape") {
	case "file":
		l, err := build.File(ctx, store, io.LimitReader(random, int64(total)), o)
		if err != nil {
			return root, nil, 0, err
		}
		return blocksOf(ctx, store, l.Cid)
	case "small":
		for i := range count {
			each := io.LimitReader(random, int64(total/count))
			if _, err := tree.File(ctx, fmt.Sprintf("%d/%d", i/100, i), each, 0, time.Time{}); err != nil {
				return root, nil, 0, err
			}
		}
	case "chain":
		path := strings.Repeat("inside/", count-1) + "file"
		if _, err := tree.File(ctx, path, io.LimitReader(random, 1024), 0, time.Time{}); err != nil {
			return root, nil, 0, err
		}
	default:
		return root, nil, 0, fmt.Errorf("parameter shape: %q, want file, small or chain", r.Text("shape"))
	}
	l, err := tree.Finish(ctx, nil)
	if err != nil {
		return root, nil, 0, err
	}
	return blocksOf(ctx, store, l.Cid)
}

// blocksOf lists what a store has.
func blocksOf(ctx context.Context, store blockstore.Store, root cid.Cid) (_ cid.Cid, blocks []block.Block, size int, err error) {
	for c, err := range store.All(ctx) {
		if err != nil {
			return root, nil, 0, err
		}
		b, err := store.Get(ctx, c)
		if err != nil {
			return root, nil, 0, err
		}
		blocks = append(blocks, b)
		size += b.Size()
	}
	return root, blocks, size, nil
}
