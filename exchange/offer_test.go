package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

// TestOffer: an offer is told, once more is the same, and nothing is fetched for it.
func TestOffer(t *testing.T) {
	inWorld(t, 20*time.Millisecond, func(w *world) {
		a, b := w.host(100*mbit, 100*mbit), w.host(100*mbit, 100*mbit)
		from, to := w.run(a, exchange.Options{Links: linksOf}), w.run(b, exchange.Options{Links: linksOf})
		root, _ := dagOf(t, 3)
		if err := from.Offer(w.ctx, b.ID(), root.Cid(), 1000); !errors.Is(err, exchange.ErrNoSwarm) {
			t.Errorf("to nobody: got %v", err)
		}
		connect(t, a, b)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		told := make(chan exchange.Offered)
		go func() {
			defer close(told)
			for o := range to.Offers(ctx) {
				told <- o
			}
		}()
		for range 2 {
			if err := from.Offer(w.ctx, b.ID(), root.Cid(), 1000); err != nil {
				t.Fatal(err)
			}
			if got, want := <-told, (exchange.Offered{From: a.ID(), Root: root.Cid(), Size: 1000}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		if list := to.Offered(); len(list) != 1 {
			t.Errorf("%d offers of one DAG", len(list))
		}
		if _, more := <-told; more {
			t.Error("an offer that nobody made")
		}
		if s := to.Stats(); s.BytesIn > 0 {
			t.Errorf("%d bytes were fetched unasked", s.BytesIn)
		}
	})
}

// TestManyOffers: the offers of one peer push out no other's.
func TestManyOffers(t *testing.T) {
	swarmTest(t, func(w *world, p *scripted, x *exchange.Exchange, h host.Host, _ *judge) {
		other := play(w, h)
		root := func(i int) cid.Cid {
			b, err := block.New(fmt.Append(nil, i), block.Prefix{Codec: cid.Raw})
			if err != nil {
				t.Fatal(err)
			}
			return b.Cid()
		}
		other.say(other.out, frame.Offer{Root: root(0), Size: 1})
		time.Sleep(time.Second) // of virtual time
		for i := range 200 {
			p.say(p.out, frame.Offer{Root: root(i)})
		}
		time.Sleep(time.Second)
		list := x.Offered()
		if len(list) != 17 || list[0].From != other.host.ID() || list[16].Root != root(199) {
			t.Errorf("%d offers are remembered: %v", len(list), list)
		}
	})
}
