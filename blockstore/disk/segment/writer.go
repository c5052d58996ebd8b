package segment

import (
	"errors"
	"fmt"
	"os"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
	"github.com/p2pnode/p2pnode/directio"
)

// Writer appends to one segment. It is not for concurrent use, but others may
// read meanwhile: its file handle is its own.
type Writer struct {
	set     *Set
	number  uint32
	end     int64 // of what is written and synced
	file    *os.File
	direct  *directio.Writer
	headers []byte // reused by layout
}

// Create makes segment n with its header, durably. On a full disk the error is
// volume.ErrFull and nothing has changed; after any other, nobody knows.
func (s *Set) Create(n uint32) (*Writer, error) {
	f, err := s.createFile(n)
	if err != nil {
		err = fmt.Errorf("create segment %d: %w", n, err)
		if volume.IsFull(err) {
			err = fmt.Errorf("%w: %w", volume.ErrFull, err)
		}
		return nil, err
	}
	s.add(n)
	return newWriter(s, n, f, HeaderSize), nil
}

func (s *Set) createFile(n uint32) (*os.File, error) {
	f, err := os.OpenFile(s.Path(n), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt([]byte(fileHeader), 0); err == nil {
		if err = f.Sync(); err == nil {
			err = s.Sync()
		}
	}
	if err != nil {
		f.Close()
		os.Remove(s.Path(n))
		return nil, err
	}
	return f, nil
}

// Resume goes on with segment n, which must be whole and durable, at its end.
func (s *Set) Resume(n uint32) (*Writer, error) {
	size, ok := s.Size(n)
	if !ok {
		return nil, fmt.Errorf("open segment %d: %w", n, ErrGone)
	}
	f, err := os.OpenFile(s.Path(n), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open segment %d: %w", n, err)
	}
	return newWriter(s, n, f, size), nil
}

func newWriter(s *Set, n uint32, f *os.File, end int64) *Writer {
	return &Writer{set: s, number: n, end: end, file: f, direct: directio.NewWriter(f)}
}

// End returns where the next section will begin, in bytes.
func (w *Writer) End() int64 { return w.end }

// Append writes blocks behind the end by one write, makes them durable by one
// sync, and returns their sections. On a full disk the error is volume.ErrFull
// and nothing has changed. After any other nobody knows what is on disk, and
// nothing more may be written.
func (w *Writer) Append(blocks []block.Block) ([]Section, error) {
	sections, bufs := w.layout(blocks)
	if err := w.direct.WriteAt(bufs, w.end); err != nil {
		return nil, w.undo(err)
	}
	if err := volume.SyncData(w.file); err != nil {
		return nil, err
	}
	if len(sections) > 0 {
		w.end = sections[len(sections)-1].End()
	}
	w.set.resize(w.number, w.end)
	return sections, nil
}

// layout gives each block its place behind the end, and returns what is to be
// written there.
func (w *Writer) layout(blocks []block.Block) (sections []Section, bufs [][]byte) {
	sections = make([]Section, 0, len(blocks))
	bufs = make([][]byte, 0, 2*len(blocks))
	w.headers = w.headers[:0]
	if need := len(blocks) * SectionHeaderMax; cap(w.headers) < need {
		w.headers = make([]byte, 0, need) // never moves below, bufs point into it
	}
	end := w.end
	for _, b := range blocks {
		from := len(w.headers)
		w.headers = appendSectionHeader(w.headers, b)
		header := w.headers[from:len(w.headers):len(w.headers)]
		bufs = append(bufs, header)
		if b.Size() > 0 {
			bufs = append(bufs, b.RawData())
		}
		sec := Section{Cid: b.Cid(), Offset: end, Header: len(header), Data: b.RawData()}
		sections, end = append(sections, sec), sec.End()
	}
	return sections, bufs
}

// undo takes a failed write back.
func (w *Writer) undo(cause error) error {
	if !volume.IsFull(cause) {
		return cause
	}
	if err := w.file.Truncate(w.end); err != nil {
		return errors.Join(cause, err)
	}
	return fmt.Errorf("%w: %w", volume.ErrFull, cause)
}

// Close ends the writing. All that was appended is durable already.
func (w *Writer) Close() error {
	w.direct.Close() // synced through the file: nothing to lose
	return w.file.Close()
}
