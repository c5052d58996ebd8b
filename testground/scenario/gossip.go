package scenario

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	meshTime      = 15 * time.Second // for meshes to form
	spreadTimeMax = 15 * time.Second // of the last message
)

// gossip: messages to all, and how they spread.
var gossip = Scenario{
	Name: "gossip", Doc: "messages to all peers, and how they spread", Peers: 100,
	TimeMax: time.Hour, Clients: speakers,
	Params: []Param{
		{"degree", "10", "connections of each peer, at least"},
		{"messages", "20", "published, one a second, by random peers"},
		{"size", "1024", "bytes of a message"},
		rampParam, connsParam,
	},
	Run: runGossip,
}

func runGossip(ctx context.Context, r *Run) error {
	degree, messages, size := r.Int("degree"), r.Int("messages"), r.Int("size")
	g := &spread{r: r, sent: make(map[int]time.Time), hops: make(map[int]map[peer.ID]int)}
	publish, err := r.listeners(ctx, degree, g.heard)
	if err != nil {
		return err
	}
	peers := r.Net.Peers()
	time.Sleep(meshTime)
	r.Logf("%d peers listen", len(peers))
	before := r.sent(isGossip)
	for m := range messages {
		from := r.Net.Rand().IntN(len(peers))
		if err := publish[from](ctx, g.message(m, size, peers[from])); err != nil {
			return fmt.Errorf("publish message %d: %w", m, err)
		}
		time.Sleep(time.Second)
	}
	time.Sleep(spreadTimeMax)
	g.theory()
	g.measure(before, messages*(len(peers)-1), size)
	return g.check(messages, len(peers))
}

// listeners starts all peers, connects each to degree others at least, and has them
// listen to one topic. publish is what each says there.
func (r *Run) listeners(ctx context.Context, degree int, heard func(p *sim.Peer, data []byte, via peer.ID)) (publish []func(context.Context, []byte) error, err error) {
	if err := r.Populate(); err != nil {
		return nil, err
	}
	peers := r.Net.Peers()
	r.Net.Warm(peers)
	if err := r.startOver(ctx, r.Duration(rampParam.Name), peers); err != nil {
		return nil, err
	}
	if err := r.Net.Connect(ctx, r.Net.Regular(peers, degree)); err != nil {
		return nil, err
	}
	publish = make([]func(context.Context, []byte) error, len(peers))
	return publish, sim.Each(ctx, peers, func(_ context.Context, p *sim.Peer) (err error) {
		hear := func(data []byte, via peer.ID) { heard(p, data, via) }
		publish[p.Number()], err = running[speaker](p).Listen("news", hear)
		return err
	})
}

// spread follows messages.
type spread struct {
	r *Run

	mu   sync.Mutex // guards the following
	sent map[int]time.Time
	hops map[int]map[peer.ID]int
}

// message notes that a message is sent now.
func (g *spread) message(number, size int, from *sim.Peer) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent[number] = time.Now()
	g.hops[number] = map[peer.ID]int{from.ID(): 0}
	text := binary.LittleEndian.AppendUint32(nil, uint32(number))
	return append(text, make([]byte, max(0, size-len(text)))...)
}

// heard notes what p hears.
func (g *spread) heard(p *sim.Peer, data []byte, via peer.ID) {
	if len(data) < 4 {
		return // nobody here has said that
	}
	number := int(binary.LittleEndian.Uint32(data))
	g.mu.Lock()
	defer g.mu.Unlock()
	hops := g.hops[number]
	if _, known := hops[p.ID()]; known || hops == nil {
		return // its own
	}
	at := g.r.Net.Age()
	// Whoever passed it on may not have told its own reader yet.
	if before, known := hops[via]; known {
		hops[p.ID()] = before + 1
		g.r.Measure.Add("hops", at, p.Number(), float64(before+1))
	} else {
		hops[p.ID()] = -1
	}
	g.r.Measure.Add("delivery_time_s", at, p.Number(), time.Since(g.sent[number]).Seconds())
}

// measure notes what so many deliveries of size bytes have cost.
func (g *spread) measure(before sim.Bytes, deliveries, size int) {
	now, at := g.r.sent(isGossip), g.r.Net.Age()
	var again uint64
	for _, p := range g.r.Net.Peers() {
		again += running[speaker](p).Repeated()
	}
	n := float64(max(deliveries, 1))
	g.r.Measure.Add("sent_copies_per_delivery", at, -1, float64(now.Out-before.Out)/float64(max(size, 1))/n)
	g.r.Measure.Add("duplicates_per_delivery", at, -1, float64(again)/n)
	g.r.Measure.Add("messages_per_delivery", at, -1, float64(now.Writes-before.Writes)/n)
}

// fanout is to how many peers each passes a message on at once: the degree of gossipsub's
// mesh.
const fanout = 6

// theory notes what is expected if each passes a message on to fanout others, who have
// not heard it, and takes one way to each.
func (g *spread) theory() {
	peers := g.r.Net.Peers()
	hops := math.Log(float64(len(peers))) / math.Log(fanout)
	var way time.Duration
	for i, p := range peers {
		for k := range fanout {
			way += sim.Regions(p, peers[(i+k*k+1)%len(peers)]) / time.Duration(fanout*len(peers))
		}
	}
	way += g.r.Duration("jitter")
	g.r.Measure.AddBound(measure.Bound{Series: "hops", Label: fmt.Sprintf("log%d N", fanout), Value: hops})
	g.r.Measure.AddBound(measure.Bound{Series: "delivery_time_s", Label: fmt.Sprintf("log%d N mean ways", fanout), Value: hops * way.Seconds()})
}

// check fails unless everyone has heard everything.
func (g *spread) check(messages, peers int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	missing := 0
	for m := range messages {
		missing += peers - len(g.hops[m])
	}
	all := messages * (peers - 1)
	g.r.Logf("%d of %d deliveries", all-missing, all)
	if missing > 0 {
		return fmt.Errorf("gossip: %d of %d deliveries are missing", missing, all)
	}
	return nil
}
