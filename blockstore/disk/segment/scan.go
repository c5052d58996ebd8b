package segment

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/p2pnode/p2pnode/block"
)

const (
	// scanWindowSize is how much of a segment the scanner holds in bytes. It
	// holds two of the largest sections, so that each byte is read about once.
	scanWindowSize = 2 * sectionSizeMax
	// resyncHashMax is how many bytes are hashed in vain while looking for the
	// next good section after a bad one. Without it, a block full of forged
	// section headers would make recovery take days.
	resyncHashMax = 256 << 20
)

// Span is a range of bytes in a segment, [From, To).
type Span struct{ From, To int64 }

// ScanResult is what Scan saw besides the sections that it gave to visit.
type ScanResult struct {
	End    int64  // of the last good section; where the scan began if there is none
	Bad    []Span // between there and End: bytes that are no good section
	GaveUp bool   // too much was hashed in vain: there may be good sections after End
}

// Scan gives each good section of r between from and size to visit, in order.
// The section's data is valid during the call only. After bytes that are no
// good section it goes on at the next good one, wherever that begins. Errors
// are those of r, ctx and visit; no content is an error.
func Scan(ctx context.Context, r io.ReaderAt, from, size int64, visit func(Section) error) (ScanResult, error) {
	s := &scanner{r: r, size: size, base: from}
	res := ScanResult{End: from}
	wasted := 0
	for off := from; off < size; {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		sec, good, err := s.at(off)
		if err != nil {
			return res, err
		}
		if !good {
			// If the frame is whole, the next section is probably right behind it.
			if sec.Header > 0 {
				wasted += len(sec.Data)
				next, nextGood, err := s.at(sec.End())
				if err != nil {
					return res, err
				}
				if nextGood {
					sec, good = next, true
				}
			}
		}
		for p := off + 1; !good && p < size; p++ {
			if sec, good, err = s.at(p); err != nil {
				return res, err
			}
			if !good && sec.Header > 0 {
				wasted += len(sec.Data)
			}
			if wasted > resyncHashMax {
				res.GaveUp = true
				return res, nil
			}
			if p%(1<<20) == 0 && ctx.Err() != nil {
				return res, ctx.Err()
			}
		}
		if !good {
			return res, nil // nothing good behind res.End
		}
		if sec.Offset > res.End {
			res.Bad = append(res.Bad, Span{res.End, sec.Offset})
		}
		if err := visit(sec); err != nil {
			return res, err
		}
		off = sec.End()
		res.End = off
	}
	return res, nil
}

// Scan gives each good section of segment n from the given place on to visit.
// See the function of that name.
func (s *Set) Scan(ctx context.Context, n uint32, from int64, visit func(Section) error) (ScanResult, error) {
	size, _ := s.Size(n)
	if size <= from {
		return ScanResult{End: from}, nil
	}
	f, err := s.acquire(n)
	if err != nil {
		return ScanResult{}, err
	}
	defer s.release(n)
	return Scan(ctx, f, from, size, visit)
}

// scanner reads the sections of a segment, and believes none that does not hash
// to its CID.
type scanner struct {
	r    io.ReaderAt
	size int64
	buf  []byte // of the window, which starts at base
	base int64
}

// at reads the section at off. Without a whole frame there, the section is
// zero; with one, good says whether the bytes hash to the CID.
func (s *scanner) at(off int64) (sec Section, good bool, err error) {
	head, err := s.bytes(off, int(min(SectionHeaderMax, s.size-off)))
	if err != nil {
		return Section{}, false, err
	}
	c, header, size, ok := parseSectionHeader(head)
	if !ok || int64(header)+int64(size) > s.size-off {
		return Section{}, false, nil
	}
	all, err := s.bytes(off, header+size)
	if err != nil {
		return Section{}, false, err
	}
	sec = Section{Cid: c, Offset: off, Header: header, Data: all[header:]}
	_, mismatch := block.Verify(c, sec.Data)
	return sec, mismatch == nil, nil
}

// bytes returns n bytes at off, valid until the next call.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	if off < s.base || off+int64(n) > s.base+int64(len(s.buf)) {
		if s.buf == nil {
			s.buf = make([]byte, 0, min(scanWindowSize, s.size-s.base))
		}
		if want := int(min(int64(cap(s.buf)), s.size-off)); want >= n {
			s.buf = s.buf[:want]
		} else {
			s.buf = make([]byte, min(scanWindowSize, s.size-off))
		}
		s.base = off
		if m, err := s.r.ReadAt(s.buf, off); m < len(s.buf) {
			s.buf = s.buf[:0]
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // size promised more
			}
			return nil, fmt.Errorf("read %d bytes at %d: %w", n, off, err)
		}
	}
	return s.buf[off-s.base:][:n:n], nil
}
