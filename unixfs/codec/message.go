package codec

import (
	"errors"
	"io/fs"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The UnixFS message inside the data of a dag-pb node
// (https://specs.ipfs.tech/unixfs/#data):
//
//	1 Type enum | 2 Data bytes | 3 filesize | 4 blocksizes, repeated | 5 hashType
//	6 fanout | 7 mode uint32 | 8 mtime { 1 seconds int64 | 2 nanos fixed32 }
//
// Written in the order of the numbers, repeated fields unpacked, as Kubo does.

const (
	fsType       protowire.Number = 1
	fsData       protowire.Number = 2
	fsFileSize   protowire.Number = 3
	fsBlockSizes protowire.Number = 4
	fsHashType   protowire.Number = 5
	fsFanout     protowire.Number = 6
	fsMode       protowire.Number = 7
	fsModTime    protowire.Number = 8

	timeSeconds protowire.Number = 1
	timeNanos   protowire.Number = 2
)

// Seconds since 1970 of the years 1 and 9999, the range that UnixFS allows.
const (
	secondsMin = -62135596800
	secondsMax = 253402300799
	nanosMax   = 999999999
)

// message encodes all of n but the links.
func (n *Node) message() []byte {
	b := make([]byte, 0, len(n.Data)+WrapSizeMax+6*len(n.BlockSizes))
	b = appendUint(b, fsType, uint64(n.Type))
	if n.Data != nil {
		b = protowire.AppendTag(b, fsData, protowire.BytesType)
		b = protowire.AppendBytes(b, n.Data)
	}
	if n.HasSize {
		b = appendUint(b, fsFileSize, n.Size)
	}
	for _, s := range n.BlockSizes {
		b = appendUint(b, fsBlockSizes, s)
	}
	if n.Type == TypeShard {
		b = appendUint(b, fsHashType, n.HashType)
		b = appendUint(b, fsFanout, n.Fanout)
	}
	if m := unixMode(n.Mode); m != 0 {
		b = appendUint(b, fsMode, m)
	}
	if !n.ModTime.IsZero() {
		var t []byte
		t = appendUint(t, timeSeconds, uint64(n.ModTime.Unix()))
		if ns := n.ModTime.Nanosecond(); ns > 0 {
			t = protowire.AppendTag(t, timeNanos, protowire.Fixed32Type)
			t = protowire.AppendFixed32(t, uint32(ns))
		}
		b = protowire.AppendTag(b, fsModTime, protowire.BytesType)
		b = protowire.AppendBytes(b, t)
	}
	return b
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

var (
	errNoType  = errors.New("UnixFS node without a type")
	errType    = errors.New("UnixFS node of an unknown type")
	errModTime = errors.New("modification time out of range")
)

// decodeMessage reads a UnixFS message. Unknown fields are left aside, since the
// format grows by adding some.
func decodeMessage(b []byte) (Node, error) {
	var n Node
	hasType := false
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return n, errTruncated
		}
		vsize := protowire.ConsumeFieldValue(num, typ, b[size:])
		if vsize < 0 {
			return n, errTruncated
		}
		if err := n.field(num, typ, b[size:size+vsize]); err != nil {
			return n, err
		}
		hasType = hasType || num == fsType
		b = b[size+vsize:]
	}
	if !hasType {
		return n, errNoType
	}
	if n.Type > TypeShard {
		return n, errType
	}
	return n, nil
}

// field takes over one field, whose value v is known to be complete.
func (n *Node) field(num protowire.Number, typ protowire.Type, v []byte) error {
	if typ == protowire.BytesType {
		v, _ = protowire.ConsumeBytes(v)
		switch num {
		case fsData:
			n.Data = v
		case fsBlockSizes: // packed
			return n.packedSizes(v)
		case fsModTime:
			return n.decodeTime(v)
		case fsType, fsFileSize, fsHashType, fsFanout, fsMode:
			return errField
		}
		return nil
	}
	if num <= fsModTime && (typ != protowire.VarintType || num == fsData || num == fsModTime) {
		return errField
	}
	u, _ := protowire.ConsumeVarint(v)
	switch num {
	case fsType:
		n.Type = Type(u)
	case fsFileSize:
		n.Size, n.HasSize = u, true
	case fsBlockSizes:
		return n.addSize(u)
	case fsHashType:
		n.HashType = u
	case fsFanout:
		n.Fanout = u
	case fsMode:
		n.Mode = goMode(u)
	}
	return nil
}

func (n *Node) addSize(u uint64) error {
	if len(n.BlockSizes) == LinksMax {
		return errLinks
	}
	n.BlockSizes = append(n.BlockSizes, u)
	return nil
}

func (n *Node) packedSizes(v []byte) error {
	for len(v) > 0 {
		u, size := protowire.ConsumeVarint(v)
		if size < 0 {
			return errTruncated
		}
		if err := n.addSize(u); err != nil {
			return err
		}
		v = v[size:]
	}
	return nil
}

func (n *Node) decodeTime(b []byte) error {
	var seconds int64
	var nanos uint32
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errTruncated
		}
		b = b[size:]
		vsize := protowire.ConsumeFieldValue(num, typ, b)
		switch {
		case vsize < 0:
			return errTruncated
		case num == timeSeconds && typ == protowire.VarintType:
			u, _ := protowire.ConsumeVarint(b)
			seconds = int64(u)
		case num == timeNanos && typ == protowire.Fixed32Type:
			nanos, _ = protowire.ConsumeFixed32(b)
		case num == timeSeconds || num == timeNanos:
			return errField
		}
		b = b[vsize:]
	}
	if seconds < secondsMin || seconds > secondsMax || nanos > nanosMax {
		return errModTime
	}
	n.ModTime = time.Unix(seconds, int64(nanos))
	return nil
}

// unixMode gives the permission bits of m as Unix numbers them, goMode the way back.
func unixMode(m fs.FileMode) uint64 {
	u := uint64(m.Perm())
	if m&fs.ModeSetuid != 0 {
		u |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		u |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		u |= 0o1000
	}
	return u
}

func goMode(u uint64) fs.FileMode {
	m := fs.FileMode(u & 0o777)
	if u&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if u&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if u&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}
