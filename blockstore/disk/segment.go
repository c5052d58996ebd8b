package disk

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

// segmentHeader begins every segment: varint(25) and the dag-cbor of
// {"roots": [bafkqaaa], "version": 1}. CARv1 wants at least one root; bafkqaaa
// (the empty identity CID) is the usual way to say that there is none.
const segmentHeader = "\x19\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01"

const segmentSuffix = ".car"

// segmentsOpenMax is how many idle segment files are kept open for reading.
const segmentsOpenMax = 128

var errSegmentGone = errors.New("segment is gone")

// segment is one file of sections. Its fields belong to the set's mutex.
type segment struct {
	number uint32
	size   int64    // bytes that are written and synced
	file   *os.File // nil while nobody needs it
	refs   int      // readers at work
	used   uint64   // when it was last acquired, in acquisitions
	doomed bool     // to be removed when the last reader is done
}

// segments are the files of a store, opened when needed and counted, so that
// one is only removed when nobody reads it (an open file cannot be removed on
// Windows).
type segments struct {
	dir string

	mu    sync.Mutex // guards the following, and every segment's fields
	all   map[uint32]*segment
	opens int
	clock uint64
}

// listSegments finds the segments of dir, without opening one.
func listSegments(dir string) (*segments, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	g := &segments{dir: dir, all: make(map[uint32]*segment)}
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), segmentSuffix)
		n, err := strconv.ParseUint(name, 10, 32)
		if !isSegment || err != nil || n == 0 {
			continue // not ours
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		g.all[uint32(n)] = &segment{number: uint32(n), size: info.Size()}
	}
	return g, nil
}

func (g *segments) path(n uint32) string {
	return filepath.Join(g.dir, fmt.Sprintf("%08d", n)+segmentSuffix)
}

// numbers returns the numbers of all segments, ascending.
func (g *segments) numbers() []uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	ns := make([]uint32, 0, len(g.all))
	for n, s := range g.all {
		if !s.doomed {
			ns = append(ns, n)
		}
	}
	slices.Sort(ns)
	return ns
}

// size returns the bytes of a segment; false if there is none of that number.
func (g *segments) size(n uint32) (int64, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.all[n]
	if !ok || s.doomed {
		return 0, false
	}
	return s.size, true
}

// acquire returns the file of segment n for reading until release. The error
// is errSegmentGone if compaction took it away.
func (g *segments) acquire(n uint32) (*os.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.all[n]
	if !ok || s.doomed {
		return nil, errSegmentGone
	}
	if s.file == nil {
		f, err := os.Open(g.path(n))
		if err != nil {
			return nil, fmt.Errorf("open segment %d: %w", n, err)
		}
		s.file = f
		g.opens++
	}
	g.clock++
	s.refs, s.used = s.refs+1, g.clock
	g.closeIdle()
	return s.file, nil
}

// release ends what acquire began.
func (g *segments) release(n uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.all[n]
	if s.refs--; s.refs == 0 && s.doomed {
		g.remove(s)
	}
}

// doom removes segment n as soon as nobody reads it; nobody can acquire it any more.
func (g *segments) doom(n uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.all[n]
	if !ok || s.doomed {
		return
	}
	s.doomed = true
	if s.refs == 0 {
		g.remove(s)
	}
}

// remove takes away a doomed segment. If the file cannot be removed now, the
// next Open finds a segment without live blocks, and compaction tries again.
func (g *segments) remove(s *segment) {
	g.closeFile(s)
	os.Remove(g.path(s.number))
	delete(g.all, s.number)
}

// closeIdle closes the file that was not used for the longest time, if there
// are too many. Callers hold mu.
func (g *segments) closeIdle() {
	if g.opens <= segmentsOpenMax {
		return
	}
	var oldest *segment
	for _, s := range g.all {
		if s.file != nil && s.refs == 0 && (oldest == nil || s.used < oldest.used) {
			oldest = s
		}
	}
	if oldest != nil {
		g.closeFile(oldest)
	}
}

func (g *segments) closeFile(s *segment) {
	if s.file != nil {
		s.file.Close() // opened for reading, or synced: nothing to lose
		s.file = nil
		g.opens--
	}
}

// closeAll closes all files; nobody may be reading.
func (g *segments) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.all {
		g.closeFile(s)
	}
}

// create makes segment n with its header, durably, and returns it for writing.
// The writer's handle is its own.
func (g *segments) create(n uint32) (*os.File, error) {
	f, err := os.OpenFile(g.path(n), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create segment %d: %w", n, err)
	}
	if _, err = f.WriteAt([]byte(segmentHeader), 0); err == nil {
		if err = f.Sync(); err == nil {
			err = volume.SyncDir(g.dir)
		}
	}
	if err != nil {
		f.Close()
		os.Remove(g.path(n))
		return nil, fmt.Errorf("create segment %d: %w", n, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[n] = &segment{number: n, size: int64(len(segmentHeader))}
	return f, nil
}

// grown records that segment n now has size bytes.
func (g *segments) grown(n uint32, size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[n].size = size
}

// total returns the number of segments and their bytes.
func (g *segments) total() (count int, size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.all {
		count, size = count+1, size+s.size
	}
	return count, size
}
