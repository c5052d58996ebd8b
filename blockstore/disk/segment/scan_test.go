package segment_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

func sectionOf(b block.Block) []byte {
	raw := b.Cid().Bytes()
	return append(append(binary.AppendUvarint(nil, uint64(len(raw)+b.Size())), raw...), b.RawData()...)
}

func sectionsOf(bs ...block.Block) []byte {
	var out []byte
	for _, b := range bs {
		out = append(out, sectionOf(b)...)
	}
	return out
}

// scan returns the offsets and data of the sections of r.
func scan(r io.ReaderAt, from, size int64) (data map[int64][]byte, end int64, err error) {
	data = make(map[int64][]byte)
	res, err := segment.Scan(context.Background(), r, from, size, func(s segment.Section) error {
		data[s.Offset] = bytes.Clone(s.Data)
		return nil
	})
	return data, res.End, err
}

// TestScanResync: the scanner finds every good section behind a bad one. Only
// the codec of a CID is not hashed: with another, the section is as good.
func TestScanResync(t *testing.T) {
	bs := storetest.NewBlocks(t, 6, 500)
	whole := sectionsOf(bs...)
	first := len(sectionOf(bs[0]))
	for bit := range 8 * len(sectionOf(bs[1])) {
		data := bytes.Clone(whole)
		data[first+bit/8] ^= 1 << (bit % 8)
		found, end, err := scan(bytes.NewReader(data), 0, int64(len(data)))
		want := 5
		if codec := 3; bit/8 == codec && bit%8 != 7 {
			want = 6
		}
		if err != nil || len(found) != want || end != int64(len(data)) {
			t.Fatalf("bit %d of the second section: %d sections, end %d of %d, %v", bit, len(found), end, len(data), err)
		}
	}
}

// TestScanForged: a block may hold what looks like sections.
func TestScanForged(t *testing.T) {
	inner := storetest.NewBlocks(t, 3, 100)
	outer, err := block.New(sectionsOf(inner...), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	data := sectionsOf(inner[0], outer, inner[1])
	found, end, err := scan(bytes.NewReader(data), 0, int64(len(data)))
	if err != nil || len(found) != 3 || end != int64(len(data)) {
		t.Errorf("%d sections, end %d of %d, %v", len(found), end, len(data), err)
	}
}

// TestScanHashBomb: headers that claim megabytes each must not cost a hash of
// megabytes each, without end.
func TestScanHashBomb(t *testing.T) {
	mh, err := multihash.Encode(make([]byte, 32), multihash.SHA2_256)
	if err != nil {
		t.Fatal(err)
	}
	raw := cid.NewCidV1(cid.Raw, mh).Bytes()
	head := append(binary.AppendUvarint(nil, uint64(len(raw)+block.SizeMax)), raw...)
	data := bytes.Repeat(head, 4<<20/len(head))
	found, _, err := scan(bytes.NewReader(data), 0, int64(len(data)))
	if err != nil || len(found) != 0 {
		t.Errorf("%d sections, %v", len(found), err)
	}
}

// FuzzScan: whatever the bytes, the scanner ends, takes only sections that hash
// to their CIDs and do not overlap, and finds again what it found.
func FuzzScan(f *testing.F) {
	bs := storetest.NewBlocks(f, 4, 40)
	v0, err := block.New([]byte{10, 0}, block.Prefix{Codec: cid.DagProtobuf, V0: true})
	if err != nil {
		f.Fatal(err)
	}
	whole := sectionsOf(append(bs, v0, storetest.NewBlock(f, 1, 0))...)
	f.Add([]byte{})
	f.Add(whole)
	f.Add(whole[:len(whole)-60])
	f.Add(append(make([]byte, 100), whole...))
	f.Add(append(bytes.Repeat([]byte{0xff}, 20), whole...))
	f.Add(sectionsOf(bs[0], bs[0])[1:])
	f.Fuzz(func(t *testing.T, data []byte) {
		found, end, err := scan(bytes.NewReader(data), 0, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if end > int64(len(data)) {
			t.Fatalf("end %d of %d", end, len(data))
		}
		var last int64
		for off, got := range found {
			n, vn := binary.Uvarint(data[off:])
			cn, c, err := cid.CidFromBytes(data[off+int64(vn):])
			if err != nil || int(n) != cn+len(got) {
				t.Fatalf("section at %d: %v, length %d, CID %d, data %d", off, err, n, cn, len(got))
			}
			if _, err := block.Verify(c, got); err != nil {
				t.Fatal(err)
			}
			last = max(last, off+int64(vn)+int64(n))
		}
		if last != end {
			t.Fatalf("the last section ends at %d, the scan at %d", last, end)
		}
		again, _, err := scan(bytes.NewReader(data), 0, end)
		if err != nil || len(again) != len(found) {
			t.Fatalf("%d sections, then %d, %v", len(found), len(again), err)
		}
	})
}

// TestScanRandomWindows: sections that straddle the scanner's window.
func TestScanWindows(t *testing.T) {
	var bs []block.Block
	total := 0
	for i := 0; total < 12<<20; i++ {
		b := storetest.NewBlock(t, i, 4+rand.IntN(2<<20-4))
		bs, total = append(bs, b), total+b.Size()
	}
	data := sectionsOf(bs...)
	found, end, err := scan(bytes.NewReader(data), 0, int64(len(data)))
	if err != nil || len(found) != len(bs) || end != int64(len(data)) {
		t.Errorf("%d of %d sections, end %d of %d, %v", len(found), len(bs), end, len(data), err)
	}
}
