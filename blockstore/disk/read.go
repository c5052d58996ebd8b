package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

// readAttemptsMax is how often a read follows a block that compaction moves
// away under it; a second move of the same block takes minutes.
const readAttemptsMax = 4

// Get implements blockstore.Store. A block whose bytes have decayed is a
// *CorruptError, and is not held any more.
func (s *Store) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if b, ok := block.Inline(c); ok {
		return b, ctx.Err()
	}
	if err := block.Check(c); err != nil {
		return block.Block{}, err
	}
	if err := s.enter(ctx); err != nil {
		return block.Block{}, err
	}
	defer s.leave()
	mh := string(c.Hash())
	for range readAttemptsMax {
		l, held, err := s.index.Lookup(mh)
		if err != nil {
			return block.Block{}, fmt.Errorf("get %s: %w", c, err)
		}
		if !held {
			return block.Block{}, &block.NotFoundError{Cid: c}
		}
		if b, ok := s.cache.get(mh); ok {
			if b.Cid().Equals(c) {
				return b, nil
			}
			return block.Verify(c, b.RawData()) // another codec
		}
		b, err := s.read(c, l)
		if errors.Is(err, segment.ErrGone) {
			continue
		}
		if err == nil {
			s.cache.add(b)
		}
		return b, err
	}
	return block.Block{}, s.lost(c, segment.ErrGone)
}

// Size implements blockstore.Store.
func (s *Store) Size(ctx context.Context, c cid.Cid) (int, error) {
	if b, ok := block.Inline(c); ok {
		return b.Size(), ctx.Err()
	}
	if err := block.Check(c); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	l, held, err := s.index.Lookup(string(c.Hash()))
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", c, err)
	}
	if !held {
		return 0, &block.NotFoundError{Cid: c}
	}
	return l.Size, nil
}

// All implements blockstore.Store. It ends with ErrIndex if the index has lost
// entries.
func (s *Store) All(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		if err := s.enter(ctx); err != nil {
			yield(cid.Undef, err)
			return
		}
		defer s.leave()
		more := true
		var stopped error
		err := s.index.Each(func(e index.Entry) bool {
			if stopped = ctx.Err(); stopped != nil {
				return false
			}
			more = yield(e.Cid(), nil)
			return more
		})
		if err == nil {
			err = stopped
		}
		if more && err != nil {
			yield(cid.Undef, err)
		}
	}
}

// Put implements blockstore.Store.
func (s *Store) Put(ctx context.Context, blocks ...block.Block) error {
	for _, b := range blocks {
		if err := block.Check(b.Cid()); err != nil {
			return fmt.Errorf("put block: %w", err)
		}
	}
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leave()
	missing, err := s.missing(blocks)
	if err != nil {
		return fmt.Errorf("put blocks: %w", err)
	}
	if len(missing) == 0 {
		return nil
	}
	return s.committer.submit(ctx, cut(missing)...)
}

// Delete implements blockstore.Store. The space is free after a compaction.
func (s *Store) Delete(ctx context.Context, cids ...cid.Cid) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leave()
	r := &request{}
	for _, c := range cids {
		if c.Defined() {
			r.changes = append(r.changes, index.Change{Multihash: string(c.Hash())})
		}
	}
	if len(r.changes) == 0 {
		return nil
	}
	if err := s.MakeRoom(index.UpdateSpaceMin); err != nil {
		return fmt.Errorf("delete %d blocks: %w", len(cids), err)
	}
	if err := s.committer.submit(ctx, r); err != nil {
		return err
	}
	for _, ch := range r.changes {
		s.cache.remove(ch.Multihash)
	}
	return nil
}

func (s *Store) enterWrite(ctx context.Context) error {
	if err := s.Writable(); err != nil {
		return err
	}
	return s.enter(ctx)
}

// Writable returns nil, or why the store was opened for reading alone:
// ErrReadOnly, or ErrFull.
func (s *Store) Writable() error {
	switch {
	case !s.readOnly:
		return nil
	case s.refusal != nil:
		return s.refusal
	}
	return ErrReadOnly
}

// missing returns the blocks that are to be written.
func (s *Store) missing(blocks []block.Block) ([]block.Block, error) {
	mhs := make([]string, len(blocks))
	for i, b := range blocks {
		mhs[i] = string(b.Cid().Hash())
	}
	held, err := s.index.Held(mhs)
	if err != nil {
		return nil, err
	}
	out := make([]block.Block, 0, len(blocks))
	for i, b := range blocks {
		if _, inline := block.Inline(b.Cid()); !inline && !held[i] {
			out = append(out, b)
		}
	}
	return out, nil
}

// cut makes requests of blocks that stay within the limits of a group.
func cut(blocks []block.Block) []*request {
	var rs []*request
	r := &request{}
	from := 0
	for i, b := range blocks {
		if i > from && (i-from >= groupBlocksMax || r.bytes+int64(b.Size()) > groupBytesMax) {
			r.blocks = blocks[from:i]
			rs = append(rs, r)
			r, from = &request{}, i
		}
		r.bytes += int64(b.Size())
	}
	r.blocks = blocks[from:]
	return append(rs, r)
}

// read reads the block at l and verifies it.
func (s *Store) read(c cid.Cid, l index.Location) (block.Block, error) {
	data := make([]byte, l.Size)
	switch _, err := s.segs.ReadAt(l.Segment, data, l.Offset+int64(l.Header)); {
	case errors.Is(err, segment.ErrGone):
		return block.Block{}, err
	case errors.Is(err, io.EOF):
		return block.Block{}, s.quarantine(c, l, io.ErrUnexpectedEOF)
	case err != nil:
		return block.Block{}, fmt.Errorf("get %s: %w", c, err) // perhaps the disk is only away for now
	}
	b, err := block.Verify(c, data)
	if err != nil {
		return block.Block{}, s.quarantine(c, l, err)
	}
	return b, nil
}
