package build_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/unixfs/build"
)

func BenchmarkSHA256(b *testing.B) {
	data := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			sha256.Sum256(data)
		}
	})
}

func BenchmarkBuildFile(b *testing.B) {
	const size = 256 << 20
	data := make([]byte, size)
	io.ReadFull(content(size), data)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := build.File(context.Background(), discard{}, bytes.NewReader(data), build.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBuildSmall builds a directory of 10,000 files of 1 KiB.
func BenchmarkBuildSmall(b *testing.B) {
	data := make([]byte, 1<<10)
	for b.Loop() {
		tree := build.NewTree(discard{}, build.Options{})
		for i := range 10000 {
			if _, err := tree.File(context.Background(), fmt.Sprintf("d%d/f%d", i/100, i), bytes.NewReader(data), 0, time.Time{}); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := tree.Finish(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
