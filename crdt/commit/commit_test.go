package commit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/node/basicnode"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func randomID(rng *rand.Rand) (id commit.ID) {
	for i := range id {
		id[i] = byte(rng.Uint32())
	}
	return id
}

func randomCommit(rng *rand.Rand) *commit.Commit {
	c := &commit.Commit{Gen: 1, Wall: rng.Uint64() >> rng.IntN(64), Author: commit.AuthorOf(key(byte(rng.Uint32()))), Ops: []byte{}}
	for range rng.IntN(4) {
		p := commit.Parent{ID: randomID(rng)}
		if rng.IntN(2) == 0 {
			p.Signature = commit.Sign(key(1), randomID(rng), p.ID)
		}
		c.Parents = append(c.Parents, p)
		c.Gen = 2 + rng.Uint64N(commit.GenMax-2)>>rng.IntN(40)
	}
	slices.SortFunc(c.Parents, func(p, q commit.Parent) int { return p.ID.Compare(q.ID) })
	for range rng.IntN(3) {
		c.Refs = append(c.Refs, randomID(rng))
	}
	for range rng.IntN(300) {
		c.Ops = append(c.Ops, byte(rng.Uint32()))
	}
	return c
}

// What is encoded is decoded as it was, and is the DAG-CBOR of the IPLD library.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		want := randomCommit(rand.New(rand.NewPCG(seed, 1)))
		b, err := want.Encode()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, id, err := commit.Decode(b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v, want %+v", seed, got, want)
		}
		if id.Cid() != b.Cid() {
			t.Fatalf("seed %d: ID of %s, want %s", seed, id, b.Cid())
		}
		node := basicnode.Prototype.Any.NewBuilder()
		if err := dagcbor.Decode(node, bytes.NewReader(b.RawData())); err != nil {
			t.Fatalf("seed %d: the IPLD library: %v", seed, err)
		}
		var again bytes.Buffer
		if err := dagcbor.Encode(node.Build(), &again); err != nil || !bytes.Equal(again.Bytes(), b.RawData()) {
			t.Fatalf("seed %d: the IPLD library encodes it otherwise (%v)", seed, err)
		}
	}
}

