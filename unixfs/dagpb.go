package unixfs

import (
	"errors"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/block"
)

// The dag-pb codec (https://ipld.io/specs/codecs/dag-pb/spec/):
//
//	message PBLink { optional bytes Hash = 1; optional string Name = 2; optional uint64 Tsize = 3; }
//	message PBNode { repeated PBLink Links = 2; optional bytes Data = 1; }
//
// Written canonically: links sorted by name and before the data, every field of
// a link present. Read strictly, but the data may also come first (IPIP-550).

// pbLink is one link of a node.
type pbLink struct {
	name  string
	cid   cid.Cid
	tsize uint64
}

// pbNode is a decoded dag-pb block. data shares memory with the block.
type pbNode struct {
	links []pbLink
	data  []byte
}

const (
	pbData  protowire.Number = 1
	pbLinks protowire.Number = 2

	pbHash  protowire.Number = 1
	pbName  protowire.Number = 2
	pbTsize protowire.Number = 3
)

// size is the number of bytes of the link inside a node.
func (l pbLink) size() int {
	return 1 + protowire.SizeBytes(l.bodySize())
}

func (l pbLink) bodySize() int {
	return 3 + protowire.SizeBytes(l.cid.ByteLen()) + protowire.SizeBytes(len(l.name)) + protowire.SizeVarint(l.tsize)
}

// encode writes the canonical form. It sorts n.links by name; links of the same
// name, such as the nameless ones of a file, keep their order.
func (n *pbNode) encode() []byte {
	slices.SortStableFunc(n.links, func(a, b pbLink) int { return strings.Compare(a.name, b.name) })
	size := 1 + protowire.SizeBytes(len(n.data))
	for _, l := range n.links {
		size += l.size()
	}
	b := make([]byte, 0, size)
	for _, l := range n.links {
		b = protowire.AppendTag(b, pbLinks, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(l.bodySize()))
		b = protowire.AppendTag(b, pbHash, protowire.BytesType)
		b = protowire.AppendString(b, l.cid.KeyString())
		b = protowire.AppendTag(b, pbName, protowire.BytesType)
		b = protowire.AppendString(b, l.name)
		b = protowire.AppendTag(b, pbTsize, protowire.VarintType)
		b = protowire.AppendVarint(b, l.tsize)
	}
	b = protowire.AppendTag(b, pbData, protowire.BytesType)
	return protowire.AppendBytes(b, n.data)
}

// tsize is the bytes of an encoded node of size bytes and all that is below it,
// saturated so that liars cannot make it wrap.
func (n *pbNode) tsize(size int) uint64 {
	sum := uint64(size)
	for _, l := range n.links {
		if l.tsize > FileSizeMax || sum > FileSizeMax {
			return FileSizeMax
		}
		sum += l.tsize
	}
	return sum
}

var (
	errTruncated = errors.New("truncated protobuf")
	errField     = errors.New("protobuf field of an unknown number or wrong type")
	errOrder     = errors.New("protobuf field repeated or out of order")
	errNoHash    = errors.New("link without a CID")
	errLinks     = errors.New("too many links")
)

// decodePB reads a dag-pb block. It allocates in proportion to its length.
func decodePB(b []byte) (pbNode, error) {
	var n pbNode
	hasData, linksEnded := false, false
	if count := countLinks(b); count > NodeLinksMax {
		return n, errLinks
	} else if count > 0 {
		n.links = make([]pbLink, 0, count)
	}
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return n, errTruncated
		}
		if typ != protowire.BytesType || (num != pbData && num != pbLinks) {
			return n, errField
		}
		v, vsize := protowire.ConsumeBytes(b[size:])
		if vsize < 0 {
			return n, errTruncated
		}
		b = b[size+vsize:]
		if num == pbData {
			if hasData {
				return n, errOrder
			}
			n.data, hasData = v, true
			linksEnded = len(n.links) > 0
			continue
		}
		if linksEnded {
			return n, errOrder
		}
		l, err := decodeLink(v)
		if err != nil {
			return n, err
		}
		n.links = append(n.links, l)
	}
	return n, nil
}

// countLinks runs over the fields without decoding them.
func countLinks(b []byte) int {
	count := 0
	for len(b) > 0 {
		num, _, size := protowire.ConsumeField(b)
		if size < 0 {
			break
		}
		if num == pbLinks {
			count++
		}
		b = b[size:]
	}
	return count
}

func decodeLink(b []byte) (pbLink, error) {
	var l pbLink
	last := protowire.Number(0)
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return l, errTruncated
		}
		if num <= last {
			return l, errOrder
		}
		b, last = b[size:], num
		var err error
		if b, err = l.field(b, num, typ); err != nil {
			return l, err
		}
	}
	if !l.cid.Defined() {
		return l, errNoHash
	}
	return l, nil
}

// field reads the value of one field of a link and returns what follows it.
func (l *pbLink) field(b []byte, num protowire.Number, typ protowire.Type) ([]byte, error) {
	switch {
	case num == pbTsize && typ == protowire.VarintType:
		v, size := protowire.ConsumeVarint(b)
		if size < 0 {
			return nil, errTruncated
		}
		l.tsize = v
		return b[size:], nil
	case (num == pbHash || num == pbName) && typ == protowire.BytesType:
		v, size := protowire.ConsumeBytes(b)
		if size < 0 {
			return nil, errTruncated
		}
		if num == pbName {
			l.name = string(v)
			return b[size:], nil
		}
		c, err := castCID(v)
		if err != nil {
			return nil, err
		}
		l.cid = c
		return b[size:], nil
	default:
		return nil, errField
	}
}

// castCID reads a binary CID that a block may be asked for by.
func castCID(b []byte) (cid.Cid, error) {
	if len(b) > block.CIDSizeMax {
		return cid.Undef, block.ErrCIDSize
	}
	c, err := cid.Cast(b)
	if err != nil {
		return cid.Undef, err
	}
	return c, block.Check(c)
}
