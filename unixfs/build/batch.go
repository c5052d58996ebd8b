package build

import (
	"context"
	"sync"

	"github.com/p2pnode/p2pnode/block"
)

// A batch is handed to the Putter when it holds this much. Large enough that a
// store's cost per call, which may be an fsync, does not show.
const (
	batchBytesMax  = 8 << 20
	batchBlocksMax = 1024
)

// batch collects blocks and puts them in the background, one call at a time,
// while the next ones are being made: at most two batches are in memory. It is
// safe for concurrent use.
type batch struct {
	put  func(context.Context, ...block.Block) error
	slot chan struct{} // holds a token while a Put is under way

	mu     sync.Mutex // guards the following fields
	blocks []block.Block
	bytes  int
	err    error // the first that put returned; nothing is put after it
}

func newBatch(p block.Putter) *batch {
	return &batch{put: p.Put, slot: make(chan struct{}, 1)}
}

// add takes b and may start a Put. The error may be that of an earlier one.
func (s *batch) add(ctx context.Context, b block.Block) error {
	s.mu.Lock()
	s.blocks = append(s.blocks, b)
	s.bytes += b.Size()
	err := s.err
	var full []block.Block
	if s.bytes >= batchBytesMax || len(s.blocks) >= batchBlocksMax {
		full = s.take()
	}
	s.mu.Unlock()
	if err != nil || full == nil {
		return err
	}
	s.slot <- struct{}{}
	go s.run(ctx, full)
	return nil
}

// flush puts what is left and waits until all is kept.
func (s *batch) flush(ctx context.Context) error {
	s.mu.Lock()
	rest := s.take()
	s.mu.Unlock()
	s.slot <- struct{}{}
	s.run(ctx, rest)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// drop forgets what is left and waits for the Put under way.
func (s *batch) drop() {
	s.mu.Lock()
	s.take()
	s.mu.Unlock()
	s.slot <- struct{}{}
	<-s.slot
}

// take empties the batch; the caller holds mu.
func (s *batch) take() []block.Block {
	full := s.blocks
	s.blocks, s.bytes = nil, 0
	return full
}

// run puts blocks and gives the slot back.
func (s *batch) run(ctx context.Context, blocks []block.Block) {
	defer func() { <-s.slot }()
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil || len(blocks) == 0 {
		return
	}
	if err := s.put(ctx, blocks...); err != nil {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
}
