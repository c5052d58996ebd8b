package exchange_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// scripted is a peer of the swarm that a test plays: what it hears comes out of heard.
type scripted struct {
	t     *testing.T
	host  host.Host
	heard chan frame.Frame
	out   *frame.Writer // control frames
	data  *frame.Writer
	ends  []network.Stream
}

// play connects a scripted peer to the host of x.
func play(w *world, h host.Host) *scripted {
	p := &scripted{t: w.t, host: w.host(100*mbit, 100*mbit), heard: make(chan frame.Frame, 1000)}
	p.host.SetStreamHandler(frame.Protocol, func(s network.Stream) {
		r := wire.NewReader(s)
		for {
			n, err := r.Length()
			if err != nil {
				return
			}
			buf, err := r.Bytes(n, nil)
			if err != nil {
				return
			}
			f, err := frame.Decode(buf)
			if err != nil {
				w.t.Error(err)
				return
			}
			p.heard <- f
		}
	})
	connect(w.t, p.host, h)
	synctest.Wait()
	p.out, p.data = p.stream(w.ctx, h), p.stream(w.ctx, h)
	return p
}

func (p *scripted) stream(ctx context.Context, h host.Host) *frame.Writer {
	s, err := p.host.NewStream(ctx, h.ID(), frame.Protocol)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ends = append(p.ends, s)
	return frame.NewWriter(s)
}

func (p *scripted) say(w *frame.Writer, f ...frame.Frame) {
	p.t.Helper()
	if err := w.Write(f...); err != nil {
		p.t.Fatal(err)
	}
}

// hear returns the next frame of a kind.
func hear[F frame.Frame](p *scripted) F {
	p.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case f := <-p.heard:
			if f, ok := f.(F); ok {
				return f
			}
		case <-late:
			var f F
			p.t.Fatalf("no %T was heard", f)
			return f
		}
	}
}

// dagOf is a node with leaves of 1,000 bytes.
func dagOf(t *testing.T, leaves int) (root block.Block, list []block.Block) {
	t.Helper()
	store := blockstore.NewMem()
	c := file(t, store, 7, 1000*leaves, 1000)
	root, err := store.Get(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	links, err := linksOf(root)
	if err != nil || len(links) != leaves {
		t.Fatalf("%d links, %v", len(links), err)
	}
	for _, l := range links {
		b, err := store.Get(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return root, list
}

type outcome struct {
	b   block.Block
	err error
}

// fetching begins a fetch of a DAG, and gets one of its blocks.
func fetching(ctx context.Context, x *exchange.Exchange, root, c cid.Cid) <-chan outcome {
	s := x.Session(ctx)
	s.Fetch(root, exchange.Rarest)
	got := make(chan outcome, 1)
	go func() {
		b, err := s.Get(ctx, c)
		got <- outcome{b, err}
	}()
	return got
}

// swarmTest has a scripted peer and an exchange that has nothing.
func swarmTest(t *testing.T, f func(w *world, p *scripted, x *exchange.Exchange, h host.Host, j *judge)) {
	inWorld(t, 20*time.Millisecond, func(w *world) {
		h, j := w.host(100*mbit, 100*mbit), &judge{told: make(chan exchange.Fault, 100)}
		x := w.run(h, exchange.Options{Links: linksOf, Judge: j})
		f(w, play(w, h), x, h, j)
	})
}

// TestMemberServes: nodes, pushed leaves and requested ones are what the protocol says.
func TestMemberServes(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, _ host.Host, _ *judge) {
		root, leaves := dagOf(t, 3)
		got := fetching(w.ctx, x, root.Cid(), leaves[2].Cid())
		open := hear[frame.Open](p)
		if open.Root != root.Cid() || !open.Nodes || open.Credit == 0 {
			t.Fatalf("opened by %+v", open)
		}
		all := []frame.Range{{First: 0, Count: 3}}
		p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: root.RawData()}}},
			frame.Index{Channel: open.Channel, Nodes: 1, Leaves: 3, Pushed: 1},
			frame.Block{Channel: open.Channel, Number: 0, Data: leaves[0].RawData()})
		p.say(p.out, frame.Have{Channel: open.Channel, Ranges: all})
		request := hear[frame.Request](p)
		if n := request.Ranges[len(request.Ranges)-1]; n.First+n.Count != 3 {
			t.Fatalf("requested %v", request.Ranges)
		}
		p.say(p.data, frame.Block{Channel: open.Channel, Number: 2, Data: leaves[2].RawData()})
		if o := <-got; o.err != nil || o.b.Cid() != leaves[2].Cid() {
			t.Fatal(o)
		}
	})
}

