package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

// CompactResult says what Compact did.
type CompactResult struct {
	Segments int   // that were removed
	Freed    int64 // bytes that they had beyond what was copied
	Copied   int64 // bytes
}

// Compact rewrites the segments of which more than half is dead: it copies what
// is alive behind the last segment, like a Put, and removes the file when its
// last reader is done. Readers and writers go on meanwhile. It needs space for
// the copies, and may use the reserve for them but for what the index needs.
//
// It begins with segments that are dead altogether, which on a full disk makes
// the room to rewrite the others. It removes a segment only when the index says
// that nothing in it is alive, and lists the whole index to be sure that it knows.
func (s *Store) Compact(ctx context.Context) (CompactResult, error) {
	var res CompactResult
	if err := s.enterWrite(ctx); err != nil {
		return res, err
	}
	defer s.leave()
	s.compacting.Lock()
	defer s.compacting.Unlock()
	victims, err := s.victims(ctx)
	if err != nil {
		return res, err
	}
	dead := make(map[uint32]bool)
	for n := range victims {
		if a, _ := s.index.Account(n); a.Blocks == 0 {
			dead[n] = true
			delete(victims, n)
		}
	}
	for _, round := range []map[uint32]bool{dead, victims} {
		if len(round) == 0 {
			continue
		}
		if err := s.compact(ctx, round, &res); err != nil {
			return res, fmt.Errorf("compact: %w", err)
		}
	}
	return res, nil
}

// compact copies what is alive in the victims, and removes them.
func (s *Store) compact(ctx context.Context, victims map[uint32]bool, res *CompactResult) error {
	copied, err := s.evacuate(ctx, victims)
	res.Copied += copied
	res.Freed -= copied
	if err != nil {
		return err
	}
	var gone []*request
	for n := range victims {
		if a, _ := s.index.Account(n); a.Blocks != 0 {
			continue // a block that could not be read just now
		}
		size, _ := s.segs.Size(n)
		s.segs.Remove(n)
		res.Segments, res.Freed = res.Segments+1, res.Freed+size
		gone = append(gone, &request{forget: n})
	}
	// A file that came back after its account was gone would be taken for new.
	if err := s.segs.Sync(); err != nil {
		return err
	}
	return s.committer.submit(ctx, gone...)
}

// victims returns the segments that are worth a rewrite. The active one is
// sealed first if it is.
func (s *Store) victims(ctx context.Context) (map[uint32]bool, error) {
	victims := make(map[uint32]bool)
	numbers := s.segs.Numbers()
	for _, n := range numbers {
		size, _ := s.segs.Size(n)
		if dead := s.dead(n); dead > 0 && 2*dead > size-segment.HeaderSize {
			victims[n] = true
		}
	}
	if len(victims) > 0 && victims[numbers[len(numbers)-1]] {
		if err := s.committer.submit(ctx, &request{seal: true}); err != nil {
			return nil, fmt.Errorf("compact: %w", err)
		}
	}
	return victims, nil
}

// evacuate copies every live block of the victims to the active segment.
func (s *Store) evacuate(ctx context.Context, victims map[uint32]bool) (copied int64, err error) {
	r := &request{}
	flush := func() error {
		if len(r.blocks) == 0 {
			return nil
		}
		if err := s.committer.submit(ctx, r); err != nil {
			return err
		}
		copied += r.bytes
		r = &request{}
		return nil
	}
	var stopped error
	err = s.index.Each(func(e index.Entry) bool {
		if stopped = ctx.Err(); stopped != nil {
			return false
		}
		if !victims[e.Segment] {
			return true
		}
		b, err := s.read(e.Cid(), e.Location)
		if errors.Is(err, block.ErrNotFound) || errors.Is(err, segment.ErrGone) {
			return true // corrupt, and quarantined by now; or deleted or moved
		}
		if err != nil {
			stopped = err
			return false
		}
		r.blocks = append(r.blocks, b)
		r.moves = append(r.moves, index.Change{Multihash: e.Multihash, From: &e.Location})
		if r.bytes += int64(b.Size()); r.bytes >= compactBytesMax || len(r.blocks) >= index.ChangesMax {
			stopped = flush()
		}
		return stopped == nil
	})
	if stopped != nil {
		err = stopped
	}
	if err == nil {
		err = flush()
	}
	return copied, err
}

// compactBytesMax is how many bytes compaction copies at a time: enough to be
// worth a sync, and little enough to let writers in between.
const compactBytesMax = 4 << 20
