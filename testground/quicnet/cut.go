package quicnet

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/transport"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

// conn is a connection that began at a NIC, or ended there.
type conn struct {
	transport.CapableConn
	remote netip.Addr
}

// SetGroup puts a peer into a group; all begin in group 0.
func (c *NIC) SetGroup(group int) {
	c.n.mu.Lock()
	c.group = group
	doomed := c.n.dropped()
	c.n.mu.Unlock()
	end(doomed)
}

// SetCut separates the groups a and b, or joins them again. Packets between them are
// lost, as they are where a cable is cut. With fabric.Hold that is all: QUIC sends
// again what was lost when the cut is mended, unless it has lost patience before.
// With fabric.Drop the connections end at once, on both sides.
func (n *Network) SetCut(a, b int, c fabric.Cut) {
	n.mu.Lock()
	n.cuts[[2]int{min(a, b), max(a, b)}] = c
	doomed := n.dropped()
	n.mu.Unlock()
	end(doomed)
}

func (n *Network) cut(a, b *NIC) fabric.Cut {
	if a.group == b.group {
		return fabric.Open
	}
	return n.cuts[[2]int{min(a.group, b.group), max(a.group, b.group)}]
}

// dropped lists the connections that a cut ends, in the order of addresses and of
// their making.
func (n *Network) dropped() []conn {
	var nics []*NIC
	for _, c := range n.nics {
		nics = append(nics, c)
	}
	slices.SortFunc(nics, func(a, b *NIC) int { return cmp.Or(a.addr.Compare(b.addr)) })
	var list []conn
	for _, c := range nics {
		c.conns = slices.DeleteFunc(c.conns, func(k conn) bool {
			other := n.nics[k.remote]
			drop := other != nil && n.cut(c, other) == fabric.Drop
			if drop {
				list = append(list, k)
			}
			return drop
		})
	}
	return list
}

// end ends connections. The goodbye of each is lost in the cut.
func end(doomed []conn) {
	for _, c := range doomed {
		c.Close() // there is nobody to tell that it was closed already
	}
}
