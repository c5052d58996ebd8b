package exchange_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/security/noise"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// unlimited returns a host whose libp2p resets no stream.
func unlimited(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Security(noise.ID, noise.New),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// TestManyShortStreams: a peer that opens a stream for each of its messages,
// faster than they are read, as boxo does, loses none of them.
func TestManyShortStreams(t *testing.T) {
	const first, burst = 100, 450 // blocks; each of the burst has two streams
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	store, h, sender := blockstore.NewMem(), unlimited(t), unlimited(t)
	cids := fill(t, store, first+burst, 1000)
	x := run(t, h, exchange.Options{Store: blockstore.NewMem()})
	wants := wantsOf(sender)
	connect(t, h, sender)
	waitFor(t, func() bool { return x.Stats().Peers == 1 })
	got := make(chan struct{})
	go func() {
		defer close(got)
		getAll(ctx, t, x.Session(ctx), cids)
	}()
	out := open(t, sender, h)
	var late []block.Block
	for n := range first + burst {
		b, err := store.Get(ctx, next(ctx, t, wants))
		if err != nil {
			t.Fatal(err)
		}
		if n >= first {
			late = append(late, b)
		} else if err := wire.NewWriter(out, wire.Protocol120).Write(&wire.Message{Payloads: []wire.Payload{wire.PayloadOf(b)}}); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	flood(ctx, t, sender, h, late)
	<-got
	if took := time.Since(began); took > 5*time.Second || x.Stats().WantsOut != first+burst {
		t.Errorf("took %v, with %d wants for %d blocks", took, x.Stats().WantsOut, first+burst)
	}
}

// wantsOf has h pass on the blocks that it is asked for.
func wantsOf(h host.Host) <-chan cid.Cid {
	wants := make(chan cid.Cid, 10_000)
	h.SetStreamHandler(wire.Protocol120, func(s network.Stream) {
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
			for _, e := range m.Entries {
				if !e.Cancel {
					wants <- e.Cid
				}
			}
		}
	})
	return wants
}

func next(ctx context.Context, t testing.TB, wants <-chan cid.Cid) cid.Cid {
	t.Helper()
	select {
	case c := <-wants:
		return c
	case <-ctx.Done():
		t.Fatal("too few blocks were asked for")
		return cid.Undef
	}
}

// flood sends each block on a stream of its own, and as many messages that say
// nothing. All streams are open before the last byte of any is sent.
func flood(ctx context.Context, t testing.TB, from, to host.Host, blocks []block.Block) {
	t.Helper()
	var ready, sent sync.WaitGroup
	ready.Add(2 * len(blocks))
	for _, b := range blocks {
		for _, m := range []wire.Message{{Payloads: []wire.Payload{wire.PayloadOf(b)}}, {Pending: 1}} {
			var data bytes.Buffer
			if err := wire.NewWriter(&data, wire.Protocol120).Write(&m); err != nil {
				t.Fatal(err)
			}
			sent.Go(func() {
				s, err := from.NewStream(ctx, to.ID(), wire.Protocol120)
				if err == nil {
					_, err = s.Write(data.Bytes()[:data.Len()-1])
				}
				ready.Done()
				if err != nil {
					t.Error(err)
					return
				}
				ready.Wait()
				s.Write(data.Bytes()[data.Len()-1:]) // it may have been reset: that is what the test is about
				s.Close()
			})
		}
	}
	sent.Wait()
}
