package quicnet_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/quicnet"
)

// Two hosts talk QUIC on 20 Mbit/s, a millisecond apart.
func Example() {
	n := quicnet.New(quicnet.Options{Latency: func(a, b netip.Addr) time.Duration { return time.Millisecond }})
	defer n.Close()
	var peers []peer.AddrInfo
	for i := range 2 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i), 0, 7}), 4001)
		nic := n.NIC(at.Addr(), fabric.Line{Up: 20e6, Down: 20e6})
		h, err := libp2p.New(nic.Transport(), libp2p.ListenAddrStrings(n.Listen(at)),
			libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{}))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer h.Close()
		for _, p := range peers {
			fmt.Println(p.Addrs[0], h.Connect(context.Background(), p))
		}
		peers = append(peers, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	}
	// Output: /ip4/20.0.0.7/udp/4001/quic-v1 <nil>
}
