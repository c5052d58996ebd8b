package crdt_test

import (
	"fmt"
	"testing"

	"github.com/p2pnode/p2pnode/crdt"
)

// BenchmarkRemove removes one key of many, and puts it back.
func BenchmarkRemove(b *testing.B) {
	for _, keys := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			r := group(b, 1)[0]
			for i := 0; i < keys; i += 1000 {
				r.edit(func(tx *crdt.Tx) {
					for k := i; k < min(i+1000, keys); k++ {
						tx.Set(fmt.Sprint("key ", k), "value")
					}
				})
			}
			i := 0
			for b.Loop() {
				key := fmt.Sprint("key ", i%keys)
				r.edit(func(tx *crdt.Tx) { tx.Remove(key) })
				r.edit(func(tx *crdt.Tx) { tx.Set(key, "value") })
				i++
			}
		})
	}
}
