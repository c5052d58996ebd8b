package unixfs

import (
	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Multicodecs of the blocks whose links can be read.
const (
	codecRaw     = cid.Raw
	codecDagPB   = cid.DagProtobuf
	codecDagCBOR = cid.DagCBOR
	codecDagJSON = cid.DagJSON
)

// LinkRef is a link as the codec of a block has it.
type LinkRef struct {
	Name  string // dag-pb only
	Cid   cid.Cid
	Tsize uint64 // dag-pb only; 0 means not known
}

// Links returns all links of a block, in the order in which they stand: those of
// dag-pb, dag-cbor and dag-json, none of raw. It fails with a *CodecError on
// other codecs and with a *FormatError on what cannot be decoded.
func Links(b block.Block) ([]LinkRef, error) {
	var links []LinkRef
	var err error
	switch b.Cid().Type() {
	case codecRaw:
		return nil, nil
	case codecDagPB:
		links, err = pbRefs(b.RawData())
	case codecDagCBOR:
		links, err = cborLinks(b.RawData())
	case codecDagJSON:
		links, err = jsonLinks(b.RawData())
	default:
		return nil, &CodecError{Cid: b.Cid()}
	}
	if err != nil {
		return nil, malformed(b.Cid(), "%v", err)
	}
	return links, nil
}

func pbRefs(b []byte) ([]LinkRef, error) {
	n, err := decodePB(b)
	if err != nil {
		return nil, err
	}
	links := make([]LinkRef, len(n.links))
	for i, l := range n.links {
		links[i] = LinkRef{Name: l.name, Cid: l.cid, Tsize: l.tsize}
	}
	return links, nil
}

// addRef appends a link, of which there may be NodeLinksMax.
func addRef(links []LinkRef, c cid.Cid) ([]LinkRef, error) {
	if len(links) == NodeLinksMax {
		return nil, errLinks
	}
	return append(links, LinkRef{Cid: c}), nil
}
