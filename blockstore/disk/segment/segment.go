// Package segment keeps blocks in append-only files, the segments, each of which
// is a valid CARv1 file that any IPFS tool can read.
//
//	N.car   header | section | section | ...
//	section varint(n) | CID | bytes          n = length of CID and bytes together
//
// It does not know which blocks are alive, or where each one is: that is package
// index's. It groups nothing and caches nothing: that is the store's.
//
// Invariant: a section needs neither magic nor checksum, since its CID is both.
// Scan believes none that does not hash to it, so a torn tail ends where the last
// good section does; whoever reads at a place has to verify what is there. What
// Append has returned without an error is on disk.
//
// Source: https://ipld.io/specs/transport/car/carv1/
package segment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// fileHeader begins every segment: varint(25) and the dag-cbor of
// {"roots": [bafkqaaa], "version": 1}. CARv1 wants at least one root; bafkqaaa
// (the empty identity CID) is the usual way to say that there is none.
const fileHeader = "\x19\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01"

// HeaderSize is where the first section of a segment begins, in bytes.
const HeaderSize = int64(len(fileHeader))

// OpenMax is how many idle segment files are kept open for reading.
const OpenMax = 128

const suffix = ".car"

// ErrGone means that the segment was removed.
var ErrGone = errors.New("segment is gone")

// Set are the segments of a folder. Each has a number from 1 on, by which it is
// called. Files are opened when needed and counted, so that one is only removed
// when nobody reads it (an open file cannot be removed on Windows).
type Set struct {
	dir string

	mu    sync.Mutex // guards the following, and every file's fields
	all   map[uint32]*file
	opens int
	clock uint64
}

// file is one segment. Its fields belong to the set's mutex.
type file struct {
	number uint32
	size   int64    // bytes that are written and synced
	handle *os.File // nil while nobody needs it
	refs   int      // readers at work
	used   uint64   // when it was last acquired, in acquisitions
	doomed bool     // to be removed when the last reader is done
}

// List finds the segments of dir, without opening one. There are none if there
// is no such folder.
func List(dir string) (*Set, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	s := &Set{dir: dir, all: make(map[uint32]*file)}
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), suffix)
		n, err := strconv.ParseUint(name, 10, 32)
		if !isSegment || err != nil || n == 0 {
			continue // not ours
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		s.all[uint32(n)] = &file{number: uint32(n), size: info.Size()}
	}
	return s, nil
}

// Close closes all files; nobody may be reading. Writers close their own.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		s.closeFile(f)
	}
}

// Path returns the path of segment n, be it there or not.
func (s *Set) Path(n uint32) string {
	return filepath.Join(s.dir, fmt.Sprintf("%08d", n)+suffix)
}

// Numbers returns the numbers of all segments, ascending.
func (s *Set) Numbers() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := make([]uint32, 0, len(s.all))
	for n, f := range s.all {
		if !f.doomed {
			ns = append(ns, n)
		}
	}
	slices.Sort(ns)
	return ns
}

// Size returns the bytes of segment n; false if there is none of that number.
func (s *Set) Size(n uint32) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.all[n]
	if !ok || f.doomed {
		return 0, false
	}
	return f.size, true
}

// Total returns the number of segments and their bytes. Those that are still
// read, although they were removed, count.
func (s *Set) Total() (count int, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		count, size = count+1, size+f.size
	}
	return count, size
}

// ReadAt fills p with the bytes of segment n at off, like io.ReaderAt. It
// verifies nothing. The error is ErrGone if the segment was removed.
func (s *Set) ReadAt(n uint32, p []byte, off int64) (int, error) {
	f, err := s.acquire(n)
	if err != nil {
		return 0, err
	}
	defer s.release(n)
	return f.ReadAt(p, off)
}

// Remove removes segment n as soon as nobody reads it; nobody can begin to any
// more. It is not durable before Sync.
func (s *Set) Remove(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.all[n]
	if !ok || f.doomed {
		return
	}
	f.doomed = true
	if f.refs == 0 {
		s.drop(f)
	}
}

// Sync makes it durable which segments there are.
func (s *Set) Sync() error { return volume.SyncDir(s.dir) }

// Trim cuts off what segment n has behind size, and makes the rest durable.
func (s *Set) Trim(n uint32, size int64) error {
	f, err := os.OpenFile(s.Path(n), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if had, _ := s.Size(n); size < had {
		if err := f.Truncate(size); err != nil {
			return err
		}
		s.resize(n, size)
	}
	return volume.SyncData(f)
}

// acquire returns the file of segment n for reading until release.
func (s *Set) acquire(n uint32) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.all[n]
	if !ok || f.doomed {
		return nil, ErrGone
	}
	if f.handle == nil {
		h, err := os.Open(s.Path(n))
		if err != nil {
			return nil, fmt.Errorf("open segment %d: %w", n, err)
		}
		f.handle = h
		s.opens++
	}
	s.clock++
	f.refs, f.used = f.refs+1, s.clock
	s.closeIdle()
	return f.handle, nil
}

// release ends what acquire began.
func (s *Set) release(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.all[n]
	if f.refs--; f.refs == 0 && f.doomed {
		s.drop(f)
	}
}

// drop takes away a doomed segment. If the file cannot be removed now, the
// next List finds it again.
func (s *Set) drop(f *file) {
	s.closeFile(f)
	os.Remove(s.Path(f.number))
	delete(s.all, f.number)
}

// closeIdle closes the file that was not used for the longest time, if there
// are too many. Callers hold mu.
func (s *Set) closeIdle() {
	if s.opens <= OpenMax {
		return
	}
	var oldest *file
	for _, f := range s.all {
		if f.handle != nil && f.refs == 0 && (oldest == nil || f.used < oldest.used) {
			oldest = f
		}
	}
	if oldest != nil {
		s.closeFile(oldest)
	}
}

func (s *Set) closeFile(f *file) {
	if f.handle != nil {
		f.handle.Close() // opened for reading: nothing to lose
		f.handle = nil
		s.opens--
	}
}

// add records a new segment.
func (s *Set) add(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[n] = &file{number: n, size: HeaderSize}
}

// resize records that segment n now has size bytes.
func (s *Set) resize(n uint32, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[n].size = size
}
