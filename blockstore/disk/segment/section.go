package segment

import (
	"encoding/binary"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
)

// A section of a segment, which is that of CARv1:
//
//	varint(n) | CID | bytes        n = length of CID and bytes together
//
// It needs neither magic nor checksum: the CID is both.

// SectionHeaderMax is the most that a section has before its data, in bytes.
const SectionHeaderMax = binary.MaxVarintLen64 + block.CIDSizeMax

const sectionSizeMax = SectionHeaderMax + block.SizeMax // bytes

// Section is one block as a segment holds it.
type Section struct {
	Cid    cid.Cid
	Offset int64 // of its first byte in the segment
	Header int   // bytes before the data: varint and CID
	Data   []byte
}

// End returns where the next section begins.
func (s Section) End() int64 { return s.Offset + int64(s.Header) + int64(len(s.Data)) }

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
