package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
)

// A section of a segment, which is that of CARv1:
//
//	varint(n) | CID | bytes        n = length of CID and bytes together
//
// It needs neither magic nor checksum: the CID is both.
const (
	sectionHeaderMax = binary.MaxVarintLen64 + block.CIDSizeMax
	sectionSizeMax   = sectionHeaderMax + block.SizeMax

	// scanWindowSize is how much of a segment the scanner holds in bytes. It
	// holds two of the largest sections, so that each byte is read about once.
	scanWindowSize = 2 * sectionSizeMax
	// resyncHashMax is how many bytes are hashed in vain while looking for the
	// next good section after a bad one. Without it, a block full of forged
	// section headers would make recovery take days.
	resyncHashMax = 256 << 20
)

// section is one block as a segment holds it.
type section struct {
	cid    cid.Cid
	offset int64 // of its first byte in the segment
	header int   // bytes before the data: varint and CID
	data   []byte
}

func (s *section) end() int64 { return s.offset + int64(s.header) + int64(len(s.data)) }

// appendSectionHeader appends what precedes the bytes of b.
func appendSectionHeader(dst []byte, b block.Block) []byte {
	raw := b.Cid().KeyString()
	dst = binary.AppendUvarint(dst, uint64(len(raw)+b.Size()))
	return append(dst, raw...)
}

// parseSectionHeader reads varint and CID. It returns the number of bytes of
// both and of the data after them; false if p does not begin with a section.
func parseSectionHeader(p []byte) (c cid.Cid, header, size int, ok bool) {
	n, vn := binary.Uvarint(p)
	if vn <= 0 || n == 0 || n > block.CIDSizeMax+block.SizeMax {
		return cid.Undef, 0, 0, false
	}
	p = p[vn:min(len(p), vn+block.CIDSizeMax)]
	if len(p) < 2 || p[0] != 1 && (p[0] != multihash.SHA2_256 || p[1] != 32) {
		return cid.Undef, 0, 0, false // neither CIDv1 nor CIDv0; cheap, for resync
	}
	cn, c, err := cid.CidFromBytes(p)
	if err != nil || uint64(cn) > n || block.Check(c) != nil || c.Prefix().MhType == multihash.IDENTITY {
		return cid.Undef, 0, 0, false
	}
	size = int(n) - cn
	return c, vn + cn, size, size <= block.SizeMax
}

// span is a range of bytes in a segment, [from, to).
type span struct{ from, to int64 }

// scanResult is what scan saw besides the sections that it gave to visit.
type scanResult struct {
	end     int64  // of the last good section; from if there is none
	bad     []span // between from and end: bytes that are no good section
	gaveUp  bool   // resyncHashMax was reached: there may be good sections after end
	checked int64  // bytes hashed
}

// scanner reads the sections of a segment, and believes none that does not hash
// to its CID.
type scanner struct {
	r    io.ReaderAt
	size int64
	buf  []byte // of the window, which starts at base
	base int64
}

// scan gives each good section of r between from and size to visit, in order.
// The section's data is valid during the call only. After bytes that are no
// good section it goes on at the next good one, wherever that begins. Errors
// are those of r, ctx and visit; no content is an error.
func scan(ctx context.Context, r io.ReaderAt, from, size int64, visit func(section) error) (scanResult, error) {
	s := &scanner{r: r, size: size, base: from}
	res := scanResult{end: from}
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
			if sec.header > 0 {
				wasted += len(sec.data)
				next, nextGood, err := s.at(sec.end())
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
			if !good && sec.header > 0 {
				wasted += len(sec.data)
			}
			if wasted > resyncHashMax {
				res.gaveUp = true
				return res, nil
			}
			if p%(1<<20) == 0 && ctx.Err() != nil {
				return res, ctx.Err()
			}
		}
		if !good {
			return res, nil // nothing good behind res.end
		}
		if sec.offset > res.end {
			res.bad = append(res.bad, span{res.end, sec.offset})
		}
		res.checked += int64(len(sec.data))
		if err := visit(sec); err != nil {
			return res, err
		}
		off = sec.end()
		res.end = off
	}
	return res, nil
}

// at reads the section at off. Without a whole frame there, the section is
// zero; with one, good says whether the bytes hash to the CID.
func (s *scanner) at(off int64) (sec section, good bool, err error) {
	head, err := s.bytes(off, int(min(sectionHeaderMax, s.size-off)))
	if err != nil {
		return section{}, false, err
	}
	c, header, size, ok := parseSectionHeader(head)
	if !ok || int64(header)+int64(size) > s.size-off {
		return section{}, false, nil
	}
	all, err := s.bytes(off, header+size)
	if err != nil {
		return section{}, false, err
	}
	sec = section{cid: c, offset: off, header: header, data: all[header:]}
	_, mismatch := block.Verify(c, sec.data)
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