func mustBlock(t testing.TB, data []byte) block.Block {
	t.Helper()
	b, err := block.New(data, block.Prefix{Codec: cid.DagCBOR})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeRejects(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	good := &commit.Commit{Gen: 2, Parents: []commit.Parent{{ID: randomID(rng)}}, Ops: []byte{0}}
	b, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	data := b.RawData()
	change := func(i int, to ...byte) []byte { return slices.Replace(slices.Clone(data), i, i+1, to...) }
	twice := slices.Concat(data[:39], []byte{0x82}, data[40:81], data[40:])
	for name, bad := range map[string][]byte{
		"nothing":                   {},
		"cut":                       data[:len(data)-1],
		"a byte too many":           append(slices.Clone(data), 0),
		"a longer array":            change(0, 0x88),
		"a head that is not least":  change(2, 0x18, 2),
		"gen 0":                     change(2, 0),
		"gen 1 with a parent":       change(2, 1),
		"a link of another codec":   bytes.Replace(data, []byte{0, 1, 0x71}, []byte{0, 1, 0x55}, 1),
		"the same parent twice":     twice,
		"an array without an end":   change(0, 0x9f),
		"a length beyond the bytes": change(len(data)-2, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		if _, _, err := commit.Decode(mustBlock(t, bad)); !errors.Is(err, commit.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, _, err := commit.Decode(mustBlock(t, change(1, 2))); !errors.Is(err, commit.ErrVersion) {
		t.Errorf("a newer version: got %v", err)
	}
	if _, _, err := commit.Decode(mustBlock(t, make([]byte, commit.SizeMax+1))); !errors.Is(err, commit.ErrLimit) {
		t.Errorf("too large: got %v", err)
	}
	raw, err := block.New(data, block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := commit.Decode(raw); !errors.Is(err, commit.ErrMalformed) {
		t.Errorf("a raw block: got %v", err)
	}
}

func TestEncodeRejects(t *testing.T) {
	for name, c := range map[string]*commit.Commit{
		"too large":    {Gen: 1, Ops: make([]byte, commit.SizeMax)},
		"many parents": {Gen: 2, Parents: make([]commit.Parent, commit.ParentsMax+1)},
		"many refs":    {Gen: 1, Refs: make([]commit.ID, commit.RefsMax+1)},
	} {
		if _, err := c.Encode(); !errors.Is(err, commit.ErrLimit) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c := &commit.Commit{Gen: 2, Parents: make([]commit.Parent, 2)}
	if _, err := c.Encode(); !errors.Is(err, commit.ErrMalformed) {
		t.Errorf("the same parent twice: got %v", err)
	}
}

func TestSignature(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	doc, other, head := randomID(rng), randomID(rng), randomID(rng)
	s := commit.Sign(key(1), doc, head)
	ann, bob := commit.AuthorOf(key(1)), commit.AuthorOf(key(2))
	if !commit.Verify(ann, doc, head, s) {
		t.Error("a signature does not verify")
	}
	if commit.Verify(bob, doc, head, s) || commit.Verify(ann, other, head, s) || commit.Verify(ann, doc, other, s) || commit.Verify(ann, doc, head, nil) {
		t.Error("a signature verifies for what was not signed")
	}
}

// With refs, the commits of a chain are fetched in few waves.
func TestRefsReachAllInFewWaves(t *testing.T) {
	for _, n := range []uint64{10, 1000, 1023, 4096, 50_001} {
		have := map[uint64]bool{n: true}
		wave, waves := []uint64{n}, 0
		refs := 0
		for len(have) < int(n) {
			var next []uint64
			for _, gen := range wave {
				back := commit.Refs(gen)
				refs += len(back)
				for _, d := range append(back, 1) {
					if g := gen - d; g > 0 && !have[g] {
						have[g] = true
						next = append(next, g)
					}
				}
			}
			wave = next
			waves++
		}
		if waves > 30 {
			t.Errorf("%d commits in %d waves", n, waves)
		}
		if float64(refs) > 0.3*float64(n) {
			t.Errorf("%d refs in %d commits", refs, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for seed := range uint64(20) {
		b, err := randomCommit(rand.New(rand.NewPCG(seed, 2))).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.RawData())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := commit.Decode(mustBlock(t, data))
		if err != nil {
			return
		}
		b, err := c.Encode()
		if err != nil {
			t.Fatalf("decoded, but not encoded: %v", err)
		}
		if !bytes.Equal(b.RawData(), data) {
			t.Fatalf("%x encodes to %x", data, b.RawData())
		}
	})
}

// What a decoder takes is in proportion to what it was given.
func TestDecodeAllocatesInProportion(t *testing.T) {
	claims := [][]byte{
		{0x87, 1, 1, 0, 0x58, 32},
		append(append([]byte{0x87, 1, 2, 0, 0x58, 32}, make([]byte, 32)...), 0x98, 64),
	}
	for _, data := range claims {
		b := mustBlock(t, data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, _, err := commit.Decode(b); err == nil {
				t.Fatal("decoded")
			}
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 100; n > 4096 {
			t.Errorf("%d bytes allocated for %d", n, len(data))
		}
	}
}

func ExampleCommit_Encode() {
	ann := key(1)
	first := &commit.Commit{Gen: 1, Author: commit.AuthorOf(ann)}
	b, err := first.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, id, err := commit.Decode(b)
	s := commit.Sign(ann, id, id)
	fmt.Println(b.Size(), id.Cid() == b.Cid(), err, commit.Verify(first.Author, id, id, s))
	// Output: 41 true <nil> true
}
