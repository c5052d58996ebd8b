package commit

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// HeadsMax is how many heads a block of heads may name.
const HeadsMax = 4096

// Heads names the newest commits of a document, with the signatures of their authors: what a
// file must hold besides the commits themselves. It is DAG-CBOR too, and this array:
//
//	[version 1, link to the first commit, heads]
//	heads    by ascending CID, each [link, 64 bytes]
type Heads struct {
	Doc   ID
	Heads []Parent
}

// Encode makes the block. Heads must be in order, and have signatures.
func (h *Heads) Encode() (block.Block, error) {
	if len(h.Heads) > HeadsMax || !ascending(h.Heads) {
		return block.Block{}, fmt.Errorf("encode %d heads: not in order, or: %w (%d)", len(h.Heads), ErrLimit, HeadsMax)
	}
	b := appendHead(nil, typeArray, 3)
	b = appendHead(b, typeUnsigned, version)
	b = appendLink(b, h.Doc)
	b = appendHead(b, typeArray, uint64(len(h.Heads)))
	for _, p := range h.Heads {
		if p.Signature == nil {
			return block.Block{}, fmt.Errorf("encode head %s: no signature: %w", p.ID, ErrMalformed)
		}
		b = appendHead(b, typeArray, 2)
		b = appendLink(b, p.ID)
		b = appendBytes(b, p.Signature[:])
	}
	return block.New(b, block.Prefix{Codec: cid.DagCBOR})
}

// DecodeHeads reads a block of heads. It checks no signature.
func DecodeHeads(b block.Block) (*Heads, error) {
	p := &parser{rest: b.RawData()}
	p.array(3, 3)
	if v := p.unsigned(); p.err == nil && v != version {
		return nil, fmt.Errorf("decode heads: version %d: %w", v, ErrVersion)
	}
	h := &Heads{Doc: p.link()}
	for range p.array(0, HeadsMax) {
		head := p.parent()
		if head.Signature == nil {
			p.fail("a head without a signature")
		}
		if p.err != nil {
			break
		}
		h.Heads = append(h.Heads, head)
	}
	if p.err == nil && (len(p.rest) > 0 || !ascending(h.Heads)) {
		p.fail("%d bytes too many, or heads out of order", len(p.rest))
	}
	if p.err != nil {
		return nil, fmt.Errorf("decode heads: %w", p.err)
	}
	return h, nil
}
