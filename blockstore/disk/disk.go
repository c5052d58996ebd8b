// Package disk keeps blocks on disk: their bytes in append-only segment files,
// which are valid CARv1 files (package segment), and where each one is in a badger
// index (package index). What is here holds the two together: group commit,
// verified reads, recovery, compaction, and stopping before the disk is full.
//
// It is not a database: what has no hash (pins, settings) has no place here.
//
//	dir/VERSION             format of what follows
//	dir/segments/N.car      sections: varint(len) | CID | bytes
//	dir/index/              badger: multihash -> segment, offset, length
//	dir/clean               what the index held when the store was last closed
//	dir/quarantine/         sections that did not hash to their CID
//	dir/ballast             bytes to be freed when the disk is full
//
// Put is durable when it returns. Concurrent callers share the cost: one
// goroutine, the committer, writes a group of blocks by one pwritev, makes them
// durable by one fdatasync, then enters them into the index by one synced
// transaction, and only then lets their callers go.
//
// Content proves itself, and the index can be rebuilt from the segments. The
// index carries a mark, the place up to which it knows the segments; Open reads
// what follows the mark, keeps every section that hashes to its CID, and cuts
// off what was torn. After a rebuild, blocks that were deleted but not yet
// compacted away are there again: for a store of content this costs space, not
// truth, and the next garbage collection deletes them once more.
//
// Invariant: bytes that do not hash to their CID are never returned, and no
// acknowledged block is given up by anything but Delete and the decay of the
// disk, which is reported.
//
// The pitfalls that shaped it: badger's value log loses synced data, its log
// replay stops at a flipped bit, its iterators end early without an error, and
// its maps turn a full disk into SIGBUS; after a failed fsync the kernel calls
// dirty pages clean (Rebello et al., "Can Applications Recover from fsync
// Failures?", USENIX ATC 2020), so no write is tried after one.
package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// Options of a store. The zero value works.
type Options struct {
	// SegmentSizeMax is the size in bytes at which the next segment is begun.
	// One that holds a single block may exceed it. Default 256 MiB.
	SegmentSizeMax int64
	// CacheSizeMax is how many bytes of blocks that were read and verified are
	// kept, so that they need not be again. Default 32 MiB; negative: none.
	CacheSizeMax int64
	// FreeSpaceMin is how many bytes of the file system Put leaves free.
	// Default: 5 % of it, at most 512 MiB. It is never less than the 32 MiB
	// that the index may need.
	FreeSpaceMin int64
	// OnCorrupt hears of every block that was held but is lost, after it was
	// quarantined. It is called by the goroutine that found it and must not block.
	OnCorrupt func(cid.Cid, error)
	// Logger hears of recoveries and corruption. Default: nothing is logged.
	Logger *slog.Logger
	// ReadOnly refuses all writes and changes no file. A store on a read-only
	// file system is opened so even without it.
	ReadOnly bool

	// space stands in for the statfs of a directory in tests.
	space func(dir string) (free, total int64, err error)
}

// Defaults of Options in bytes.
const (
	segmentSizeDefault  = 256 << 20
	cacheSizeDefault    = 32 << 20
	freeSpaceDefaultMax = 512 << 20
)

