package swap

import (
	"time"

	"github.com/ipfs/go-cid"
)

const (
	recentTime = 10 * time.Minute // in which a peer on a slow line may have it under way
	recentMax  = 1 << 16          // CIDs
)

// recent remembers which blocks were wanted a short while ago, so that one that
// crossed its cancel on the way is not taken for junk.
type recent struct {
	until map[cid.Cid]time.Time
	order []cid.Cid // oldest first, from head
	head  int
}

func (r *recent) add(now time.Time, c cid.Cid) {
	if r.until == nil {
		r.until = make(map[cid.Cid]time.Time)
	}
	if _, known := r.until[c]; !known {
		r.order = append(r.order, c)
	}
	r.until[c] = now.Add(recentTime)
	for len(r.order)-r.head > recentMax || r.head < len(r.order) && now.After(r.until[r.order[r.head]]) {
		delete(r.until, r.order[r.head])
		r.order[r.head] = cid.Undef
		r.head++
	}
	if r.head > recentMax/2 && r.head > len(r.order)/2 {
		r.order = append([]cid.Cid(nil), r.order[r.head:]...)
		r.head = 0
	}
}

func (r *recent) has(now time.Time, c cid.Cid) bool {
	until, known := r.until[c]
	return known && !now.After(until)
}
