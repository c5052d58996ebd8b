package disk_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
)

// randomBlocks makes n blocks of size bytes that no two runs share.
func randomBlocks(tb testing.TB, n, size int) []block.Block {
	tb.Helper()
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], rand.Uint64())
	src := rand.NewChaCha8(seed)
	bs := make([]block.Block, n)
	for i := range bs {
		data := make([]byte, size)
		src.Read(data)
		b, err := block.New(data, block.Prefix{Codec: cid.Raw})
		if err != nil {
			tb.Fatal(err)
		}
		bs[i] = b
	}
	return bs
}

// putAll puts blocks in batches of each, by several writers.
func putAll(tb testing.TB, s *disk.Store, bs []block.Block, writers, each int) {
	tb.Helper()
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(writers)
	for from := 0; from < len(bs); from += each {
		g.Go(func() error { return s.Put(ctx, bs[from:min(from+each, len(bs))]...) })
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkPut1GiB is the storage side of adding 1 GiB: blocks of 1 MiB in
// batches of 8, by four writers. Hashing is not in it.
func BenchmarkPut1GiB(b *testing.B) {
	bs := randomBlocks(b, 1024, 1<<20)
	b.SetBytes(1 << 30)
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir(), disk.Options{})
		b.StartTimer()
		putAll(b, s, bs, 4, 8)
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkPut10000Small is the storage side of adding 10,000 files of 4 KB:
// batches of 512, one after the other.
func BenchmarkPut10000Small(b *testing.B) {
	bs := randomBlocks(b, 10_000, 4096)
	b.SetBytes(10_000 * 4096)
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir(), disk.Options{})
		b.StartTimer()
		putAll(b, s, bs, 1, 512)
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkPutOne is the price of one durable block of 4 KB.
func BenchmarkPutOne(b *testing.B) {
	s := open(b, b.TempDir(), disk.Options{})
	bs := randomBlocks(b, 20_000, 4096)
	i := 0
	for b.Loop() {
		if err := s.Put(b.Context(), bs[i%len(bs)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkPutHeld(b *testing.B) {
	s := open(b, b.TempDir(), disk.Options{})
	bs := randomBlocks(b, 512, 4096)
	putAll(b, s, bs, 1, 512)
	for b.Loop() {
		if err := s.Put(b.Context(), bs...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, bench := range []struct {
		name  string
		size  int
		n     int
		cache int64
	}{
		{"4KB from disk", 4096, 20_000, -1},
		{"4KB cached", 4096, 2_000, 0},
		{"1MiB from disk", 1 << 20, 64, -1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := open(b, b.TempDir(), disk.Options{CacheSizeMax: bench.cache})
			bs := randomBlocks(b, bench.n, bench.size)
			putAll(b, s, bs, 1, 8<<20/bench.size)
			b.SetBytes(int64(bench.size))
			b.ReportAllocs()
			var next atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(next.Add(1)*7919) % len(bs)
					if _, err := s.Get(context.Background(), bs[i].Cid()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkGetWhilePutting reads blocks of 4 KB, while another puts such blocks
// one after the other, each durably.
func BenchmarkGetWhilePutting(b *testing.B) {
	s := open(b, b.TempDir(), disk.Options{CacheSizeMax: -1})
	bs := randomBlocks(b, 20_000, 4096)
	putAll(b, s, bs[:2000], 1, 500)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 2000; i < len(bs); i++ {
			select {
			case <-stop:
				return
			default:
				if err := s.Put(context.Background(), bs[i]); err != nil {
					b.Error(err)
				}
			}
		}
	}()
	i := 0
	for b.Loop() {
		if _, err := s.Get(b.Context(), bs[i%2000].Cid()); err != nil {
			b.Fatal(err)
		}
		i++
	}
	close(stop)
	<-stopped
}

func BenchmarkOpenClose(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir, disk.Options{})
	putAll(b, s, randomBlocks(b, 10_000, 200), 1, 512)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := disk.Open(dir, disk.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
