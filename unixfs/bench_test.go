package unixfs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

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
	l, err := build.File(context.Background(), m, content(size), build.Options{})
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
	tree := build.NewTree(m, build.Options{})
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
