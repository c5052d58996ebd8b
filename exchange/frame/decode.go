package frame

import (
	"encoding/binary"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Decode decodes a frame without its length; it is nil if its type is not known. The bytes of nodes and blocks are
// slices of buf, which must not be changed afterwards.
func Decode(buf []byte) (Frame, error) {
	if len(buf) == 0 {
		return nil, ErrMalformed
	}
	if len(buf) > SizeMax {
		return nil, fmt.Errorf("frame of %d bytes: %w", len(buf), ErrLimit)
	}
	p := &parser{rest: buf[1:]}
	var f Frame
	switch buf[0] {
	case typeOpen:
		f = p.open()
	case typeRequest:
		f = Request{p.channel(), p.ranges()}
	case typeCancel:
		f = Cancel{p.channel(), p.ranges()}
	case typeGot:
		f = Got{p.channel(), p.ranges()}
	case typeClose:
		f = Close{p.channel()}
	case typeNodes:
		f = p.nodes()
	case typeIndex:
		f = Index{p.channel(), p.number(), p.number(), p.number()}
	case typeHave:
		f = Have{p.channel(), p.ranges()}
	case typeBlock:
		f = Block{p.channel(), p.number(), p.all()}
	case typeMiss:
		f = Miss{p.channel(), MissReason(p.upTo(0xff)), p.ranges()}
	case typeAllow:
		f = Allow{p.number()}
	case typeIdle:
		f = Idle{}
	case typeEnd:
		f = End{p.channel(), EndReason(p.upTo(0xff))}
	case typeOffer:
		f = Offer{p.cid(), int64(p.upTo(1 << 62))}
	default:
		return nil, nil
	}
	if p.err == nil && len(p.rest) > 0 {
		p.err = fmt.Errorf("%d bytes too many: %w", len(p.rest), ErrMalformed)
	}
	if p.err != nil {
		return nil, p.err
	}
	return f, nil
}

// parser takes a body apart. After the first error it yields nothing more.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(err error) {
	p.err, p.rest = err, nil
}

// upTo reads a number.
func (p *parser) upTo(most uint64) uint64 {
	if p.err != nil {
		return 0
	}
	n, size := binary.Uvarint(p.rest)
	if size <= 0 {
		p.fail(ErrMalformed)
		return 0
	}
	if n > most {
		p.fail(fmt.Errorf("%d, over %d: %w", n, most, ErrMalformed))
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) number() int     { return int(p.upTo(numberMax)) }
func (p *parser) channel() uint32 { return uint32(p.upTo(ChannelMax)) }

// count reads how many parts follow, each of at least size bytes.
func (p *parser) count(most, size int) int {
	n := p.number()
	switch {
	case n > most:
		p.fail(fmt.Errorf("%d parts of a frame: %w", n, ErrLimit))
		return 0
	case n*size > len(p.rest):
		p.fail(ErrMalformed)
		return 0
	}
	return n
}

// all reads what is left.
func (p *parser) all() []byte { return p.bytes(len(p.rest)) }

// bytes reads a block.
func (p *parser) bytes(n int) []byte {
	switch {
	case p.err != nil:
		return nil
	case n > block.SizeMax:
		p.fail(fmt.Errorf("block of %d bytes: %w", n, ErrLimit))
		return nil
	case n > len(p.rest):
		p.fail(ErrMalformed)
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) cid() cid.Cid {
	n := p.number()
	if p.err == nil && (n > block.CIDSizeMax || n > len(p.rest)) {
		p.fail(fmt.Errorf("CID of %d bytes: %w", n, ErrMalformed))
	}
	if p.err != nil {
		return cid.Undef
	}
	c, err := cid.Cast(p.rest[:n])
	if err != nil || block.Check(c) != nil {
		p.fail(fmt.Errorf("CID %x: %w", p.rest[:n], ErrMalformed))
		return cid.Undef
	}
	p.rest = p.rest[n:]
	return c
}

func (p *parser) open() Open {
	f := Open{Channel: p.channel()}
	f.Nodes = p.upTo(1) == 1
	f.Root, f.From, f.Leaves, f.Credit = p.cid(), p.number(), p.number(), p.number()
	for range p.count(StopsMax, 2) {
		f.Stops = append(f.Stops, p.cid())
	}
	return f
}

// ranges reads ranges that are in order and do not touch what numberMax forbids.
func (p *parser) ranges() []Range {
	n := p.count(RangesMax, 2)
	if n == 0 {
		return nil
	}
	list, end := make([]Range, 0, n), 0
	for range n {
		r := Range{First: end + p.number(), Count: 1 + p.number()}
		if end = r.First + r.Count; end > numberMax {
			p.fail(fmt.Errorf("leaf %d: %w", end, ErrLimit))
		}
		if p.err != nil {
			return nil
		}
		list = append(list, r)
	}
	return list
}

func (p *parser) nodes() Nodes {
	f := Nodes{Channel: p.channel()}
	for p.err == nil && len(p.rest) > 0 {
		if len(f.Items) == ItemsMax {
			p.fail(fmt.Errorf("over %d nodes: %w", ItemsMax, ErrLimit))
			break
		}
		switch n := int(p.upTo(2*numberMax + 1)); {
		case n == 1:
			p.fail(ErrMalformed)
		case n&1 == 1:
			f.Items = append(f.Items, Item{Leaves: n >> 1})
		default:
			f.Items = append(f.Items, Item{Data: p.bytes(n >> 1)})
		}
	}
	return f
}
