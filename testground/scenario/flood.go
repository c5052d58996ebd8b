package scenario

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	mh "github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/wire"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// flood: many ask one peer for all that they can, and read nothing; another wants a file.
var flood = Scenario{
	Name: "flood", Doc: "all but two flood one peer with wants, opens and requests; one honest peer asks it for a file", Peers: 102,
	TimeMax: 20 * time.Minute,
	Params: []Param{
		{"size", "65536", "bytes of the file that is wanted"},
		{"bait", "16777216", "bytes of the file that the flood asks for"},
		{"wants", "100", "that a flooder writes each second, but for one of blocks that nobody has; it opens a quarter as many DAGs"},
		{"seconds", "10", "of flood before the file is asked for"},
		connsParam, rttParam,
	},
	Run: runFlood,
}

const (
	floodEvery = time.Second
	// wantsMax is how many wants a node keeps for a peer.
	wantsMax = 1024
)

func runFlood(ctx context.Context, r *Run) error {
	size, bait, seconds := r.Int("size"), r.Int("bait"), r.Int("seconds")
	f := flooding{wants: r.Int("wants")}
	if err := r.populateAt(r.Duration("rtt")); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if r.Check() != nil || len(peers) < 3 || f.wants > wire.EntriesMax {
		return fmt.Errorf("flood: %d peers, want 3 at least; %d wants, want %d at most: %w", len(peers), f.wants, wire.EntriesMax, r.Check())
	}
	server, reader, flooders := peers[0], peers[1], peers[2:]
	if err := r.Start(ctx, peers[:2]); err != nil {
		return err
	}
	wanted, err := r.add(ctx, server, size)
	if err != nil {
		return err
	}
	of, err := r.addChunks(ctx, server, bait, 256<<10)
	if err != nil {
		return err
	}
	f.server, f.bait = server, of.root
	if err := sim.Each(ctx, flooders, func(ctx context.Context, p *sim.Peer) error { return p.StartGuest(ctx, f.open(uint64(p.Number()))) }); err != nil {
		return err
	}
	for _, p := range peers[1:] {
		if err := p.Connect(ctx, server); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	before := heapMB()
	for _, p := range flooders {
		close(p.Guest().(*flooder).begin)
	}
	time.Sleep(time.Duration(seconds) * time.Second)
	n := float64(len(flooders))
	stats := server.Node().Stats().Exchange
	kept := 0
	for _, p := range stats.Table {
		kept += p.Wants
	}
	r.Measure.Add("wants_kept_per_flooder", r.Net.Age(), -1, float64(kept)/n)
	r.Measure.AddBound(measure.Bound{Series: "wants_kept_per_flooder", Label: "the limit of wants", Value: wantsMax})
	r.Measure.Add("heap_mb_per_flooder", r.Net.Age(), -1, (heapMB()-before)/n)
	r.Logf("%d peers are connected, %d wants are kept, %d came, %d bytes of blocks went by bitswap and %d by the swarm protocol",
		len(server.Connected()), kept, stats.WantsIn, stats.BytesOut, stats.Swarm.BytesOut)
	r.Measure.AddBound(measure.Bound{Series: "served_time_s", Label: "a second", Value: 1})
	if err := r.fetch(ctx, reader, wanted, "served_time_s"); err != nil {
		return err
	}
	return r.Check()
}

// heapMB is how much memory is in use. It is all of the process: what peers keep that flood,
// and what is on the lines, is in it.
func heapMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// flooding is what all flooders do.
type flooding struct {
	server *sim.Peer
	bait   cid.Cid
	wants  int
}

// flooder is a guest that asks and does not read.
type flooder struct {
	flooding
	host  host.Host
	begin chan struct{} // closed when it is to
	next  atomic.Uint64 // of what it makes up
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

func (f *flooder) Host() host.Host { return f.host }

func (f *flooder) Close() error {
	f.stop()
	err := f.host.Close()
	f.tasks.Wait()
	return err
}

func (f flooding) open(number uint64) func(context.Context, sim.Seat) (sim.Guest, error) {
	return func(ctx context.Context, s sim.Seat) (sim.Guest, error) {
		h, err := libp2p.New(append(s.Options, libp2p.DisableMetrics(), libp2p.DisableRelay())...)
		if err != nil {
			return nil, err
		}
		g := &flooder{flooding: f, host: h, begin: make(chan struct{})}
		g.next.Store(number << 32)
		ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
		for _, id := range []protocol.ID{wire.Protocol120, frame.Protocol} {
			h.SetStreamHandler(id, func(network.Stream) {}) // it stays open, and full
			g.tasks.Go(func() { g.flood(ctx, id) })
		}
		return g, nil
	}
}

// flood writes by one of the protocols, on a new stream when one has broken.
func (f *flooder) flood(ctx context.Context, id protocol.ID) {
	select {
	case <-f.begin:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		if s, err := f.host.NewStream(network.WithNoDial(ctx, "flood"), f.server.ID(), id); err == nil {
			stop := context.AfterFunc(ctx, func() { s.Reset() })
			messages, frames := wire.NewWriter(s, wire.Protocol120), frame.NewWriter(s)
			for err == nil {
				if id == frame.Protocol {
					err = frames.Write(f.opens()...)
				} else {
					err = messages.Write(f.message())
				}
				pauseFor(ctx, floodEvery)
			}
			stop()
		}
		pauseFor(ctx, floodEvery)
	}
}

// message wants the bait, and what nobody has.
func (f *flooder) message() *wire.Message {
	m := &wire.Message{}
	for i := range f.wants {
		e := wire.Entry{Cid: f.bait, SendDontHave: true}
		if i > 0 {
			e.Cid = f.made(cid.Raw)
		}
		m.Entries = append(m.Entries, e)
	}
	return m
}

// opens asks about DAGs that nobody has, and for all of the bait.
func (f *flooder) opens() (list []frame.Frame) {
	n := uint32(f.wants/4 + 1)
	first := uint32(f.next.Add(1)*uint64(n)) % (frame.ChannelMax - n)
	list = append(list, frame.Open{Channel: first + 1, Root: f.bait, Nodes: true, Credit: 1 << 29},
		frame.Request{Channel: first + 1, Ranges: []frame.Range{{Count: 64}}})
	for i := range n - 1 {
		list = append(list, frame.Open{Channel: first + 2 + i, Root: f.made(cid.DagProtobuf), Nodes: true})
	}
	return list
}

// made is the name of what nobody has.
func (f *flooder) made(codec uint64) cid.Cid {
	sum, err := mh.Sum(binary.BigEndian.AppendUint64([]byte(f.host.ID()), f.next.Add(1)), mh.SHA2_256, -1)
	if err != nil {
		panic(err) // it is known
	}
	return cid.NewCidV1(codec, sum)
}
