package codec

import (
	"errors"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The dag-pb codec (https://ipld.io/specs/codecs/dag-pb/spec/):
//
//	message PBLink { optional bytes Hash = 1; optional string Name = 2; optional uint64 Tsize = 3; }
//	message PBNode { repeated PBLink Links = 2; optional bytes Data = 1; }
//
// Written canonically: links sorted by name and before the data, every field of
// a link present. Read strictly, but the data may also come first (IPIP-550).

const (
	pbData  protowire.Number = 1
	pbLinks protowire.Number = 2

	pbHash  protowire.Number = 1
	pbName  protowire.Number = 2
	pbTsize protowire.Number = 3
)

// size is the number of bytes of the link inside a node.
func (l *Link) size() int {
	return 1 + protowire.SizeBytes(l.bodySize())
}

func (l *Link) bodySize() int {
	return 3 + protowire.SizeBytes(l.Cid.ByteLen()) + protowire.SizeBytes(len(l.Name)) + protowire.SizeVarint(l.Tsize)
}

// sizePB is the number of bytes of the block that encodePB returns.
func sizePB(links []Link, dataSize int) int {
	size := 1 + protowire.SizeBytes(dataSize)
	for i := range links {
		size += links[i].size()
	}
	return size
}

// encodePB writes the canonical form. It sorts links by name; links of the same
// name, such as the nameless ones of a file, keep their order.
func encodePB(links []Link, data []byte) []byte {
	slices.SortStableFunc(links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	b := make([]byte, 0, sizePB(links, len(data)))
	for i := range links {
		l := &links[i]
		b = protowire.AppendTag(b, pbLinks, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(l.bodySize()))
		b = protowire.AppendTag(b, pbHash, protowire.BytesType)
		b = protowire.AppendString(b, l.Cid.KeyString())
		b = protowire.AppendTag(b, pbName, protowire.BytesType)
		b = protowire.AppendString(b, l.Name)
		b = protowire.AppendTag(b, pbTsize, protowire.VarintType)
		b = protowire.AppendVarint(b, l.Tsize)
	}
	b = protowire.AppendTag(b, pbData, protowire.BytesType)
	return protowire.AppendBytes(b, data)
}

var (
	errTruncated = errors.New("truncated protobuf")
	errField     = errors.New("protobuf field of an unknown number or wrong type")
	errOrder     = errors.New("protobuf field repeated or out of order")
	errNoHash    = errors.New("link without a CID")
	errLinks     = errors.New("too many links")
)

// decodePB reads a dag-pb block. It allocates in proportion to its length; data
// shares memory with b.
func decodePB(b []byte) (links []Link, data []byte, err error) {
	hasData, linksEnded := false, false
	if count := countLinks(b); count > LinksMax {
		return nil, nil, errLinks
	} else if count > 0 {
		links = make([]Link, 0, count)
	}
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return nil, nil, errTruncated
		}
		if typ != protowire.BytesType || (num != pbData && num != pbLinks) {
			return nil, nil, errField
		}
		v, vsize := protowire.ConsumeBytes(b[size:])
		if vsize < 0 {
			return nil, nil, errTruncated
		}
		b = b[size+vsize:]
		if num == pbData {
			if hasData {
				return nil, nil, errOrder
			}
			data, hasData = v, true
			linksEnded = len(links) > 0
			continue
		}
		if linksEnded {
			return nil, nil, errOrder
		}
		l, err := decodeLink(v)
		if err != nil {
			return nil, nil, err
		}
		links = append(links, l)
	}
	return links, data, nil
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

func decodeLink(b []byte) (Link, error) {
	var l Link
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
	if !l.Cid.Defined() {
		return l, errNoHash
	}
	return l, nil
}

// field reads the value of one field of a link and returns what follows it.
func (l *Link) field(b []byte, num protowire.Number, typ protowire.Type) ([]byte, error) {
	switch {
	case num == pbTsize && typ == protowire.VarintType:
		v, size := protowire.ConsumeVarint(b)
		if size < 0 {
			return nil, errTruncated
		}
		l.Tsize = v
		return b[size:], nil
	case (num == pbHash || num == pbName) && typ == protowire.BytesType:
		v, size := protowire.ConsumeBytes(b)
		if size < 0 {
			return nil, errTruncated
		}
		if num == pbName {
			l.Name = string(v)
			return b[size:], nil
		}
		c, err := castCID(v)
		if err != nil {
			return nil, err
		}
		l.Cid = c
		return b[size:], nil
	default:
		return nil, errField
	}
}
