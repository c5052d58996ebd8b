package machine

import (
	"time"

	"github.com/ipfs/go-cid"
)

// foundMax is how many providers a search finds at most.
const foundMax = 20

// Provide notes that a peer offers blocks. Records outlive the peer: a search may
// name one that is down.
func (w *World) Provide(p *Peer, cids ...cid.Cid) {
	for _, c := range cids {
		w.providers[c] = append(w.providers[c], p)
	}
}

// search is one under way.
type search struct {
	p     *Peer
	c     cid.Cid
	ended bool
	found func(*Peer)
	done  func()
}

// find searches for providers: found is called for some, then done.
func (p *Peer) find(c cid.Cid, found func(*Peer), done func()) *search {
	s := &search{p: p, c: c, found: found, done: done}
	rng := p.w.rng
	total := p.w.o.FindTime/2 + time.Duration(rng.Int64N(int64(p.w.o.FindTime)))
	p.After(total/2, func() { s.name(total - total/2) })
	p.After(total, s.end)
	return s
}

// name spreads the providers over the time that is left.
func (s *search) name(left time.Duration) {
	w := s.p.w
	var list []*Peer
	for _, o := range w.providers[s.c] {
		// Records are kept near the peers that ask: across a cut, none are.
		if o != s.p && w.cut(s.p, o) == Open {
			list = append(list, o)
		}
	}
	n := min(len(list), foundMax)
	for i := range n {
		j := i + w.rng.IntN(len(list)-i)
		list[i], list[j] = list[j], list[i]
		o := list[i]
		s.p.After(left*time.Duration(i)/time.Duration(n), func() {
			if !s.ended {
				s.p.Do(func() { s.found(o) })
			}
		})
	}
}

// end ends the search, before its time or at it.
func (s *search) end() {
	if !s.ended {
		s.ended = true
		s.p.Do(s.done)
	}
}
