package gossip_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/p2pnode/p2pnode/gossip"
)

// deadline bounds every wait of these tests.
const deadline = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// run runs g until the test ends or what it returns is called.
func run(t testing.TB, g *gossip.Gossip) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func start(t testing.TB, o gossip.Options) (*gossip.Gossip, host.Host) {
	t.Helper()
	h := newHost(t)
	g, err := gossip.New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, g)
	return g, h
}

func connect(t testing.TB, a, b host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition that nothing announces.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, deadline)
		}
	}
}

func join(t testing.TB, g *gossip.Gossip, name string, v gossip.Validator) (*gossip.Topic, *gossip.Subscription) {
	t.Helper()
	topic, err := g.Join(name, v)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	return topic, sub
}

func next(t testing.TB, s *gossip.Subscription) gossip.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	m, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryoneHearsEveryone(t *testing.T) {
	const peers = 10
	var all []*gossip.Gossip
	var hosts []host.Host
	var topics []*gossip.Topic
	var subs []*gossip.Subscription
	for i := range peers {
		g, h := start(t, gossip.Options{})
		topic, sub := join(t, g, "news", nil)
		all, hosts, topics, subs = append(all, g), append(hosts, h), append(topics, topic), append(subs, sub)
		for _, j := range []int{i - 1, i / 2} { // nobody knows everybody
			if j >= 0 && j < i {
				connect(t, h, hosts[j])
			}
		}
	}
	for i, g := range all {
		until(t, "mesh", func() bool { return g.Stats().Links == len(hosts[i].Network().Peers()) })
	}
	for i, topic := range topics {
		if err := topic.Publish(t.Context(), fmt.Appendf(nil, "from %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, sub := range subs {
		heard := map[peer.ID]string{}
		for len(heard) < peers {
			m := next(t, sub)
			heard[m.From] = string(m.Data)
		}
		for j, h := range hosts {
			if want := fmt.Sprintf("from %d", j); heard[h.ID()] != want {
				t.Errorf("peer %d heard %q from peer %d", i, heard[h.ID()], j)
			}
		}
	}
}

func TestInvalidMessageGoesNowhere(t *testing.T) {
	liar, liarHost := start(t, gossip.Options{})
	judge, judgeHost := start(t, gossip.Options{})
	honest := func(_ context.Context, m gossip.Message) gossip.Verdict {
		if bytes.HasPrefix(m.Data, []byte("lie")) {
			return gossip.Reject
		}
		return gossip.Accept
	}
	lies, _ := join(t, liar, "court", nil)
	truth, sub := join(t, judge, "court", honest)
	connect(t, liarHost, judgeHost)
	until(t, "peers", func() bool { return len(lies.Peers()) == 1 && len(truth.Peers()) == 1 })

	if err := lies.Publish(t.Context(), []byte("lie")); err != nil {
		t.Fatal(err)
	}
	until(t, "rejection", func() bool { return judge.Stats().Rejected == 1 })
	if err := lies.Publish(t.Context(), []byte("truth")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, sub); string(m.Data) != "truth" || m.From != liarHost.ID() || m.Via != liarHost.ID() {
		t.Errorf("got %+v", m)
	}
	if err := truth.Publish(t.Context(), []byte("lie of mine")); !errors.Is(err, gossip.ErrRejected) {
		t.Errorf("publish what the own validator rejects: %v", err)
	}
}

// TestForgedAuthorIsRejected speaks raw pubsub: a message without a signature,
// one signed by its sender in the name of another, and one that was changed.
func TestForgedAuthorIsRejected(t *testing.T) {
	g, h := start(t, gossip.Options{})
	topic, sub := join(t, g, "news", nil)
	forger, victim := newHost(t), newHost(t)
	connect(t, forger, h)
	s, err := forger.NewStream(t.Context(), h.ID(), pubsub.GossipSubID_v11)
	if err != nil {
		t.Fatal(err)
	}
	wire := "/p2pnode/p2pnode/news"
	send := func(number byte, sign func(unsigned []byte) []byte, change func(*pb.Message)) {
		t.Helper()
		m := &pb.Message{From: []byte(victim.ID()), Data: []byte("forged"), Seqno: []byte{number}, Topic: &wire}
		unsigned, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		m.Signature = sign(append([]byte("libp2p-pubsub:"), unsigned...))
		change(m)
		rpc, err := proto.Marshal(&pb.RPC{Publish: []*pb.Message{m}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(rpc))), rpc...)); err != nil {
			t.Fatal(err)
		}
	}
	signer := func(h host.Host) func([]byte) []byte {
		return func(b []byte) []byte {
			signature, err := h.Peerstore().PrivKey(h.ID()).Sign(b)
			if err != nil {
				t.Fatal(err)
			}
			return signature
		}
	}
	same := func(*pb.Message) {}
	send(1, func([]byte) []byte { return nil }, same)
	until(t, "rejection of no signature", func() bool { return g.Stats().Rejected == 1 })
	send(2, signer(forger), same)
	until(t, "rejection of a foreign signature", func() bool { return g.Stats().Rejected == 2 })
	send(3, signer(victim), func(m *pb.Message) { m.Data = []byte("changed") })
	until(t, "rejection of changed data", func() bool { return g.Stats().Rejected == 3 })
	// The same message as its author wrote it proves that the forgeries were well made.
	send(4, signer(victim), same)
	if m := next(t, sub); string(m.Data) != "forged" || m.From != victim.ID() || m.Via != forger.ID() {
		t.Errorf("got %q from %v", m.Data, m.From)
	}
	if err := topic.Publish(t.Context(), []byte("real")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, sub); string(m.Data) != "real" || m.From != h.ID() {
		t.Errorf("got %q from %v", m.Data, m.From)
	}
}

