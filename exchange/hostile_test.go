package exchange_test

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

func verified(t testing.TB, c cid.Cid, data []byte) block.Block {
	t.Helper()
	b, err := block.Verify(c, data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// waitFor polls what has no event to wait for, for ten seconds at most.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not come to that")
		}
	}
}

// judge keeps what is reported to it.
type judge struct {
	mu     sync.Mutex
	faults map[exchange.Fault]int
	told   chan exchange.Fault // gets each report, if it is not nil
}

func (j *judge) Score(peer.ID) float64 { return 0 }
func (j *judge) Report(_ peer.ID, f exchange.Fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.faults == nil {
		j.faults = make(map[exchange.Fault]int)
	}
	j.faults[f]++
	if j.told != nil {
		j.told <- f
	}
}
func (j *judge) count(f exchange.Fault) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.faults[f]
}

// finder names fixed peers.
type finder []peer.AddrInfo

func (f finder) FindProviders(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for _, p := range f {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func open(t testing.TB, from, to host.Host) network.Stream {
	t.Helper()
	connect(t, from, to)
	s, err := from.NewStream(context.Background(), to.ID(), wire.Protocol120)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMalformedMessageEndsTheStream(t *testing.T) {
	j := &judge{}
	h, evil := loopback(t), loopback(t)
	run(t, h, exchange.Options{Judge: j})
	for _, in := range [][]byte{{3, 0xff, 0xff, 0xff}, binary.AppendUvarint(nil, 1<<40), {2, 0x0a, 200}} {
		s := open(t, evil, h)
		s.Write(in)
		waitReset(t, s)
	}
	if n := j.count(exchange.FaultMalformed); n != 3 {
		t.Errorf("%d faults were reported", n)
	}
}

// waitReset writes until the stream is known to be reset.
func waitReset(t testing.TB, s network.Stream) {
	t.Helper()
	waitFor(t, func() bool { _, err := s.Write([]byte{0}); return err != nil })
}

// TestSlowLoris: a message that trickles is cut off; silence between messages
// is not.
func TestSlowLoris(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		j := &judge{}
		h, evil := w.host(100*mbit, 100*mbit), w.host(100*mbit, 100*mbit)
		w.run(h, exchange.Options{Judge: j})
		idle, slow := open(t, evil, h), open(t, evil, h)
		idle.Write([]byte{0}) // an empty message
		slow.Write(binary.AppendUvarint(nil, 1<<20))
		began := time.Now()
		for {
			if _, err := slow.Write(make([]byte, 1000)); err != nil {
				break
			}
			<-time.After(time.Second) // virtual
			if time.Since(began) > time.Minute {
				t.Fatal("still reading")
			}
		}
		if d := time.Since(began); d > 15*time.Second || j.count(exchange.FaultSlow) != 1 {
			t.Errorf("cut off after %v, %d faults", d, j.count(exchange.FaultSlow))
		}
		if _, err := idle.Write([]byte{0}); err != nil {
			t.Errorf("the idle stream was cut: %v", err)
		}
	})
}

// TestHugeWantlist: an entry over the limit of what is kept is answered, and
// the others too.
func TestHugeWantlist(t *testing.T) {
	h, evil := loopback(t), loopback(t)
	other, store := blockstore.NewMem(), blockstore.NewMem()
	missing := fill(t, other, 3000, 10)
	have := fill(t, store, 100, 10)
	x := run(t, h, exchange.Options{Store: store})
	answers := make(chan wire.Message, 100)
	evil.SetStreamHandler(wire.Protocol120, func(s network.Stream) {
		r := wire.NewReader(s)
		for {
			n, err := r.Length()
			if err != nil {
				return
			}
			m, err := r.Body(n, nil)
			if err != nil {
				return
			}
			answers <- m
		}
	})
	s := open(t, evil, h)
	var m wire.Message
	for _, c := range append(missing, have...) {
		m.Entries = append(m.Entries, wire.Entry{Cid: c, SendDontHave: true})
	}
	if err := wire.NewWriter(s, wire.Protocol120).Write(&m); err != nil {
		t.Fatal(err)
	}
	said := make(map[cid.Cid]int)
	end := time.After(20 * time.Second)
	for len(said) < len(m.Entries) {
		select {
		case a := <-answers:
			for _, p := range a.Presences {
				said[p.Cid]++
			}
			for _, p := range a.Payloads {
				b, err := p.Block()
				if err != nil {
					t.Fatal(err)
				}
				said[b.Cid()]++
			}
		case <-end:
			t.Fatalf("%d of %d wants were answered", len(said), len(m.Entries))
		}
	}
	for c, n := range said {
		if n != 1 {
			t.Errorf("%s was answered %d times", c, n)
		}
	}
	if w := x.Stats().Table[0].Wants; w > 1024 {
		t.Errorf("%d wants are kept", w)
	}
}

// TestCorruptPeerIsBanned: one peer sends other bytes than were asked for, the
// fetch succeeds from another.
func TestCorruptPeerIsBanned(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	j := &judge{}
	h, evil, seed := loopback(t), loopback(t), loopback(t)
	store, junk := blockstore.NewMem(), blockstore.NewMem()
	cids := fill(t, store, 30, 10000)
	fill(t, junk, 1, 1)
	x := run(t, h, exchange.Options{Store: blockstore.NewMem(), Judge: j})
	answering(t, evil, func(e wire.Entry) *wire.Payload {
		return &wire.Payload{Prefix: e.Cid.Prefix(), Data: []byte("not " + e.Cid.String())}
	})
	connect(t, h, evil)
	waitFor(t, func() bool { return x.Stats().Peers == 1 })
	run(t, seed, exchange.Options{Store: store})
	connect(t, h, seed)
	getAll(ctx, t, x.Session(ctx), cids)
	waitFor(t, func() bool { return h.Network().Connectedness(evil.ID()) != network.Connected })
	if j.count(exchange.FaultJunk) < 3 {
		t.Errorf("faults: %v", j.faults)
	}
}

// answering has h answer each want with a payload of f's making.
func answering(t testing.TB, h host.Host, f func(wire.Entry) *wire.Payload) {
	h.SetStreamHandler(wire.Protocol120, func(s network.Stream) {
		go func() {
			out, err := h.NewStream(context.Background(), s.Conn().RemotePeer(), wire.Protocol120)
			if err != nil {
				return
			}
			r, w := wire.NewReader(s), wire.NewWriter(out, wire.Protocol120)
			for {
				n, err := r.Length()
				if err != nil {
					return
				}
				m, err := r.Body(n, nil)
				if err != nil {
					return
				}
				var reply wire.Message
				for _, e := range m.Entries {
					if !e.Cancel {
						if p := f(e); p != nil {
							reply.Payloads = append(reply.Payloads, *p)
						}
					}
				}
				if w.Write(&reply) != nil {
					return
				}
			}
		}()
	})
}

func TestMissingContentFailsWithReason(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		missing := fill(t, blockstore.NewMem(), 1, 100)[0]
		dead := w.host(100*mbit, 100*mbit)
		info := peer.AddrInfo{ID: dead.ID(), Addrs: dead.Addrs()}
		dead.Close()
		for _, c := range []struct {
			finder exchange.Finder
			peers  int
			phase  exchange.Phase
		}{
			{nil, 0, exchange.PhaseNoPeers},
			{nil, 2, exchange.PhaseNoProviders},
			{finder{}, 1, exchange.PhaseNoProviders},
			{finder{info}, 1, exchange.PhaseUndialable},
		} {
			h := w.host(100*mbit, 100*mbit)
			x := w.run(h, exchange.Options{Finder: c.finder})
			for range c.peers {
				connect(t, h, w.seed(100*mbit, 100*mbit, blockstore.NewMem()))
			}
			synctest.Wait()
			began := time.Now()
			_, err := x.Session(w.ctx).Get(w.ctx, missing)
			var missing *exchange.NotFoundError
			if !errors.As(err, &missing) || !errors.Is(err, block.ErrNotFound) || missing.Reason.Phase != c.phase {
				t.Errorf("got %v, want phase %q", err, c.phase)
			}
			t.Logf("%v after %v", err, time.Since(began))
		}
	})
}

