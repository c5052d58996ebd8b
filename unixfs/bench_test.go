package unixfs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/unixfs"
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
		if _, err := unixfs.BuildFile(context.Background(), discard{}, bytes.NewReader(data), unixfs.BuildOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBuildSmall builds a directory of 10,000 files of 1 KiB.
func BenchmarkBuildSmall(b *testing.B) {
	data := make([]byte, 1<<10)
	for b.Loop() {
		tree := unixfs.NewTree(discard{}, unixfs.BuildOptions{})
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

// BenchmarkWalkSmall reads 100 directories of 1,000 files of 1 KiB each.
func BenchmarkWalkSmall(b *testing.B) {
	m := newMemory()
	root := smallFiles(b, m, 100, 1000, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		w := unixfs.NewWalker(context.Background(), m, root.Cid, unixfs.WalkOptions{})
		n := 0
		for {
			_, err := w.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
			n++
		}
		w.Close()
		if n != 100_101 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}

func BenchmarkFetchSmall(b *testing.B) {
	m := newMemory()
	root := smallFiles(b, m, 100, 1000, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unixfs.Fetch(context.Background(), m, root.Cid, unixfs.FetchOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}

func BenchmarkReadFile(b *testing.B) {
	const size = 256 << 20
	m := newMemory()
	l, err := unixfs.BuildFile(context.Background(), m, content(size), unixfs.BuildOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		f, err := unixfs.Open(context.Background(), m, l.Cid)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := f.WriteTo(io.Discard); n != size || err != nil {
			b.Fatal(n, err)
		}
		f.Close()
	}
}

// smallFiles builds directories of files that all differ.
func smallFiles(t testing.TB, m *memory, dirs, files, size int) unixfs.Link {
	t.Helper()
	tree := unixfs.NewTree(m, unixfs.BuildOptions{})
	data := make([]byte, size)
	for d := range dirs {
		for f := range files {
			copy(data, fmt.Sprintf("%d %d.", d, f))
			path := fmt.Sprintf("dir-%04d/file-%04d", d, f)
			must[unixfs.Link](t)(tree.File(context.Background(), path, bytes.NewReader(data), 0, time.Time{}))
		}
	}
	return must[unixfs.Link](t)(tree.Finish(context.Background(), nil))
}
