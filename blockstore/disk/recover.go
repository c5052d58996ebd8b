package disk

import (
	"context"
	"fmt"
	"os"

	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// appendPoint is where the committer goes on. Without a writer it begins the
// segment after that of the position.
type appendPoint struct {
	writer *segment.Writer
	index.Position
}

// recover brings the index up to the segments, and cuts off what was torn.
func (s *Store) recover(ctx context.Context) (appendPoint, error) {
	mark := s.index.State().Mark
	numbers := s.segs.Numbers()
	at := appendPoint{Position: mark}
	for i, n := range numbers {
		from := segment.HeaderSize
		if _, known := s.index.Account(n); n == mark.Segment {
			from = max(from, mark.Offset)
		} else if n < mark.Segment && known {
			continue
		}
		tail := tail{number: n, from: from, last: i == len(numbers)-1}
		end, whole, err := s.recoverTail(ctx, tail)
		if err != nil {
			return appendPoint{}, fmt.Errorf("recover segment %d: %w", n, err)
		}
		if n < mark.Segment {
			continue
		}
		at = appendPoint{Position: index.Position{Segment: n, Offset: end}}
		if tail.last && whole && !s.readOnly && end < s.opts.SegmentSizeMax {
			if at.writer, err = s.segs.Resume(n); err != nil {
				return appendPoint{}, err
			}
		}
	}
	if err := s.settle(at.Position); err != nil {
		if at.writer != nil {
			at.writer.Close()
		}
		return appendPoint{}, err
	}
	return at, nil
}

// loadIndex opens the index in dir, reads its state and, unless the store was
// closed properly, makes sure that no entry is missing.
func (s *Store) loadIndex(dir string) (err error) {
	if s.index, err = index.Open(dir, index.Options{NoSync: s.readOnly, Logger: s.opts.Logger}); err != nil {
		return err
	}
	found, err := s.index.Load()
	if err != nil {
		return fmt.Errorf("load index: %w", err)
	}
	if !found {
		if s.hasSections() {
			return fmt.Errorf("load index: it is empty, the segments are not: %w", ErrIndex)
		}
		_, err := s.index.Update(nil, &index.Position{})
		return err
	}
	clean := wasClean(s.cleanPath(), s.index.State())
	if !s.readOnly {
		if err := os.Remove(s.cleanPath()); err == nil {
			err = volume.SyncDir(s.dir)
			if err != nil {
				return err
			}
		}
	}
	if clean {
		return nil
	}
	if err := s.index.Each(func(index.Entry) bool { return true }); err != nil {
		return fmt.Errorf("check index: %w", err)
	}
	return nil
}

// hasSections tells whether there is anything in the segments.
func (s *Store) hasSections() bool {
	for _, n := range s.segs.Numbers() {
		if size, _ := s.segs.Size(n); size > segment.HeaderSize {
			return true
		}
	}
	return false
}

// tail is the part of a segment that the index does not know.
type tail struct {
	number uint32
	from   int64
	last   bool // of the last segment, which alone may be torn
}

// recoverTail enters a tail into the index. It returns where the segment ends
// now, and whether it may be appended to.
func (s *Store) recoverTail(ctx context.Context, t tail) (end int64, whole bool, err error) {
	size, _ := s.segs.Size(t.number)
	if size < t.from {
		if size < segment.HeaderSize && t.last && !s.readOnly {
			s.segs.Remove(t.number) // it was being made
		} else {
			s.opts.Logger.Error("segment is shorter than the index says", "segment", s.segs.Path(t.number),
				"bytes", size, "expected", t.from)
		}
		return size, false, nil
	}
	if size == t.from {
		return size, true, nil
	}
	if err := s.settleSegment(t.number); err != nil {
		return 0, false, err
	}
	in := intake{s: s, segment: t.number}
	res, err := s.segs.Scan(ctx, t.number, t.from, in.visit)
	if err != nil {
		return 0, false, err
	}
	s.reportBad(t.number, res)
	end = size
	if t.last && !res.GaveUp && !s.readOnly {
		end = res.End
	}
	if !s.readOnly {
		if err := s.segs.Trim(t.number, end); err != nil {
			return 0, false, err
		}
	}
	if end < size {
		s.opts.Logger.Warn("torn end of segment is cut off", "segment", s.segs.Path(t.number), "at", end, "bytes", size-end)
		s.truncated.Add(size - end)
	}
	if err := in.flush(); err != nil {
		return 0, false, err
	}
	s.recovered.Add(in.added)
	return end, end == res.End, nil
}

// settleSegment makes durable what is in a segment. After a kill it may be in memory
// alone, and it must be on disk before the index says that it is: an entry without
// its block would have the block refused as one that is held.
func (s *Store) settleSegment(n uint32) error {
	if s.readOnly {
		return nil
	}
	size, _ := s.segs.Size(n)
	return s.segs.Trim(n, size)
}

func (s *Store) reportBad(n uint32, res segment.ScanResult) {
	for _, b := range res.Bad {
		s.opts.Logger.Warn("no good section", "segment", s.segs.Path(n), "from", b.From, "to", b.To)
	}
	if res.GaveUp {
		s.opts.Logger.Error("too much that looks like sections and is not", "segment", s.segs.Path(n), "from", res.End)
	}
}

// settle moves the mark to the end, and compares the index with the files.
func (s *Store) settle(end index.Position) error {
	if s.index.State().Mark != end {
		if _, err := s.index.Update(nil, &end); err != nil {
			return err
		}
	}
	for n, a := range s.index.Accounts() {
		if _, ok := s.segs.Size(n); ok {
			continue
		}
		if a.Blocks != 0 {
			return fmt.Errorf("segment %s with %d blocks is missing: %w", s.segs.Path(n), a.Blocks, ErrIndex)
		}
		if err := s.index.Forget(n); err != nil {
			return err
		}
	}
	return nil
}

// intake turns sections of a segment into entries of the index.
type intake struct {
	s       *Store
	segment uint32
	pending []index.Change
	added   int64
}

func (in *intake) visit(sec segment.Section) error {
	mh := string(sec.Cid.Hash())
	if sec.Cid.Prefix().MhType == multihash.IDENTITY {
		return nil
	}
	to := locate(in.segment, sec)
	ch := index.Change{Multihash: mh, To: &to}
	old, held, err := in.s.index.Lookup(mh)
	if err != nil {
		return err
	}
	if held {
		if _, ok := in.s.segs.Size(old.Segment); ok {
			return nil
		}
		ch.From = &old // compaction had moved it here when the index was lost in part
	}
	in.pending = append(in.pending, ch)
	if len(in.pending) >= index.ChangesMax {
		return in.flush()
	}
	return nil
}

func (in *intake) flush() error {
	if len(in.pending) == 0 {
		return nil
	}
	if err := in.s.roomForIndex(); err != nil {
		return err
	}
	n, err := in.s.index.Update(in.pending, nil)
	in.added += int64(n)
	in.pending = in.pending[:0]
	return err
}
