package crdt_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
)

// A long list is what a slice would be.
func TestLongList(t *testing.T) {
	r := group(t, 1)[0]
	rng := rand.New(rand.NewPCG(6, 6))
	var want []any
	for range 60 {
		r.edit(func(tx *crdt.Tx) {
			l := tx.List("l")
			for range 40 {
				pos := rng.IntN(l.Len() + 1)
				if n := rng.IntN(min(l.Len()-pos, 60) + 1); rng.IntN(3) == 0 {
					l.Delete(pos, n)
					want = slices.Delete(want, pos, pos+n)
					continue
				}
				values := make([]any, rng.IntN(90))
				for i := range values {
					values[i] = rng.Int64N(1000)
				}
				l.Insert(pos, values...)
				want = slices.Insert(want, pos, values...)
			}
		})
	}
	if got, _ := r.Get("l"); !reflect.DeepEqual(got, want) || len(want) < 1000 {
		t.Errorf("another list, of %d", len(want))
	}
	if got, _ := restored(t, r).Get("l"); !reflect.DeepEqual(got, want) {
		t.Error("another list is restored")
	}
}

// BenchmarkList is putting a value in front of a list.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := group(b, 1)[0]
			values := make([]any, 20_000)
			for range max(1, n/len(values)) {
				r.edit(func(tx *crdt.Tx) { tx.List("l").Insert(0, values[:min(n, len(values))]...) })
			}
			for b.Loop() {
				r.edit(func(tx *crdt.Tx) { tx.List("l").Insert(0, 1) })
			}
		})
	}
}
