package swarm

import (
	"math/bits"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// leaves is a set of leaves by number.
type leaves []uint64

func newLeaves(n int) leaves { return make(leaves, (n+63)/64) }

func (l leaves) has(i int) bool { return l[i/64]&(1<<(i%64)) != 0 }
func (l leaves) add(i int)      { l[i/64] |= 1 << (i % 64) }
func (l leaves) remove(i int)   { l[i/64] &^= 1 << (i % 64) }

func (l leaves) count() (n int) {
	for _, w := range l {
		n += bits.OnesCount64(w)
	}
	return n
}

// lacks tells whether there is one in o that is not in l.
func (l leaves) lacks(o leaves) bool {
	for i, w := range o {
		if w&^l[i] != 0 {
			return true
		}
	}
	return false
}

// ranges are the set as frames have it, at most most of them.
func (l leaves) ranges(n, most int) (list []frame.Range) {
	for i := 0; i < n && len(list) < most; i++ {
		if i%64 == 0 && l[i/64] == 0 {
			i += 63
			continue
		}
		if !l.has(i) {
			continue
		}
		if k := len(list) - 1; k >= 0 && list[k].First+list[k].Count == i {
			list[k].Count++
		} else {
			list = append(list, frame.Range{First: i, Count: 1})
		}
	}
	return list
}

// rangesOf are numbers, which are in order, as frames have them.
func rangesOf(numbers []int) (list []frame.Range) {
	for _, i := range numbers {
		if k := len(list) - 1; k >= 0 && list[k].First+list[k].Count == i {
			list[k].Count++
		} else {
			list = append(list, frame.Range{First: i, Count: 1})
		}
	}
	return list
}

func (l leaves) empty() bool {
	for _, w := range l {
		if w != 0 {
			return false
		}
	}
	return true
}

// trailing is the number of the lowest bit of a word that is not 0.
func trailing(w uint64) int { return bits.TrailingZeros64(w) }
