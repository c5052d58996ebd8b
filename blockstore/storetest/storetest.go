// Package storetest is the contract of blockstore.Store as tests. Every store
// must pass Run.
//
// It is not a test of durability: what survives a crash is for the store's own
// tests to show.
package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
)

// Run checks the stores that open makes. Each call of open returns an empty
// store, which is closed by a t.Cleanup of open's own if it needs to be.
func Run(t *testing.T, open func(t *testing.T) blockstore.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, blockstore.Store)
	}{
		{"an empty store has nothing", testEmpty},
		{"what was put is there", testPutGet},
		{"sizes from none to the largest", testSizes},
		{"every hash function that is allowed", testHashFunctions},
		{"the multihash is the name", testOtherCodec},
		{"CIDv0 and CIDv1 name the same bytes", testVersions},
		{"blocks that are held", testPutAgain},
		{"the same block twice in one put", testPutTwice},
		{"a put of nothing", testPutNothing},
		{"a put of no block is refused", testPutZero},
		{"deleted blocks are gone", testDelete},
		{"deleted blocks can be put again", testPutDeleted},
		{"CIDs that no block may have", testBadCIDs},
		{"identity CIDs need no store", testIdentity},
		{"all blocks are listed", testAll},
		{"a listing may end early", testAllBreak},
		{"a listing goes on while blocks change", testAllChange},
		{"a context that has ended", testContext},
		{"many at once", testConcurrent},
		{"puts and deletes of one block", testConcurrentOne},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// NewBlock makes a raw block of size bytes that seed determines.
func NewBlock(t testing.TB, seed, size int) block.Block {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(seed>>(8*(i%4))) ^ byte(i/4) ^ byte(i>>10)
	}
	return named(t, data, block.Prefix{Codec: cid.Raw})
}

// NewBlocks makes n different blocks of about size bytes.
func NewBlocks(t testing.TB, n, size int) []block.Block {
	t.Helper()
	bs := make([]block.Block, n)
	for i := range bs {
		bs[i] = NewBlock(t, i, max(4, size+i%7))
	}
	return bs
}

