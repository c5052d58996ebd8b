package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// RebuildResult says what RebuildIndex found.
type RebuildResult struct {
	Blocks   int64 // that are in the index now
	Bytes    int64 // of their data
	BadBytes int64 // of the segments that are no good section
}

// RebuildIndex makes the index of the store in dir anew, by hashing all of its
// segments. The store must not be open. The old index is replaced when the new
// one is complete and durable; a rebuild that was interrupted changes nothing.
// Blocks that were deleted and not yet compacted away are there again.
func RebuildIndex(ctx context.Context, dir string, o Options) (RebuildResult, error) {
	s := &Store{dir: dir, opts: o.withDefaults()}
	res, err := s.rebuild(ctx)
	if err != nil {
		return res, fmt.Errorf("rebuild index of %s: %w", dir, err)
	}
	return res, nil
}

func (s *Store) rebuild(ctx context.Context) (RebuildResult, error) {
	if err := s.openLayout(); err != nil {
		return RebuildResult{}, err
	}
	if s.readOnly {
		return RebuildResult{}, ErrReadOnly
	}
	var err error
	if s.segs, err = segment.List(s.segmentsDir()); err != nil {
		return RebuildResult{}, err
	}
	defer s.segs.Close()
	if err := s.MakeRoom(index.UpdateSpaceMin); err != nil {
		return RebuildResult{}, err
	}
	if err := os.Remove(s.cleanPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return RebuildResult{}, err
	}
	return s.replaceIndex(ctx, s.indexDir())
}

// replaceIndex makes the index in dir anew. A crash before the new one is
// complete leaves the old one, or none, and Open rebuilds that.
func (s *Store) replaceIndex(ctx context.Context, dir string) (RebuildResult, error) {
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return RebuildResult{}, err
	}
	res, err := s.rebuildInto(ctx, fresh)
	if err != nil {
		return res, errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.RemoveAll(dir); err != nil {
		return res, err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return res, err
	}
	return res, volume.SyncDir(filepath.Dir(dir))
}

// rebuildInto makes an index of all segments in dir.
func (s *Store) rebuildInto(ctx context.Context, dir string) (res RebuildResult, err error) {
	// Nothing is acknowledged on the way; Close makes it durable as a whole.
	if s.index, err = index.Open(dir, index.Options{NoSync: true, Logger: s.opts.Logger}); err != nil {
		return res, err
	}
	defer func() {
		res.Blocks, res.Bytes = s.index.State().Blocks, s.index.State().Bytes
		if closeErr := s.closeIndex(); err == nil {
			err = closeErr
		}
	}()
	var end index.Position
	for _, n := range s.segs.Numbers() {
		scanned, err := s.rebuildSegment(ctx, n)
		if err != nil {
			return res, fmt.Errorf("read segment %d: %w", n, err)
		}
		for _, b := range scanned.Bad {
			res.BadBytes += b.To - b.From
		}
		size, _ := s.segs.Size(n)
		res.BadBytes += max(0, size-scanned.End)
		end = index.Position{Segment: n, Offset: scanned.End} // what follows in the last one, Open cuts off
	}
	_, err = s.index.Update(nil, &end)
	return res, err
}

func (s *Store) rebuildSegment(ctx context.Context, n uint32) (segment.ScanResult, error) {
	if err := s.settleSegment(n); err != nil {
		return segment.ScanResult{}, err
	}
	in := intake{s: s, segment: n}
	res, err := s.segs.Scan(ctx, n, segment.HeaderSize, in.visit)
	if err != nil {
		return res, err
	}
	s.reportBad(n, res)
	return res, in.flush()
}

// openIndex opens the index, or a copy of it if the store is read-only, and
// proves that it is complete. One that is missing, damaged or incomplete is
// rebuilt: all that it holds is in the segments.
func (s *Store) openIndex(ctx context.Context) error {
	dir := s.indexDir()
	if s.readOnly {
		var err error
		if dir, err = s.copyIndex(); err != nil {
			return err
		}
	}
	err := s.loadIndex(dir)
	if !errors.Is(err, ErrIndex) {
		return err
	}
	s.opts.Logger.Warn("index is rebuilt from the segments", "dir", s.dir, "cause", err)
	if err := s.closeIndex(); err != nil {
		s.opts.Logger.Warn("close damaged index", "err", err)
	}
	res, err := s.replaceIndex(ctx, dir)
	if err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	if res.BadBytes > 0 {
		s.opts.Logger.Error("index is rebuilt; some of the segments is no good block", "blocks", res.Blocks, "bad_bytes", res.BadBytes)
	}
	return s.loadIndex(dir)
}

// copyIndex makes a temporary copy of the index, which badger can write to.
func (s *Store) copyIndex() (dir string, err error) {
	if s.scratch, err = os.MkdirTemp("", "p2pnode-index-*"); err != nil {
		return "", err
	}
	dir = filepath.Join(s.scratch, "index")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if hasFiles(s.indexDir()) {
		if err := copyDir(dir, s.indexDir()); err != nil {
			return "", fmt.Errorf("copy index: %w", err)
		}
	}
	return dir, nil
}

// closeIndex closes the index if it is open. Badger then writes a table, through
// a map: where that could be the end of the process, the index is left as it is,
// which is as a kill would leave it.
func (s *Store) closeIndex() error {
	if s.index == nil {
		return nil
	}
	if !s.readOnly {
		if err := s.MakeRoom(index.CloseSpaceMin); errors.Is(err, ErrFull) {
			return fmt.Errorf("close index: %w", err)
		}
	}
	err := s.index.Close()
	s.index = nil
	return err
}

func hasFiles(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}