// TestMemberLies: nodes that are not those of the DAG, and leaves that are not what their
// number says, are taken for nothing, reported, and fetched from somebody else.
func TestMemberLies(t *testing.T) {
	for _, c := range []struct {
		what  string
		fault exchange.Fault
		lie   func(p *scripted, open frame.Open, root block.Block, leaves []block.Block)
	}{
		{"another node", "wrong nodes", func(p *scripted, open frame.Open, _ block.Block, leaves []block.Block) {
			p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: leaves[0].RawData()}}})
		}},
		{"too many nodes", "wrong nodes", func(p *scripted, open frame.Open, root block.Block, _ []block.Block) {
			p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: root.RawData()}, {Data: root.RawData()}}})
		}},
		{"leaves without end", "wrong nodes", func(p *scripted, open frame.Open, _ block.Block, _ []block.Block) {
			p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Leaves: 1 << 29}}})
		}},
		{"wrong counts", "wrong nodes", func(p *scripted, open frame.Open, root block.Block, _ []block.Block) {
			p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: root.RawData()}}},
				frame.Index{Channel: open.Channel, Nodes: 1, Leaves: 4})
		}},
		{"an end before the end", "wrong nodes", func(p *scripted, open frame.Open, _ block.Block, _ []block.Block) {
			p.say(p.data, frame.Index{Channel: open.Channel})
		}},
		{"another leaf", "corrupt leaf", func(p *scripted, open frame.Open, root block.Block, leaves []block.Block) {
			p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: root.RawData()}}},
				frame.Index{Channel: open.Channel, Nodes: 1, Leaves: 3, Pushed: 1},
				frame.Block{Channel: open.Channel, Number: 0, Data: leaves[1].RawData()})
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, h host.Host, j *judge) {
				root, leaves := dagOf(t, 3)
				got := fetching(w.ctx, x, root.Cid(), leaves[0].Cid())
				c.lie(p, hear[frame.Open](p), root, leaves)
				select {
				case f := <-j.told:
					if f != c.fault {
						t.Errorf("%q was reported, want %q", f, c.fault)
					}
				case <-time.After(3 * time.Second): // before silence alone is a fault
					t.Errorf("%q was not reported", c.fault)
				}
				honest := blockstore.NewMem()
				if err := honest.Put(w.ctx, append(leaves, root)...); err != nil {
					t.Fatal(err)
				}
				connect(t, w.seed(100*mbit, 100*mbit, honest), h)
				if o := <-got; o.err != nil {
					t.Fatal(o.err)
				}
			})
		})
	}
}

// TestMemberBreaksOff: when a stream of control frames ends, neither side knows what the
// other has heard, and both begin anew.
func TestMemberBreaksOff(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, _ host.Host, _ *judge) {
		root, leaves := dagOf(t, 3)
		s := x.Session(w.ctx)
		s.Fetch(root.Cid(), exchange.Rarest)
		open := hear[frame.Open](p)
		p.say(p.out, frame.Have{Channel: open.Channel})
		synctest.Wait()
		p.ends[0].Reset()
		again := hear[frame.Open](p)
		if again.Root != root.Cid() {
			t.Fatalf("opened by %+v", again)
		}
		p.say(p.data, frame.Nodes{Channel: again.Channel, Items: []frame.Item{{Data: root.RawData()}}},
			frame.Index{Channel: again.Channel, Nodes: 1, Leaves: 3, Pushed: 1},
			frame.Block{Channel: again.Channel, Number: 0, Data: leaves[0].RawData()})
		if _, err := s.Get(w.ctx, leaves[0].Cid()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLateOfOldChannel: what comes late of a channel that has ended with its control stream is
// not taken for that of a new one.
func TestLateOfOldChannel(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, _ host.Host, j *judge) {
		root, leaves := dagOf(t, 3)
		x.Session(w.ctx).Fetch(root.Cid(), exchange.Rarest)
		old := hear[frame.Open](p)
		p.say(p.out, frame.Have{Channel: old.Channel})
		p.say(p.data, frame.Nodes{Channel: old.Channel, Items: []frame.Item{{Data: root.RawData()}}},
			frame.Index{Channel: old.Channel, Nodes: 1, Leaves: 3})
		time.Sleep(100 * time.Millisecond) // until they have arrived
		for len(p.heard) > 0 {
			<-p.heard
		}
		p.ends[0].Reset()
		again := hear[frame.Open](p)
		if again.Channel == old.Channel {
			t.Errorf("channel %d once more", old.Channel)
		}
		p.say(p.data, frame.Block{Channel: old.Channel, Number: 0, Data: leaves[1].RawData()})
		select {
		case f := <-j.told:
			t.Errorf("%q was reported", f)
		case <-time.After(time.Second):
		}
	})
}