// TestProviderIsFoundAndDialed fetches from a peer that only the finder knows.
func TestProviderIsFoundAndDialed(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		cids := fill(t, store, 20, 100<<10)
		seed := w.seed(100*mbit, 100*mbit, store)
		x := w.run(w.host(100*mbit, 100*mbit), exchange.Options{Finder: finder{{ID: seed.ID(), Addrs: seed.Addrs()}}})
		began := time.Now()
		getAll(w.ctx, t, x.Session(w.ctx), cids)
		t.Logf("took %v", time.Since(began))
	})
}

// TestLatePeer: a want of a session without peers is asked of one that connects.
func TestLatePeer(t *testing.T) {
	inWorld(t, 50*time.Millisecond, func(w *world) {
		store := blockstore.NewMem()
		cids := fill(t, store, 20, 1000)
		seed, h := w.seed(100*mbit, 100*mbit, store), w.host(100*mbit, 100*mbit)
		x := w.run(h, exchange.Options{})
		time.AfterFunc(time.Second, func() { h.Connect(w.ctx, peer.AddrInfo{ID: seed.ID(), Addrs: seed.Addrs()}) })
		getAll(w.ctx, t, x.Session(w.ctx), cids)
	})
}

func TestSessionEnds(t *testing.T) {
	h := loopback(t)
	x := run(t, h, exchange.Options{})
	c := fill(t, blockstore.NewMem(), 1, 10)[0]
	ctx, cancel := context.WithCancel(context.Background())
	s := x.Session(ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := s.Get(context.Background(), c); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	short, cancel2 := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel2()
	if _, err := x.Session(context.Background()).Get(short, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// A deadline reaches the session before a context that a Get has derived from its own.
	var timeout *exchange.TimeoutError
	if _, err := x.Session(short).Get(context.Background(), c); !errors.As(err, &timeout) {
		t.Errorf("got %v", err)
	}
	waitFor(t, func() bool { s := x.Stats(); return s.Wants == 0 && s.Waiting == 0 })
}

// TestLiarsAndSeed: peers that say that they have everything, and send nothing,
// beside one honest seed.
func TestLiarsAndSeed(t *testing.T) {
	for _, n := range []int{1, 4} {
		inWorld(t, 50*time.Millisecond, func(w *world) {
			store := blockstore.NewMem()
			cids := fill(t, store, 64, 256<<10)
			h := w.host(100*mbit, 100*mbit)
			x := w.run(h, exchange.Options{})
			for range n {
				liar := w.host(100*mbit, 100*mbit)
				sayingHave(liar)
				connect(t, h, liar)
			}
			connect(t, h, w.seed(100*mbit, 100*mbit, store))
			synctest.Wait()
			began := time.Now()
			getAll(w.ctx, t, x.Session(w.ctx), cids)
			limit := 50*time.Millisecond + linkTime(64*256<<10, 100*mbit)
			if took := report(t, x, began, limit); took > 3*limit {
				t.Errorf("%d liars: took %v, limit %v", n, took, limit)
			}
		})
	}
}

// sayingHave has h answer HAVE to every want, and nothing more.
func sayingHave(h host.Host) {
	h.SetStreamHandler(wire.Protocol120, func(s network.Stream) {
		out, err := h.NewStream(context.Background(), s.Conn().RemotePeer(), wire.Protocol120)
		if err != nil {
			return
		}
		r, w := wire.NewReader(s), wire.NewWriter(out, wire.Protocol120)
		for {
			n, err := r.Length()
			if err != nil {
				return
			}
			m, err := r.Body(n, nil)
			if err != nil {
				return
			}
			var reply wire.Message
			for _, e := range m.Entries {
				reply.Presences = append(reply.Presences, wire.Presence{Cid: e.Cid, Have: true})
			}
			if w.Write(&reply) != nil {
				return
			}
		}
	})
}
