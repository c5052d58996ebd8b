package exchange

import (
	"encoding/binary"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// prunedCodec is that of the names of pruned DAGs, which never leave this package: it is in the
// range for private use.
const prunedCodec = 0x300000 + 0x5709

// pruned is the name of the DAG below root without what the stops lead to, by which the machine
// of the swarms knows it. Its leaves have other numbers than those of the whole DAG, so it is
// another one. Without stops it is the root.
func pruned(root cid.Cid, stops []cid.Cid) cid.Cid {
	if len(stops) == 0 {
		return root
	}
	stops = slices.Clone(stops)
	slices.SortFunc(stops, func(a, b cid.Cid) int { return slices.Compare(a.Bytes(), b.Bytes()) })
	var b []byte
	for _, c := range append([]cid.Cid{root}, slices.Compact(stops)...) {
		b = binary.AppendUvarint(b, uint64(c.ByteLen()))
		b = append(b, c.Bytes()...)
	}
	hash, err := multihash.Encode(b, multihash.IDENTITY)
	if err != nil {
		panic(err) // identity takes everything
	}
	return cid.NewCidV1(prunedCodec, hash)
}

// unpruned is what a name stands for.
func unpruned(name cid.Cid) (root cid.Cid, stops []cid.Cid) {
	if name.Type() != prunedCodec {
		return name, nil
	}
	hash, err := multihash.Decode(name.Hash())
	if err != nil {
		panic(err) // names are made here
	}
	for b := hash.Digest; len(b) > 0; {
		n, k := binary.Uvarint(b)
		c, err := cid.Cast(b[k : k+int(n)])
		if err != nil {
			panic(err)
		}
		stops = append(stops, c)
		b = b[k+int(n):]
	}
	return stops[0], stops[1:]
}

// toWire is frames as others understand them.
func toWire(frames []frame.Frame) []frame.Frame {
	list := slices.Clone(frames)
	for i, f := range list {
		if open, ok := f.(frame.Open); ok {
			open.Root, open.Stops = unpruned(open.Root)
			list[i] = open
		}
	}
	return list
}

// fromWire is a frame as the machine understands it. ok is false if it names no DAG.
func fromWire(f frame.Frame) (inner frame.Frame, ok bool) {
	open, is := f.(frame.Open)
	if !is {
		return f, true
	}
	if open.Root.Type() == prunedCodec {
		return nil, false
	}
	open.Root, open.Stops = pruned(open.Root, open.Stops), nil
	return open, true
}
