package unixfs_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

var errEOF = io.EOF

// discard keeps nothing.
type discard struct{}

func (discard) Put(context.Context, ...block.Block) error { return nil }

// memory is a map of blocks.
type memory struct {
	mu sync.Mutex
	m  map[cid.Cid]block.Block
}

func newMemory() *memory { return &memory{m: map[cid.Cid]block.Block{}} }

func (s *memory) Put(_ context.Context, blocks ...block.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range blocks {
		s.m[b.Cid()] = b
	}
	return nil
}

func (s *memory) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if err := ctx.Err(); err != nil {
		return block.Block{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.m[c]
	if !ok {
		return block.Block{}, &block.NotFoundError{Cid: c}
	}
	return b, nil
}

func (s *memory) drop(c cid.Cid) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, c)
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// content is a reproducible stream of size bytes.
func content(size int) *randomReader {
	var seed [32]byte
	copy(seed[:], fmt.Sprint(size))
	return &randomReader{c: rand.NewChaCha8(seed), left: size}
}

type randomReader struct {
	c    *rand.ChaCha8
	left int
}

func (r *randomReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, errEOF
	}
	n, err := r.c.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}
