package swap

import "github.com/ipfs/go-cid"

// copiesMax is how many blocks are counted before it begins anew.
const copiesMax = 1 << 16

// copies counts how often blocks were sent lately. When many peers wait, each gets the
// block that was sent least: whoever has one that nobody else has can pass it on.
type copies map[cid.Cid]int

func (n copies) add(c cid.Cid) {
	if len(n) >= copiesMax {
		clear(n)
	}
	n[c]++
}