func named(t testing.TB, data []byte, p block.Prefix) block.Block {
	t.Helper()
	b, err := block.New(data, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustPut(t *testing.T, s blockstore.Store, bs ...block.Block) {
	t.Helper()
	if err := s.Put(t.Context(), bs...); err != nil {
		t.Fatalf("Put of %d blocks: %v", len(bs), err)
	}
}

func mustHave(t *testing.T, s blockstore.Store, bs ...block.Block) {
	t.Helper()
	for _, want := range bs {
		got, err := s.Get(t.Context(), want.Cid())
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		if got.Cid() != want.Cid() || !bytes.Equal(got.RawData(), want.RawData()) {
			t.Fatalf("Get(%s) = %s with %d bytes", want.Cid(), got.Cid(), got.Size())
		}
		if n, err := s.Size(t.Context(), want.Cid()); err != nil || n != want.Size() {
			t.Fatalf("Size(%s) = %d, %v; want %d", want.Cid(), n, err, want.Size())
		}
	}
}

func mustLack(t *testing.T, s blockstore.Store, cids ...cid.Cid) {
	t.Helper()
	for _, c := range cids {
		if b, err := s.Get(t.Context(), c); !errors.Is(err, block.ErrNotFound) {
			t.Fatalf("Get(%s) = %v, %v; want ErrNotFound", c, b, err)
		}
		if n, err := s.Size(t.Context(), c); !errors.Is(err, block.ErrNotFound) {
			t.Fatalf("Size(%s) = %d, %v; want ErrNotFound", c, n, err)
		}
	}
}

func mustList(t *testing.T, s blockstore.Store, want ...block.Block) {
	t.Helper()
	left := make(map[cid.Cid]bool)
	for _, b := range want {
		left[b.Cid()] = true
	}
	for c, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if !left[c] {
			t.Fatalf("All yields %s, which is not there or was yielded before", c)
		}
		delete(left, c)
	}
	if len(left) > 0 {
		t.Fatalf("All leaves out %d of %d blocks", len(left), len(want))
	}
}

func testEmpty(t *testing.T, s blockstore.Store) {
	b := NewBlock(t, 1, 100)
	mustLack(t, s, b.Cid())
	mustList(t, s)
	_, err := s.Get(t.Context(), b.Cid())
	var nf interface{ NotFound() bool }
	if !errors.As(err, &nf) || !nf.NotFound() {
		t.Errorf("the IPFS libraries do not see that %v means a missing block", err)
	}
}

func testPutGet(t *testing.T, s blockstore.Store) {
	bs := NewBlocks(t, 300, 200)
	mustPut(t, s, bs[0])
	mustHave(t, s, bs[0])
	mustLack(t, s, bs[1].Cid())
	mustPut(t, s, bs[1:]...)
	mustHave(t, s, bs...)
	mustHave(t, s, bs...) // from a cache, perhaps
}

func testSizes(t *testing.T, s blockstore.Store) {
	var bs []block.Block
	for _, n := range []int{0, 1, 127, 128, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1, block.SizeMax} {
		bs = append(bs, NewBlock(t, n, n))
	}
	mustPut(t, s, bs...)
	mustHave(t, s, bs...)
	mustList(t, s, bs...)
}

func testHashFunctions(t *testing.T, s blockstore.Store) {
	var bs []block.Block
	for _, code := range []uint64{multihash.SHA2_256, multihash.SHA2_512, multihash.BLAKE3, multihash.BLAKE2B_MIN + 31} {
		bs = append(bs, named(t, []byte("the same bytes"), block.Prefix{Codec: cid.Raw, Hash: code}))
	}
	mustPut(t, s, bs...)
	mustHave(t, s, bs...)
	mustList(t, s, bs...)
}

func testOtherCodec(t *testing.T, s blockstore.Store) {
	raw := named(t, []byte("hello"), block.Prefix{Codec: cid.Raw})
	cbor := named(t, []byte("hello"), block.Prefix{Codec: cid.DagCBOR})
	mustPut(t, s, raw)
	mustHave(t, s, raw, cbor, raw)
	mustPut(t, s, cbor)
	mustList(t, s, raw) // once, by its first name
	if err := s.Delete(t.Context(), cbor.Cid()); err != nil {
		t.Fatal(err)
	}
	mustLack(t, s, raw.Cid(), cbor.Cid())
	mustPut(t, s, cbor)
	mustList(t, s, cbor)
}

func testVersions(t *testing.T, s blockstore.Store) {
	v0 := named(t, []byte("hello"), block.Prefix{Codec: cid.DagProtobuf, V0: true})
	v1 := named(t, []byte("hello"), block.Prefix{Codec: cid.DagProtobuf})
	mustPut(t, s, v0)
	mustHave(t, s, v0, v1, v0)
	mustList(t, s, v0)
}

func testPutAgain(t *testing.T, s blockstore.Store) {
	bs := NewBlocks(t, 20, 100)
	mustPut(t, s, bs[:10]...)
	mustPut(t, s, bs[:10]...)
	mustPut(t, s, bs...)
	mustHave(t, s, bs...)
	mustList(t, s, bs...)
}

func testPutTwice(t *testing.T, s blockstore.Store) {
	b := NewBlock(t, 1, 100)
	mustPut(t, s, b, b, b)
	mustHave(t, s, b)
	mustList(t, s, b)
}

func testPutNothing(t *testing.T, s blockstore.Store) {
	mustPut(t, s)
	mustList(t, s)
	if err := s.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func testPutZero(t *testing.T, s blockstore.Store) {
	if err := s.Put(t.Context(), NewBlock(t, 1, 10), block.Block{}); err == nil {
		t.Fatal("Put of the zero Block: no error")
	}
	if err := s.Put(t.Context(), NewBlock(t, 2, 10)); err != nil {
		t.Fatalf("Put after that: %v", err)
	}
}

func testDelete(t *testing.T, s blockstore.Store) {
	bs := NewBlocks(t, 20, 100)
	mustPut(t, s, bs...)
	mustHave(t, s, bs...) // into a cache, perhaps
	gone := []cid.Cid{bs[0].Cid(), bs[1].Cid(), bs[1].Cid(), NewBlock(t, 99, 9).Cid()}
	for range 2 {
		if err := s.Delete(t.Context(), gone...); err != nil {
			t.Fatal(err)
		}
		mustLack(t, s, gone...)
		mustHave(t, s, bs[2:]...)
		mustList(t, s, bs[2:]...)
	}
}

func testPutDeleted(t *testing.T, s blockstore.Store) {
	b := NewBlock(t, 1, 1000)
	for range 3 {
		mustPut(t, s, b)
		mustHave(t, s, b)
		if err := s.Delete(t.Context(), b.Cid()); err != nil {
			t.Fatal(err)
		}
		mustLack(t, s, b.Cid())
	}
	mustPut(t, s, b)
	mustHave(t, s, b)
	mustList(t, s, b)
}

func testBadCIDs(t *testing.T, s blockstore.Store) {
	sha1, err := multihash.Sum([]byte("x"), multihash.SHA1, -1)
	if err != nil {
		t.Fatal(err)
	}
	long, err := multihash.Sum(make([]byte, block.IdentitySizeMax+1), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cid.Cid{cid.Undef, cid.NewCidV1(cid.Raw, sha1), cid.NewCidV1(cid.Raw, long)} {
		if _, err := s.Get(t.Context(), c); err == nil {
			t.Errorf("Get(%v): no error", c)
		}
		if _, err := s.Size(t.Context(), c); err == nil {
			t.Errorf("Size(%v): no error", c)
		}
		if err := s.Delete(t.Context(), c); err != nil {
			t.Errorf("Delete(%v): %v", c, err)
		}
	}
}

func testIdentity(t *testing.T, s blockstore.Store) {
	mh, err := multihash.Sum([]byte("hello"), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := block.Inline(cid.NewCidV1(cid.Raw, mh))
	if !ok {
		t.Fatal("no block in an identity CID")
	}
	mustHave(t, s, b)
	mustPut(t, s, b)
	mustHave(t, s, b)
	mustList(t, s)
	if err := s.Delete(t.Context(), b.Cid()); err != nil {
		t.Fatal(err)
	}
	mustHave(t, s, b)
}

func testAll(t *testing.T, s blockstore.Store) {
	bs := NewBlocks(t, 5000, 8)
	mustPut(t, s, bs...)
	mustList(t, s, bs...)
	mustList(t, s, bs...)
}

func testAllBreak(t *testing.T, s blockstore.Store) {
	mustPut(t, s, NewBlocks(t, 50, 8)...)
	n := 0
	for _, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Fatalf("All yields %d of 50 blocks", n)
	}
}

func testAllChange(t *testing.T, s blockstore.Store) {
	bs := NewBlocks(t, 200, 8)
	mustPut(t, s, bs[:100]...)
	seen := make(map[cid.Cid]int)
	for c, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(seen); n < 50 {
			mustPut(t, s, bs[100+n])
			if err := s.Delete(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		seen[c]++
	}
	for _, b := range bs[:100] {
		if seen[b.Cid()] != 1 {
			t.Fatalf("All yields %s %d times", b.Cid(), seen[b.Cid()])
		}
	}
}