func (o Options) withDefaults() Options {
	if o.SegmentSizeMax <= 0 {
		o.SegmentSizeMax = segmentSizeDefault
	}
	if o.CacheSizeMax == 0 {
		o.CacheSizeMax = cacheSizeDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnCorrupt == nil {
		o.OnCorrupt = func(cid.Cid, error) {}
	}
	if o.space == nil {
		o.space = volume.Space
	}
	return o
}

// Errors that callers decide on, besides block.ErrNotFound and *CorruptError.
var (
	// ErrFull means that there is not enough free space left. Reading and
	// deleting go on.
	ErrFull = volume.ErrFull
	// ErrBroken means that the disk failed to take what was written. Reading
	// goes on; writing does not until the store is opened again.
	ErrBroken = errors.New("disk failed; store takes no more writes")
	// ErrIndex means that the index does not agree with the segments: call
	// RebuildIndex. Open does so itself where nothing can be lost by it.
	ErrIndex = index.ErrDamaged
	// ErrVersion means a store of another, probably newer, format.
	ErrVersion = errors.New("unknown version of the store's format")
	// ErrReadOnly means a write to a store that was opened read-only.
	ErrReadOnly = errors.New("store is read-only")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// CorruptError means that a block was held but its bytes on disk are wrong. It
// is a block.ErrNotFound: the store does not have the block any more.
type CorruptError struct {
	Cid     cid.Cid
	Segment string // path of the file
	Offset  int64  // of the block's section in it, in bytes
	Cause   error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("read %s: corrupt in %s at %d: %v", e.Cid, e.Segment, e.Offset, e.Cause)
}

// Unwrap makes the error a block.ErrNotFound too.
func (e *CorruptError) Unwrap() []error { return []error{block.ErrNotFound, e.Cause} }

// NotFound satisfies the interface by which the IPFS libraries recognise a
// missing block.
func (e *CorruptError) NotFound() bool { return true }

// Store is an open store. It is a blockstore.Store.
type Store struct {
	dir      string
	opts     Options
	readOnly bool
	refusal  error  // why it is read-only, if not for the file system
	scratch  string // temporary copy of the index of a read-only store

	segs  *segment.Set
	index *index.Index
	cache *cache

	committer  *committer // nil if read-only
	compacting sync.Mutex // held by the one compaction at a time

	gate   sync.Mutex     // guards closed, and with it the growth of ops
	closed bool           // operations may not begin any more
	ops    sync.WaitGroup // operations that Close waits for

	corrupt, truncated, recovered atomic.Int64
}

var _ blockstore.Store = (*Store)(nil)

// Stats are a store's figures.
type Stats struct {
	Blocks         int64 `json:"blocks"`          // held
	Bytes          int64 `json:"bytes"`           // of their data
	Segments       int   `json:"segments"`        // files
	SegmentBytes   int64 `json:"segment_bytes"`   // of these files
	DeadBytes      int64 `json:"dead_bytes"`      // of these files, which compaction may free
	CacheBytes     int64 `json:"cache_bytes"`     // of blocks kept in memory
	FreeBytes      int64 `json:"free_bytes"`      // of the file system; -1 if unknown
	CorruptBlocks  int64 `json:"corrupt_blocks"`  // quarantined since Open
	Recovered      int64 `json:"recovered"`       // blocks that Open found behind the mark
	TruncatedBytes int64 `json:"truncated_bytes"` // torn, cut off by Open
	Groups         int64 `json:"groups"`          // commits since Open
	ReadOnly       bool  `json:"read_only"`
}

// Open opens the store in dir, or makes one. It reads the segments behind the
// mark, and rebuilds an index that is missing, damaged or incomplete, which
// takes the time to hash all segments. ErrIndex is what a rebuild would hide: a
// segment with blocks is gone. The caller sees to it that nobody else has the
// store open.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{dir: dir, opts: o.withDefaults(), readOnly: o.ReadOnly}
	s.cache = newCache(s.opts.CacheSizeMax)
	if err := s.open(context.Background()); err != nil {
		err = errors.Join(err, s.closeIndex())
		if s.segs != nil {
			s.segs.Close()
		}
		s.removeScratch()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.openLayout(); err != nil {
		return err
	}
	var err error
	if s.segs, err = segment.List(s.segmentsDir()); err != nil {
		return err
	}
	s.adjustBallast()
	if err := s.openIndex(ctx); err != nil {
		return err
	}
	active, err := s.recover(ctx)
	if err != nil {
		return err
	}
	if s.readOnly {
		return nil
	}
	s.committer = newCommitter(s, active)
	go s.committer.run()
	return nil
}

// Close waits for running operations, and closes the store. Operations that
// are begun afterwards fail with ErrClosed.
func (s *Store) Close() error {
	s.gate.Lock()
	again := s.closed
	s.closed = true
	s.gate.Unlock()
	s.ops.Wait()
	if again {
		return nil
	}
	var err error
	if s.committer != nil {
		err = s.committer.close()
	}
	s.segs.Close()
	st, whole := s.index.State(), !s.index.Incomplete()
	if closeErr := s.closeIndex(); err == nil {
		err = closeErr
	}
	if err == nil && !s.readOnly && whole {
		err = writeClean(s.cleanPath(), st)
	}
	s.removeScratch()
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// enter begins an operation, which ends with leave.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.ops.Add(1)
	return nil
}

func (s *Store) leave() { s.ops.Done() }

// Stats returns the store's figures.
func (s *Store) Stats() Stats {
	if s.enter(context.Background()) != nil {
		return Stats{}
	}
	defer s.leave()
	st := s.index.State()
	out := Stats{
		Blocks: st.Blocks, Bytes: st.Bytes, CacheBytes: s.cache.size(), FreeBytes: -1,
		CorruptBlocks: s.corrupt.Load(), Recovered: s.recovered.Load(),
		TruncatedBytes: s.truncated.Load(), ReadOnly: s.readOnly,
	}
	out.Segments, out.SegmentBytes = s.segs.Total()
	for _, n := range s.segs.Numbers() {
		out.DeadBytes += s.dead(n)
	}
	if free, _, err := s.opts.space(s.dir); err == nil {
		out.FreeBytes = free
	}
	if s.committer != nil {
		out.Groups = s.committer.groups.Load()
	}
	return out
}

// dead returns the bytes of a segment that no block needs.
func (s *Store) dead(n uint32) int64 {
	size, ok := s.segs.Size(n)
	if !ok {
		return 0
	}
	a, _ := s.index.Account(n)
	return max(0, size-segment.HeaderSize-a.Bytes)
}

func (s *Store) segmentsDir() string   { return filepath.Join(s.dir, "segments") }
func (s *Store) indexDir() string      { return filepath.Join(s.dir, "index") }
func (s *Store) quarantineDir() string { return filepath.Join(s.dir, "quarantine") }
func (s *Store) cleanPath() string     { return filepath.Join(s.dir, "clean") }
func (s *Store) versionPath() string   { return filepath.Join(s.dir, "VERSION") }
func (s *Store) ballastPath() string   { return filepath.Join(s.dir, "ballast") }

func (s *Store) removeScratch() {
	if s.scratch != "" {
		os.RemoveAll(s.scratch)
	}
}
