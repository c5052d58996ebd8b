package commit

// RefsEvery is how many commits of the longest chain have refs: one in so many.
const RefsEvery = 8

// Refs tells how far back on the longest chain the commits are to which a commit with this
// gen must refer, besides its parents: 8, 16, 32 and so on for as long as that divides gen.
// With them a chain of n commits can be fetched in O(log n) waves, at a price of one ref for
// every four commits. The longest chain goes from a commit to the parent with the greatest
// gen, of several to the one with the least ID.
func Refs(gen uint64) []uint64 {
	var back []uint64
	for d := uint64(RefsEvery); d < gen && gen%d == 0; d *= 2 {
		back = append(back, d)
	}
	return back
}