func TestJoinBeforeRun(t *testing.T) {
	h := newHost(t)
	g, err := gossip.New(h, gossip.Options{})
	if err != nil {
		t.Fatal(err)
	}
	topic, sub := join(t, g, "early", nil)
	published := make(chan error, 1)
	go func() { published <- topic.Publish(t.Context(), []byte("bird")) }()
	run(t, g)
	if m := next(t, sub); string(m.Data) != "bird" {
		t.Errorf("got %q", m.Data)
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
}

// TestFirstTopic: a host speaks gossipsub from its first topic on, also to peers that
// it was connected to before.
func TestFirstTopic(t *testing.T) {
	a, hostA := start(t, gossip.Options{})
	b, hostB := start(t, gossip.Options{})
	connect(t, hostA, hostB)
	speaks := func(h host.Host) bool {
		return slices.ContainsFunc(h.Mux().Protocols(), func(id protocol.ID) bool {
			return slices.Contains(pubsub.GossipSubDefaultProtocols, id)
		})
	}
	if speaks(hostA) || a.Stats().Peers != 0 {
		t.Error("speaks gossipsub without a topic")
	}
	var topics []*gossip.Topic
	for _, g := range []*gossip.Gossip{a, b} {
		topic, err := g.Join("first", nil)
		if err != nil {
			t.Fatal(err)
		}
		topics = append(topics, topic)
	}
	if !speaks(hostA) {
		t.Error("does not speak gossipsub with a topic")
	}
	s, err := topics[1].Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "peer in the topic", func() bool { return len(topics[0].Peers()) == 1 })
	if err := topics[0].Publish(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if m, err := s.Next(ctx); err != nil || string(m.Data) != "hello" {
		t.Errorf("got %q, %v", m.Data, err)
	}
}

func TestNothingOutlivesRun(t *testing.T) {
	h := newHost(t)
	g, err := gossip.New(h, gossip.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, g)
	topic, sub := join(t, g, "late", nil)
	waiting := make(chan error, 1)
	go func() { _, err := sub.Next(t.Context()); waiting <- err }()
	stop()
	if err := <-waiting; !errors.Is(err, gossip.ErrStopped) {
		t.Errorf("next: %v", err)
	}
	if err := topic.Publish(t.Context(), nil); !errors.Is(err, gossip.ErrStopped) {
		t.Errorf("publish: %v", err)
	}
	if _, err := g.Join("later", nil); !errors.Is(err, gossip.ErrStopped) {
		t.Errorf("join: %v", err)
	}
	if err := topic.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, id := range h.Mux().Protocols() {
		for _, g := range pubsub.GossipSubDefaultProtocols {
			if id == g {
				t.Errorf("still answers %s", id)
			}
		}
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("ran twice")
	}
}

func TestCloseAndJoinAgain(t *testing.T) {
	g, _ := start(t, gossip.Options{})
	topic, sub := join(t, g, "door", nil)
	if _, err := g.Join("door", nil); !isTopicError(err) {
		t.Errorf("join twice: %v", err)
	}
	if err := topic.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Next(t.Context()); !errors.Is(err, gossip.ErrClosed) {
		t.Errorf("next: %v", err)
	}
	sub.Close()
	if err := topic.Publish(t.Context(), nil); !errors.Is(err, gossip.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	again, sub := join(t, g, "door", nil)
	if err := again.Publish(t.Context(), []byte("knock")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, sub); string(m.Data) != "knock" {
		t.Errorf("got %q", m.Data)
	}
	if n := g.Stats().Topics; n != 1 {
		t.Errorf("%d topics", n)
	}
}

func TestLimits(t *testing.T) {
	g, _ := start(t, gossip.Options{Buffer: 1})
	for _, name := range []string{"", string(make([]byte, gossip.TopicSizeMax+1)), "\xff"} {
		if _, err := g.Join(name, nil); !isTopicError(err) {
			t.Errorf("join %q: %v", name, err)
		}
	}
	topic, sub := join(t, g, "size", nil)
	tooLarge := (*gossip.SizeError)(nil)
	err := topic.Publish(t.Context(), make([]byte, gossip.DataSizeMax+1))
	if !errors.As(err, &tooLarge) || tooLarge.Size != gossip.DataSizeMax+1 {
		t.Errorf("publish too much: %v", err)
	}
	for range 10 { // one is in Next's hands, one is buffered
		if err := topic.Publish(t.Context(), make([]byte, gossip.DataSizeMax)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "dropped message", func() bool { return g.Stats().Undelivered > 0 })
	if m := next(t, sub); len(m.Data) != gossip.DataSizeMax {
		t.Errorf("%d bytes", len(m.Data))
	}
	for i := 1; i < gossip.TopicsMax; i++ {
		if _, err := g.Join(fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Join("one more", nil); !isTopicError(err) {
		t.Errorf("join too many: %v", err)
	}
	if _, err := gossip.New(newHost(t), gossip.Options{Network: "a/b"}); err == nil {
		t.Error("network with a slash")
	}
}

func isTopicError(err error) bool {
	e := (*gossip.TopicError)(nil)
	return errors.As(err, &e)
}

func TestNetworksDoNotMix(t *testing.T) {
	a, ha := start(t, gossip.Options{Network: "red"})
	b, hb := start(t, gossip.Options{Network: "blue"})
	c, hc := start(t, gossip.Options{Network: "red"})
	ta, _ := join(t, a, "news", nil)
	tb, _ := join(t, b, "news", nil)
	tc, _ := join(t, c, "news", nil)
	connect(t, ha, hb)
	connect(t, ha, hc)
	connect(t, hb, hc)
	until(t, "peers", func() bool { return len(ta.Peers()) == 1 && len(tc.Peers()) == 1 })
	if p := tb.Peers(); len(p) != 0 {
		t.Errorf("blue sees %v", p)
	}
}

func TestLargestMessageCrossesTheWire(t *testing.T) {
	a, ha := start(t, gossip.Options{})
	b, hb := start(t, gossip.Options{})
	ta, _ := join(t, a, "big", nil)
	_, sub := join(t, b, "big", nil)
	connect(t, ha, hb)
	until(t, "peer", func() bool { return len(ta.Peers()) == 1 })
	data := bytes.Repeat([]byte("x"), gossip.DataSizeMax)
	if err := ta.Publish(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	if m := next(t, sub); !bytes.Equal(m.Data, data) {
		t.Errorf("%d bytes arrived", len(m.Data))
	}
}

func TestSubscriptionsOfAPeerAreBounded(t *testing.T) {
	g, err := gossip.New(newHost(t), gossip.Options{})
	if err != nil {
		t.Fatal(err)
	}
	topics := func(from, n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint("/p2pnode/p2pnode/", from+i))
		}
		return names
	}
	for _, step := range []struct {
		subscribe bool
		topics    []string
		kept      int
	}{
		{true, topics(0, 200), 200},
		{true, topics(100, 200), 156}, // 100 of them again, 56 new
		{true, topics(500, 1), 0},
		{false, topics(0, 10), 10},
		{true, topics(500, 20), 10},
		{true, []string{"/p2pnode/other/1", "foreign", "/p2pnode/p2pnode/" + string(make([]byte, 200))}, 0},
	} {
		kept, err := g.Filter("peer", step.subscribe, step.topics...)
		if kept != step.kept || err != nil {
			t.Errorf("kept %d of %d, want %d: %v", kept, len(step.topics), step.kept, err)
		}
	}
	if _, err := g.Filter("peer", true, topics(0, gossip.TopicsMax+1)...); err == nil {
		t.Error("too many at once")
	}
	if n := g.Stats().Peers; n != 1 {
		t.Errorf("%d peers", n)
	}
	g.Forget("peer")
	if n := g.Stats().Peers; n != 0 {
		t.Errorf("%d peers after it has gone", n)
	}
}

// Who waits for arrivals hears of those who are there, and of those who come.
func TestArrival(t *testing.T) {
	first, firstHost := start(t, gossip.Options{})
	topic, _ := join(t, first, "news", nil)
	var hosts []host.Host
	for range 2 {
		g, h := start(t, gossip.Options{})
		join(t, g, "news", nil)
		hosts = append(hosts, h)
	}
	stranger, strangerHost := start(t, gossip.Options{})
	join(t, stranger, "other", nil)
	connect(t, strangerHost, firstHost)
	connect(t, hosts[0], firstHost)
	until(t, "peer in the topic", func() bool { return len(topic.Peers()) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for i, h := range hosts {
		if i == 1 {
			connect(t, h, firstHost)
		}
		if p, err := topic.Arrival(ctx); err != nil || p != h.ID() {
			t.Errorf("got %s, %v; want %s", p, err, h.ID())
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if p, err := topic.Arrival(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody else has come: got %s, %v", p, err)
	}
	if err := topic.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Arrival(ctx); !errors.Is(err, gossip.ErrClosed) {
		t.Errorf("closed topic: got %v", err)
	}
}

// TestReunion: who was in a topic with this peer is dialled again when the connection is lost.
func TestReunion(t *testing.T) {
	a, ha := start(t, gossip.Options{})
	b, hb := start(t, gossip.Options{})
	here, _ := join(t, a, "t", nil)
	there, _ := join(t, b, "t", nil)
	connect(t, ha, hb)
	met := func() bool { return len(here.Peers()) == 1 && len(there.Peers()) == 1 }
	until(t, "meeting", met)
	if err := ha.Network().ClosePeer(hb.ID()); err != nil {
		t.Fatal(err)
	}
	until(t, "parting", func() bool { return !met() })
	until(t, "reunion", met)
}
