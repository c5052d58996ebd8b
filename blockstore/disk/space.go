package disk

import (
	"fmt"
	"os"

	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// ballastSize is a reserve in bytes. Badger's files are sparse and mapped: writing
// to one when the disk is full is SIGBUS, which no program survives. So the store
// stops well before that (see index.SpaceMin), and keeps a ballast to throw off
// should others fill the disk.
const ballastSize = 2 * index.UpdateSpaceMin

// checkSpace fails with ErrFull if need bytes more would leave too little.
// Urgent writes free space in the end, and may use the reserve but for what the
// index needs to note them.
func (s *Store) checkSpace(need int64, urgent bool) error {
	free, total, err := s.opts.space(s.dir)
	if err != nil {
		return fmt.Errorf("check free space: %w", err)
	}
	floor := s.opts.FreeSpaceMin
	if floor <= 0 {
		floor = min(total/20, freeSpaceDefaultMax)
	}
	floor = max(floor, index.SpaceMin)
	if urgent {
		floor = index.UpdateSpaceMin
	} else if s.hasBallast() {
		free += ballastSize
	}
	if free-need < floor {
		return fmt.Errorf("%w: %d bytes are free, %d are needed and %d kept", ErrFull, free, need, floor)
	}
	return nil
}

// MakeRoom fails with ErrFull unless there are need bytes for what may be written
// on a full disk too, here or beside the store: a deletion, a pin. It throws the
// ballast off for it.
func (s *Store) MakeRoom(need int64) error {
	free, _, err := s.opts.space(s.dir)
	if err == nil && free < need && s.hasBallast() {
		if err := os.Remove(s.ballastPath()); err == nil {
			s.opts.Logger.Warn("disk is full: ballast is thrown off", "dir", s.dir)
		}
		free, _, err = s.opts.space(s.dir)
	}
	if err != nil {
		return fmt.Errorf("check free space: %w", err)
	}
	if free < need {
		return fmt.Errorf("%w: %d bytes are free, %d are needed", ErrFull, free, need)
	}
	return nil
}

// roomForIndex makes sure that the index, or the copy of it, can grow.
func (s *Store) roomForIndex() error {
	if s.readOnly {
		return volume.CheckSpace(s.scratch, index.UpdateSpaceMin)
	}
	return s.MakeRoom(index.UpdateSpaceMin)
}

// adjustBallast lets Open work on a full disk: by the ballast, else read-only. With
// room enough it takes ballast in again.
func (s *Store) adjustBallast() {
	if s.readOnly {
		return
	}
	if err := s.MakeRoom(index.UpdateSpaceMin); err != nil {
		s.opts.Logger.Warn("disk is full: store is read-only", "dir", s.dir, "err", err)
		s.readOnly, s.refusal = true, err
		return
	}
	if !s.hasBallast() && s.checkSpace(ballastSize, false) == nil {
		if err := volume.Reserve(s.ballastPath(), ballastSize); err != nil {
			s.opts.Logger.Warn("no ballast", "dir", s.dir, "err", err)
		}
	}
}

func (s *Store) hasBallast() bool {
	info, err := os.Stat(s.ballastPath())
	return err == nil && info.Size() == ballastSize
}
