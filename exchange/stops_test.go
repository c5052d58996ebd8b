package exchange_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// versions is a chain of nodes, each with a leaf of its own and a link to the one before, in
// stores that each have all of it up to some length.
func versions(t *testing.T, lengths ...int) (stores []*blockstore.Mem, heads []cid.Cid) {
	t.Helper()
	for range lengths {
		stores, heads = append(stores, blockstore.NewMem()), append(heads, cid.Undef)
	}
	put := func(i int, data []byte, kind uint64) cid.Cid {
		b, err := block.New(data, block.Prefix{Codec: kind})
		if err != nil {
			t.Fatal(err)
		}
		for k, length := range lengths {
			if i >= length {
				continue
			}
			if err := stores[k].Put(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			heads[k] = b.Cid()
		}
		return b.Cid()
	}
	var before []codec.Link
	for i := range lengths[0] {
		n := codec.Node{Type: codec.TypeDir, Links: append([]codec.Link{{Name: "leaf", Cid: put(i, fmt.Append(nil, i), cid.Raw)}}, before...)}
		before = []codec.Link{{Name: "parent", Cid: put(i, n.Encode(), cid.DagProtobuf)}}
	}
	return stores, heads
}

// TestStops: what a DAG has in common with one that is here is neither sent nor walked, and
// those who leave out the same have it from each other.
func TestStops(t *testing.T) {
	const length, known = 500, 490
	inWorld(t, 20*time.Millisecond, func(w *world) {
		stores, heads := versions(t, length, known, known)
		a := w.host(100*mbit, 100*mbit)
		from := w.run(a, exchange.Options{Store: stores[0], Links: linksOf})
		hosts := []host.Host{a}
		var fetched []<-chan outcome
		for _, store := range stores[1:] {
			h := w.host(100*mbit, 100*mbit)
			x := w.run(h, exchange.Options{Store: store, Links: linksOf})
			for _, o := range hosts {
				connect(t, h, o)
			}
			hosts = append(hosts, h)
			synctest.Wait()
			got := make(chan outcome, 1)
			go func() {
				s := x.Session(w.ctx)
				s.Fetch(heads[0], exchange.Rarest, heads[1])
				var o outcome
				for c := heads[0]; o.err == nil && !c.Equals(heads[1]); {
					if o.b, o.err = s.Get(w.ctx, c); o.err != nil {
						break
					}
					links, err := linksOf(o.b)
					if err != nil {
						t.Error(err)
					}
					for _, l := range links {
						if c = l; l.Type() == cid.Raw {
							_, o.err = s.Get(w.ctx, l)
						}
					}
				}
				got <- o
			}()
			fetched = append(fetched, got)
		}
		for _, f := range fetched {
			if o := <-f; o.err != nil {
				t.Fatal(o.err)
			}
		}
		s := from.Stats()
		var in uint64
		for _, m := range s.Members {
			in += uint64(m.BytesOut)
		}
		size := uint64(0)
		for i := range length - known {
			size += uint64(len(fmt.Append(nil, known+i)))
		}
		if in > 2*size || s.BlocksOut > 0 {
			t.Errorf("%d bytes of leaves and %d blocks by name were sent, of leaves of %d bytes", in, s.BlocksOut, size)
		}
	})
}

// TestStopsAsked: a fetch tells others what it leaves out.
func TestStopsAsked(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, _ host.Host, _ *judge) {
		_, heads := versions(t, 20, 17, 12)
		s := x.Session(w.ctx)
		s.Fetch(heads[0], exchange.Rarest, heads[1], heads[2], heads[1])
		s.Prefetch(w.ctx, heads[0])
		open := hear[frame.Open](p)
		slices.SortFunc(open.Stops, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
		want := []cid.Cid{heads[1], heads[2]}
		slices.SortFunc(want, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
		if !open.Root.Equals(heads[0]) || !slices.Equal(open.Stops, want) {
			t.Errorf("opened by %+v", open)
		}
	})
}

// TestStopsOnWire: who opens a DAG without some of it is sent that.
func TestStopsOnWire(t *testing.T) {
	inWorld(t, 20*time.Millisecond, func(w *world) {
		stores, heads := versions(t, 20, 17)
		h := w.host(100*mbit, 100*mbit)
		w.run(h, exchange.Options{Store: stores[0], Links: linksOf})
		p := play(w, h)
		p.say(p.out, frame.Open{Channel: 1, Root: heads[0], Stops: []cid.Cid{heads[1]}, Nodes: true, Credit: 1000})
		if x := hear[frame.Index](p); x.Nodes != 3 || x.Leaves != 3 || x.Pushed != 3 {
			t.Errorf("got %+v", x)
		}
		p.say(p.out, frame.Open{Channel: 2, Root: heads[0], Stops: []cid.Cid{heads[0]}, Nodes: true, Credit: 1000})
		if x := hear[frame.Index](p); x.Nodes != 0 || x.Leaves != 0 {
			t.Errorf("nothing is left, and got %+v", x)
		}
	})
}

// TestNamesOnWire: a name by which nodes know such a DAG among themselves is none to others.
func TestNamesOnWire(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, _ *exchange.Exchange, _ host.Host, j *judge) {
		root, _ := dagOf(t, 3)
		p.say(p.out, frame.Open{Channel: 1, Root: cid.NewCidV1(0x305709, root.Cid().Hash())})
		time.Sleep(time.Second) // of virtual time
		if n := j.count(exchange.FaultMalformed); n != 1 {
			t.Errorf("%d reports", n)
		}
	})
}
