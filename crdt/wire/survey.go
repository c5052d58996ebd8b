package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/p2pnode/p2pnode/crdt/reconcile"
)

// The kinds of answers to a range.
const (
	listKind  = 1
	partsKind = 2
)

// AnswersSizeMax is the longest answer to a survey in bytes, but for the status.
const AnswersSizeMax = reconcile.RangesMax * (1 + binary.MaxVarintLen16 + max(
	reconcile.ListMax*8, reconcile.PartsMax*(binary.MaxVarintLen64+8+len(reconcile.Print{}))))

func appendPoint(b []byte, p reconcile.Point) []byte {
	return binary.BigEndian.AppendUint64(binary.AppendUvarint(b, p.Gen), p.Prefix)
}

func appendRanges(b []byte, ranges []reconcile.Range) []byte {
	b = binary.AppendUvarint(b, uint64(len(ranges)))
	for _, r := range ranges {
		b = appendPoint(appendPoint(b, r.From), r.To)
	}
	return b
}

// AppendAnswer appends the answer to a range. It must be within the limits.
func AppendAnswer(b []byte, a reconcile.Answer) []byte {
	if len(a.Parts) == 0 {
		b = append(b, listKind)
		b = binary.AppendUvarint(b, uint64(len(a.Prefixes)))
		for _, p := range a.Prefixes {
			b = binary.BigEndian.AppendUint64(b, p)
		}
		return b
	}
	b = append(b, partsKind)
	b = binary.AppendUvarint(b, uint64(len(a.Parts)))
	for _, p := range a.Parts {
		b = append(appendPoint(b, p.To), p.Print[:]...)
	}
	return b
}

// DecodeAnswers reads the answers to n ranges.
func DecodeAnswers(data []byte, n int) ([]reconcile.Answer, error) {
	p := &parser{rest: data}
	var answers []reconcile.Answer
	for range n {
		a := p.answer()
		if p.err != nil {
			break
		}
		answers = append(answers, a)
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("decode answers to a survey: %w", err)
	}
	return answers, nil
}

func (p *parser) answer() (a reconcile.Answer) {
	switch p.byte() {
	case listKind:
		for range p.upTo(reconcile.ListMax) {
			a.Prefixes = append(a.Prefixes, p.prefix())
		}
	case partsKind:
		n := p.upTo(reconcile.PartsMax)
		if n == 0 {
			p.fail(ErrMalformed)
		}
		for range n {
			part := reconcile.Part{To: p.point()}
			copy(part.Print[:], p.take(len(part.Print)))
			a.Parts = append(a.Parts, part)
		}
	default:
		p.fail(ErrMalformed)
	}
	return a
}

// ranges reads those of a survey, which are in order: so that nobody is asked to look at the
// same commits twice.
func (p *parser) ranges() (list []reconcile.Range) {
	var end reconcile.Point
	for range p.upTo(reconcile.RangesMax) {
		r := reconcile.Range{From: p.point(), To: p.point()}
		if r.From.Compare(end) < 0 || r.From.Compare(r.To) >= 0 {
			p.fail(ErrMalformed)
		}
		if p.err != nil {
			return nil
		}
		end = r.To
		list = append(list, r)
	}
	return list
}

func (p *parser) point() reconcile.Point {
	return reconcile.Point{Gen: p.number(), Prefix: p.prefix()}
}

func (p *parser) prefix() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