// TestFetchOfClosedSession: a session that has ended has nothing fetched any more.
func TestFetchOfClosedSession(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, _ host.Host, _ *judge) {
		root, _ := dagOf(t, 3)
		ctx, cancel := context.WithCancel(w.ctx)
		s := x.Session(ctx)
		cancel()
		synctest.Wait()
		s.Fetch(root.Cid(), exchange.Rarest)
		synctest.Wait()
		if n := x.Stats().Swarm.Fetches; n != 0 {
			t.Errorf("%d DAGs are fetched for a session that has ended", n)
		}
	})
}

// named is a Finder of one peer for one CID.
type named struct {
	c cid.Cid
	h host.Host
}

func (n named) FindProviders(_ context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if c == n.c {
			yield(peer.AddrInfo{ID: n.h.ID(), Addrs: n.h.Addrs()}, nil)
		}
	}
}

// TestLackedIsSearchedFor: a leaf that no peer of the swarm has is fetched from who
// provides the root, which is all that most provide.
func TestLackedIsSearchedFor(t *testing.T) {
	inWorld(t, 20*time.Millisecond, func(w *world) {
		root, leaves := dagOf(t, 3)
		store := blockstore.NewMem()
		if err := store.Put(w.ctx, append(leaves, root)...); err != nil {
			t.Fatal(err)
		}
		h := w.host(100*mbit, 100*mbit)
		x := w.run(h, exchange.Options{Links: linksOf, Finder: named{root.Cid(), w.seed(100*mbit, 100*mbit, store)}})
		p := play(w, h)
		got := fetching(w.ctx, x, root.Cid(), leaves[2].Cid())
		open := hear[frame.Open](p)
		p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: root.RawData()}}},
			frame.Index{Channel: open.Channel, Nodes: 1, Leaves: 3})
		p.say(p.out, frame.Have{Channel: open.Channel, Ranges: []frame.Range{{First: 0, Count: 1}}})
		if o := <-got; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

// TestLackedMayComeYet: a leaf that nobody has is not given up while a peer that fetches
// the same gets on, and is soon after.
func TestLackedMayComeYet(t *testing.T) {
	for _, comes := range []bool{true, false} {
		swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, _ host.Host, _ *judge) {
			root, leaves := dagOf(t, 3)
			got := fetching(w.ctx, x, root.Cid(), leaves[2].Cid())
			open := hear[frame.Open](p)
			gain := func(i int) {
				p.say(p.out, frame.Have{Channel: open.Channel, Ranges: []frame.Range{{First: i, Count: 1}}})
				hear[frame.Request](p)
				p.say(p.data, frame.Block{Channel: open.Channel, Number: i, Data: leaves[i].RawData()})
			}
			p.say(p.data, frame.Nodes{Channel: open.Channel, Items: []frame.Item{{Data: root.RawData()}}},
				frame.Index{Channel: open.Channel, Nodes: 1, Leaves: 3})
			p.say(p.out, frame.Open{Channel: 1, Root: root.Cid(), Leaves: 3})
			gain(0)
			time.Sleep(20 * time.Second)
			gain(1)
			select {
			case o := <-got:
				t.Fatalf("given up while the peer got on: %v", o.err)
			case <-time.After(20 * time.Second):
			}
			if comes {
				gain(2)
			}
			began := time.Now()
			if o := <-got; (o.err == nil) != comes || time.Since(began) > time.Minute {
				t.Errorf("comes %v, ended after another %v: %v", comes, time.Since(began), o.err)
			}
		})
	}
}
