package codec

import (
	"encoding/binary"
	"errors"
)

var (
	errCBOR      = errors.New("malformed dag-cbor")
	errNested    = errors.New("lists or maps nested too deep")
	errTrailing  = errors.New("bytes after the value")
	errLinkBytes = errors.New("link is not a CID after a zero byte")
)

// CBOR major types (RFC 8949, section 3.1). A head is the major type in three
// bits and an argument: the value, the length, or the tag.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborList
	cborMap
	cborTag
	cborSimple
)

// cborLinkTag marks a byte string as a CID (https://ipld.io/specs/codecs/dag-cbor/spec/).
const cborLinkTag = 42

// cborLinks finds the links of a dag-cbor value without building the value: it
// runs over the heads with a stack of how many items each open list or map
// still lacks.
func cborLinks(b []byte) ([]Link, error) {
	var links []Link
	open := make([]uint64, 1, 16)
	open[0] = 1
	for len(open) > 0 {
		last := len(open) - 1
		if open[last] == 0 {
			open = open[:last]
			continue
		}
		open[last]--
		major, arg, rest, err := cborHead(b)
		if err != nil {
			return nil, err
		}
		b = rest
		switch major {
		case cborBytes, cborText:
			if arg > uint64(len(b)) {
				return nil, errCBOR
			}
			b = b[arg:]
		case cborList, cborMap:
			if arg > uint64(len(b)) { // every item takes at least a byte
				return nil, errCBOR
			}
			if len(open) == nestedMax {
				return nil, errNested
			}
			if major == cborMap {
				arg *= 2
			}
			open = append(open, arg)
		case cborTag:
			if links, b, err = cborLink(links, b, arg); err != nil {
				return nil, err
			}
		}
	}
	if len(b) > 0 {
		return nil, errTrailing
	}
	return links, nil
}

// cborHead reads a head; of simple values and floats, the argument means nothing.
func cborHead(b []byte) (major int, arg uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errCBOR
	}
	major, info := int(b[0]>>5), b[0]&0x1f
	b = b[1:]
	if info < 24 {
		return major, uint64(info), b, nil
	}
	size := 1 << (info - 24)
	if info > 27 || len(b) < size { // 28 to 30 are reserved, 31 is of no length, which dag-cbor forbids
		return 0, 0, nil, errCBOR
	}
	var buf [8]byte
	copy(buf[8-size:], b[:size])
	return major, binary.BigEndian.Uint64(buf[:]), b[size:], nil
}

// cborLink reads what follows the head of a tag.
func cborLink(links []Link, b []byte, tag uint64) ([]Link, []byte, error) {
	if tag != cborLinkTag {
		return nil, nil, errCBOR // dag-cbor has no other tag
	}
	major, size, b, err := cborHead(b)
	if err != nil || major != cborBytes || size > uint64(len(b)) || size == 0 || b[0] != 0 {
		return nil, nil, errLinkBytes
	}
	c, err := castCID(b[1:size])
	if err != nil {
		return nil, nil, err
	}
	links, err = addLink(links, c)
	return links, b[size:], err
}
