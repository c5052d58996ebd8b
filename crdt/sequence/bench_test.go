package sequence_test

import "testing"

// BenchmarkMerge is all of a history, without the text itself.
func BenchmarkMerge(b *testing.B) {
	for _, name := range []string{"rustcode", "sveltecomponent", "friendsforever_flat", "friendsforever.concurrent"} {
		var tr trace
		load(b, name, &tr)
		for how, every := range map[string]int{"OneByOne": 1, "AtOnce": len(tr.Txns)} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					replay(&tr, every)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(tr.Txns)), "ns/txn")
			})
		}
	}
}
