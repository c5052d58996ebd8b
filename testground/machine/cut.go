package machine

// Cut is what happens between two groups of peers.
type Cut int

// The cuts.
const (
	Open Cut = iota // nothing
	// Hold keeps what is sent: it arrives when the cut is mended, unless the peers
	// have lost patience before, after KeepAlive.
	Hold
	// Drop ends the connections at once, on both sides.
	Drop
)

// SetGroup puts a peer into a group; all begin in the one of their options.
func (p *Peer) SetGroup(group int) { p.group = group }

// SetCut separates the groups a and b, or joins them again.
func (w *World) SetCut(a, b int, c Cut) {
	key := [2]int{min(a, b), max(a, b)}
	before := w.cuts[key]
	w.cuts[key] = c
	switch {
	case c == Drop:
		w.sever(a, b)
	case c == Hold && before != Hold:
		began := w.now
		w.cutAt[key] = began
		w.After(w.o.KeepAlive, func() {
			if w.cuts[key] == Hold && w.cutAt[key] == began {
				w.sever(a, b)
			}
		})
	}
	held := w.held
	w.held = nil
	for _, k := range held {
		if !k.lane.end.closed {
			w.forward(k)
		}
	}
}

func (w *World) cut(a, b *Peer) Cut {
	if a.group == b.group {
		return Open
	}
	return w.cuts[[2]int{min(a.group, b.group), max(a.group, b.group)}]
}

// sever ends all connections between two groups, as both sides see it.
func (w *World) sever(a, b int) {
	for _, p := range w.peers {
		if p.group != a && p.group != b {
			continue
		}
		for _, e := range p.inOrder() {
			if o := e.to.group; o != p.group && (o == a || o == b) {
				p.detach(e.to, e.serial)
			}
		}
	}
}
