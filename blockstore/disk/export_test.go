package disk

import (
	"context"

	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

// WithSpace makes the store believe in a file system of this many bytes.
func (o Options) WithSpace(f func() (free, total int64)) Options {
	o.space = func(string) (int64, int64, error) {
		free, total := f()
		return free, total, nil
	}
	return o
}

// BreakDisk makes every further write of the store fail.
func (s *Store) BreakDisk() { s.committer.active.Close() }

// Seal ends the active segment.
func (s *Store) Seal() error {
	return s.committer.submit(context.Background(), &request{seal: true})
}

// Constants that tests need.
const (
	BallastSize    = ballastSize
	DeleteSpaceMin = index.UpdateSpaceMin

	SegmentsOpenMax = segment.OpenMax
)
