package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

// VerifyResult says what Verify found.
type VerifyResult struct {
	Blocks  int64 // that were read, corrupt ones included
	Bytes   int64 // of their data
	Corrupt int64 // that were held and are lost
}

// Verify reads and hashes every block that is held when it is called, whatever
// the cache knows, and checks that the index has lost none. Each corrupt block
// is quarantined and then given to report (which may be nil), as a
// *CorruptError or as the error of a disk that cannot be read. Verify's own
// error means that not everything could be checked; ErrIndex, that the index
// is damaged.
func (s *Store) Verify(ctx context.Context, report func(cid.Cid, error)) (VerifyResult, error) {
	var res VerifyResult
	if err := s.enter(ctx); err != nil {
		return res, err
	}
	defer s.leave()
	if err := s.index.VerifyTables(); err != nil {
		return res, fmt.Errorf("verify index: %w", err)
	}
	var stopped error
	err := s.index.Each(func(e index.Entry) bool {
		if stopped = ctx.Err(); stopped != nil {
			return false
		}
		err := s.verify(e)
		res.Blocks, res.Bytes = res.Blocks+1, res.Bytes+int64(e.Size)
		if err == nil {
			return true
		}
		if errors.Is(err, block.ErrNotFound) && !errors.As(err, new(*CorruptError)) {
			return true // it was deleted meanwhile
		}
		res.Corrupt++
		if report != nil {
			report(e.Cid(), err)
		}
		return true
	})
	if err == nil {
		err = stopped
	}
	if err != nil {
		return res, fmt.Errorf("verify store: %w", err)
	}
	return res, nil
}

// verify reads the block of an entry, wherever it is by now.
func (s *Store) verify(e index.Entry) error {
	c, l := e.Cid(), e.Location
	for range readAttemptsMax {
		_, err := s.read(c, l)
		if !errors.Is(err, segment.ErrGone) {
			return err
		}
		var held bool
		if l, held, err = s.index.Lookup(e.Multihash); err != nil || !held {
			return errors.Join(err, &block.NotFoundError{Cid: c})
		}
	}
	return s.lost(c, segment.ErrGone)
}
