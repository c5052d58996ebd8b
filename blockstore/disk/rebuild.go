package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
	if s.segs, err = listSegments(s.segmentsDir()); err != nil {
		return RebuildResult{}, err
	}
	if err := s.checkSpaceForIndex(); err != nil {
		return RebuildResult{}, err
	}
	fresh := s.indexDir() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return RebuildResult{}, err
	}
	res, err := s.rebuildInto(ctx, fresh)
	if err != nil {
		os.RemoveAll(fresh)
		return res, err
	}
	if err := os.Remove(s.cleanPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return res, err
	}
	// A crash between these two leaves no index, and Open rebuilds it.
	if err := os.RemoveAll(s.indexDir()); err != nil {
		return res, err
	}
	if err := os.Rename(fresh, s.indexDir()); err != nil {
		return res, err
	}
	return res, syncDir(s.dir)
}

// rebuildInto makes an index of all segments in dir.
func (s *Store) rebuildInto(ctx context.Context, dir string) (res RebuildResult, err error) {
	// Nothing is acknowledged on the way; Close makes it durable as a whole.
	if s.index, err = s.openBadger(dir, false); err != nil {
		return res, err
	}
	defer func() {
		res.Blocks, res.Bytes = s.index.snapshot().blocks, s.index.snapshot().bytes
		if closeErr := s.index.db.Close(); err == nil {
			err = closeErr
		}
		s.index = nil
	}()
	var end position
	for _, n := range s.segs.numbers() {
		scanned, err := s.rebuildSegment(ctx, n)
		if err != nil {
			return res, fmt.Errorf("read segment %d: %w", n, err)
		}
		for _, b := range scanned.bad {
			res.BadBytes += b.to - b.from
		}
		size, _ := s.segs.size(n)
		res.BadBytes += max(0, size-scanned.end)
		end = position{n, scanned.end} // what follows in the last one, Open cuts off
	}
	_, err = s.index.update(nil, &end)
	return res, err
}

func (s *Store) rebuildSegment(ctx context.Context, n uint32) (scanResult, error) {
	size, _ := s.segs.size(n)
	from := int64(len(segmentHeader))
	if size <= from {
		return scanResult{end: from}, nil
	}
	f, err := s.segs.acquire(n)
	if err != nil {
		return scanResult{}, err
	}
	defer s.segs.release(n)
	in := intake{s: s, segment: n}
	res, err := scan(ctx, f, from, size, in.visit)
	if err != nil {
		return res, err
	}
	s.reportBad(n, res)
	return res, in.flush()
}

// openIndex opens the index, or a copy of it if the store is read-only. An
// index that is missing altogether is rebuilt: nobody loses one by accident but
// by a rebuild that was interrupted, or on purpose.
func (s *Store) openIndex(ctx context.Context) (err error) {
	dir := s.indexDir()
	missing := !hasFiles(dir) && s.hasSections()
	if s.readOnly {
		if s.scratch, err = os.MkdirTemp("", "p2pnode-index-*"); err != nil {
			return err
		}
		dir = filepath.Join(s.scratch, "index")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if hasFiles(s.indexDir()) {
			if err := copyDir(dir, s.indexDir()); err != nil {
				return fmt.Errorf("copy index: %w", err)
			}
		}
	}
	if missing {
		s.opts.Logger.Warn("index is missing and is rebuilt", "dir", s.dir)
		if err := s.replaceMissing(ctx, dir); err != nil {
			return fmt.Errorf("rebuild index: %w", err)
		}
	}
	s.index, err = s.openBadger(dir, !s.readOnly)
	return err
}

// replaceMissing makes an index where there is none.
func (s *Store) replaceMissing(ctx context.Context, dir string) error {
	fresh := dir + ".new"
	if _, err := s.rebuildInto(ctx, fresh); err != nil {
		os.RemoveAll(fresh)
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // it is empty
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func hasFiles(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}

// openBadger opens the database in dir, and tells damage from other trouble.
func (s *Store) openBadger(dir string, sync bool) (x *index, err error) {
	defer func() {
		if p := recover(); p != nil { // badger panics on some kinds of damage
			x, err = nil, fmt.Errorf("open index: %v: %w", p, ErrIndex)
		}
	}()
	x, err = openIndex(dir, s.opts.Logger, sync)
	switch {
	case err == nil:
		return x, nil
	case strings.Contains(err.Error(), "directory lock"):
		return nil, fmt.Errorf("open index: it is in use: %w", err)
	case isFull(err), errors.Is(err, fs.ErrPermission), isReadOnly(err):
		return nil, fmt.Errorf("open index: %w", err)
	default:
		return nil, fmt.Errorf("open index: %w: %w", ErrIndex, err)
	}
}
