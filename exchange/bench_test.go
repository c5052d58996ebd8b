package exchange_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
)

// BenchmarkLoopback fetches 256 MiB between two nodes of this process, over TCP
// and Noise. The stores hold blocks in memory.
func BenchmarkLoopback(b *testing.B) {
	for _, size := range []int{1 << 20, 256 << 10, 4 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			total := 256 << 20
			if size < 64<<10 {
				total = 64 << 20
			}
			store := blockstore.NewMem()
			cids := fill(b, store, total/size, size)
			seed := loopback(b)
			run(b, seed, exchange.Options{Store: store})
			b.SetBytes(int64(total))
			for b.Loop() {
				h := loopback(b)
				x := run(b, h, exchange.Options{Store: discard{}})
				connect(b, h, seed)
				getAll(context.Background(), b, x.Session(context.Background()), cids)
			}
		})
	}
}

// discard is a store that keeps nothing, as fast as can be.
type discard struct{ blockstore.Store }

func (discard) Put(context.Context, ...block.Block) error { return nil }

// BenchmarkRawStream is the bound: the same bytes on a stream, neither hashed
// nor looked at.
func BenchmarkRawStream(b *testing.B) {
	const total = 256 << 20
	a, h := loopback(b), loopback(b)
	a.SetStreamHandler("/raw", func(s network.Stream) {
		buf := make([]byte, 1<<20)
		for range total / len(buf) {
			s.Write(buf)
		}
		s.Close()
	})
	connect(b, h, a)
	b.SetBytes(total)
	for b.Loop() {
		s, err := h.NewStream(context.Background(), a.ID(), "/raw")
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 1<<20)
		var n int64
		for {
			k, err := s.Read(buf)
			n += int64(k)
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if n != total {
			b.Fatalf("read %d bytes", n)
		}
	}
}
