package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
)

func testContext(t *testing.T, s blockstore.Store) {
	b := NewBlock(t, 1, 10)
	mustPut(t, s, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, b.Cid())
	_, sizeErr := s.Size(ctx, b.Cid())
	var allErr error
	for _, allErr = range s.All(ctx) {
	}
	for name, err := range map[string]error{
		"Get": getErr, "Size": sizeErr, "All": allErr,
		"Put": s.Put(ctx, NewBlock(t, 2, 10)), "Delete": s.Delete(ctx, b.Cid()),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", name, err)
		}
	}
	mustHave(t, s, b)
}

func testConcurrent(t *testing.T, s blockstore.Store) {
	const workers, each = 8, 40
	bs := NewBlocks(t, workers*each, 500)
	shared := bs[:each] // all put these
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			mine := bs[w*each:][:each]
			errs <- func() error {
				for i, b := range mine {
					if err := s.Put(t.Context(), b, shared[i]); err != nil {
						return err
					}
					if got, err := s.Get(t.Context(), b.Cid()); err != nil || !bytes.Equal(got.RawData(), b.RawData()) {
						return fmt.Errorf("get %s after put: %v", b.Cid(), err)
					}
				}
				for c, err := range s.All(t.Context()) {
					if err != nil {
						return fmt.Errorf("list at %v: %w", c, err)
					}
				}
				return nil
			}()
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	mustHave(t, s, bs...)
	mustList(t, s, bs...)
}

func testConcurrentOne(t *testing.T, s blockstore.Store) {
	const workers, rounds = 4, 50
	b, other := NewBlock(t, 1, 300), NewBlock(t, 2, 300)
	errs := make(chan error, 2*workers)
	for range workers {
		go func() {
			var err error
			for i := 0; i < rounds && err == nil; i++ {
				err = errors.Join(s.Put(t.Context(), b, other), s.Delete(t.Context(), b.Cid()))
			}
			errs <- err
		}()
		go func() {
			var err error
			for i := 0; i < rounds && err == nil; i++ {
				if _, err = s.Get(t.Context(), b.Cid()); errors.Is(err, block.ErrNotFound) {
					err = nil
				}
			}
			errs <- err
		}()
	}
	for range 2 * workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	mustLack(t, s, b.Cid())
	mustPut(t, s, b)
	mustHave(t, s, b, other)
	mustList(t, s, b, other)
}
