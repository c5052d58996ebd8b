package fabric

import "time"

// Cut is what happens between two groups of peers.
type Cut int

// The cuts.
const (
	Open Cut = iota // nothing
	// Hold keeps what is sent, as TCP does: it arrives when the cut is mended,
	// unless an end has lost patience before.
	Hold
	// Drop ends the connections at once, on both sides.
	Drop
)

// SetGroup puts a peer into a group; all begin in group 0.
func (n *NIC) SetGroup(group int) {
	f := n.f
	f.mu.Lock()
	defer f.mu.Unlock()
	n.group = group
	f.recheck(n)
}

// SetCut separates the groups a and b, or joins them again.
func (f *Fabric) SetCut(a, b int, c Cut) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts[[2]int{min(a, b), max(a, b)}] = c
	for _, n := range f.inOrder() {
		f.recheck(n)
	}
}

func (f *Fabric) cut(a, b *NIC) Cut {
	if a.group == b.group {
		return Open
	}
	return f.cuts[[2]int{min(a.group, b.group), max(a.group, b.group)}]
}

// recheck does to the connections of n what a changed cut means for them.
func (f *Fabric) recheck(n *NIC) {
	now := time.Now()
	for _, c := range n.inOrder() {
		switch f.cut(c.nic, c.remote.nic) {
		case Drop:
			remote := c.remote
			c.end(errRemoteReset)
			remote.end(errRemoteReset)
		case Hold:
			if !c.silentSince.IsZero() {
				break
			}
			remote := c.remote
			c.silentSince, remote.silentSince = now, now
			f.at(now.Add(f.o.KeepAlive), func(time.Time) {
				if c.silentSince.Equal(now) {
					c.end(errTimeout)
					remote.end(errTimeout)
				}
			})
		case Open:
			for _, c := range []*conn{c, c.remote} {
				c.silentSince = time.Time{}
				held := c.held
				c.held = nil
				for _, fr := range held {
					c.travel(fr, now)
				}
			}
		}
	}
}
