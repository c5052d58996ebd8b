package commit

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Major types of CBOR (RFC 8949, section 3.1).
const (
	typeUnsigned = 0
	typeBytes    = 2
	typeArray    = 4
	typeTag      = 6
)

// link is a CID as DAG-CBOR writes it, up to the digest: tag 42, 37 bytes, a zero byte.
const (
	link     = "\xd8\x2a\x58\x25\x00" + prefix
	linkSize = len(link) + len(ID{})
)

// appendHead appends the shortest head, as DAG-CBOR demands.
func appendHead(b []byte, kind byte, n uint64) []byte {
	kind <<= 5
	switch size := bits.Len64(n); {
	case n < 24:
		return append(b, kind|byte(n))
	case size <= 8:
		return append(b, kind|24, byte(n))
	case size <= 16:
		return binary.BigEndian.AppendUint16(append(b, kind|25), uint16(n))
	case size <= 32:
		return binary.BigEndian.AppendUint32(append(b, kind|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, kind|27), n)
}

func appendBytes(b, data []byte) []byte {
	return append(appendHead(b, typeBytes, uint64(len(data))), data...)
}

func appendLink(b []byte, id ID) []byte {
	return append(append(b, link...), id[:]...)
}

// parser takes a commit apart. After the first error it yields nothing more.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format+": %w", append(args, ErrMalformed)...)
	}
	p.rest = nil
}

// head reads a head of this type, which must be the shortest.
func (p *parser) head(kind byte) uint64 {
	if len(p.rest) == 0 || p.rest[0]>>5 != kind {
		p.fail("no head of type %d", kind)
		return 0
	}
	short := p.rest[0] & 31
	if short < 24 {
		p.rest = p.rest[1:]
		return uint64(short)
	}
	size := 1 << (short - 24)
	if short > 27 || len(p.rest) < 1+size {
		p.fail("head 0x%x", p.rest[0])
		return 0
	}
	var n uint64
	for _, c := range p.rest[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	if least := uint64(1) << (size * 4); n < 24 || size > 1 && n < least {
		p.fail("%d in %d bytes", n, size)
		return 0
	}
	p.rest = p.rest[1+size:]
	return n
}

func (p *parser) unsigned() uint64 { return p.head(typeUnsigned) }

// array reads the length of an array.
func (p *parser) array(least, most int) int {
	n := p.head(typeArray)
	if p.err == nil && (n < uint64(least) || n > uint64(most)) {
		p.fail("array of %d", n)
		return 0
	}
	return int(n)
}

// bytes reads size bytes, or any number if that is negative.
func (p *parser) bytes(size int) []byte {
	n := p.head(typeBytes)
	if p.err == nil && (n > uint64(len(p.rest)) || size >= 0 && n != uint64(size)) {
		p.fail("%d bytes, %d are there, %d expected", n, len(p.rest), size)
	}
	if p.err != nil {
		return nil
	}
	data := p.rest[:n:n]
	p.rest = p.rest[n:]
	return data
}

func (p *parser) link() (id ID) {
	if len(p.rest) < linkSize || string(p.rest[:len(link)]) != link {
		p.fail("no link to a commit")
		return id
	}
	copy(id[:], p.rest[len(link):linkSize])
	p.rest = p.rest[linkSize:]
	return id
}

func (p *parser) parent() Parent {
	if len(p.rest) > 0 && p.rest[0]>>5 == typeTag {
		return Parent{ID: p.link()}
	}
	p.array(2, 2)
	parent := Parent{ID: p.link(), Signature: new(Signature)}
	copy(parent.Signature[:], p.bytes(len(parent.Signature)))
	return parent
}
