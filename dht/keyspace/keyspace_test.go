package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

func key(first, second byte) keyspace.Key { return keyspace.Key{first, second} }

func TestCommonPrefixLen(t *testing.T) {
	for _, c := range []struct {
		a, b keyspace.Key
		want int
	}{
		{key(0, 0), key(0, 0), 256},
		{key(0x80, 0), key(0, 0), 0},
		{key(1, 0), key(0, 0), 7},
		{key(0, 0x40), key(0, 0), 9},
	} {
		if got := keyspace.CommonPrefixLen(c.a, c.b); got != c.want {
			t.Errorf("%x and %x share %d bits, want %d", c.a[:2], c.b[:2], got, c.want)
		}
	}
}

func TestCompareDistance(t *testing.T) {
	target, near, far := key(0b1010, 0), key(0b1011, 0), key(0b0010, 0xff)
	if keyspace.CompareDistance(target, near, far) >= 0 || keyspace.CompareDistance(target, far, near) <= 0 {
		t.Error("the nearer key is not nearer")
	}
	if keyspace.CompareDistance(target, near, near) != 0 || keyspace.Compare(near, far) <= 0 {
		t.Error("order")
	}
}

// TestExactIsExact draws networks at random and checks what a region claims to
// know about another key against the whole network.
func TestExactIsExact(t *testing.T) {
	const count = 20
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() (k keyspace.Key) {
		for i := range k {
			k[i] = byte(random.Uint32())
		}
		return k
	}
	useful := 0
	for range 200 {
		network := make([]keyspace.Key, 1+random.IntN(500))
		for i := range network {
			network[i] = draw()
		}
		nearest := func(target keyspace.Key) []keyspace.Key {
			all := slices.Clone(network)
			slices.SortFunc(all, func(a, b keyspace.Key) int { return keyspace.CompareDistance(target, a, b) })
			return all[:min(count, len(all))]
		}
		target := draw()
		known := nearest(target)
		region := keyspace.NewRegion(target, known, count)
		if region.Exact(target) != len(known) {
			t.Fatal("a region does not know its own target")
		}
		for range 50 {
			other := draw()
			shared := random.IntN(12) // bits with the target
			for i := range shared {
				bit := byte(0x80) >> (i % 8)
				other[i/8] = other[i/8]&^bit | target[i/8]&bit
			}
			exact := region.Exact(other)
			useful += exact
			order := region.Nearest(other)
			for i, want := range nearest(other)[:exact] {
				if known[order[i]] != want {
					t.Fatalf("network of %d: result %d of %d is not exact", len(network), i, exact)
				}
			}
		}
	}
	if useful == 0 {
		t.Error("no region was of any use")
	}
}

func Example() {
	target := keyspace.Of([]byte("a block"))
	peers := []keyspace.Key{keyspace.Of([]byte("Alice")), keyspace.Of([]byte("Bob"))}
	region := keyspace.NewRegion(target, peers, 20)
	fmt.Println("Bob is nearest:", region.Nearest(target)[0] == 1)
	// Output: Bob is nearest: true
}
