package exchange

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestNear(t *testing.T) {
	for addr, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/4101":               true,
		"/ip4/10.1.2.3/udp/4101/quic-v1":        true,
		"/ip4/172.31.0.1/tcp/4101":              true,
		"/ip4/192.168.1.7/tcp/4101/ws":          true,
		"/ip4/169.254.3.4/tcp/4101":             true,
		"/ip6/::1/tcp/4101":                     true,
		"/ip6/fd12::1/tcp/4101":                 true,
		"/ip6zone/eth0/ip6/fe80::1/tcp/4101":    true,
		"/ip6/::ffff:192.168.1.7/tcp/4101":      true,
		"/ip4/20.0.0.7/tcp/4101":                false,
		"/ip4/100.64.0.1/tcp/4101":              false, // the provider's side of a line
		"/ip6/2001:41d0::1/udp/4101/quic-v1":    false,
		"/dns4/router.local/tcp/4101":           false,
		"/unix/socket":                          false,
		"/ip4/192.168.1.7/tcp/4101/p2p-circuit": false,
		"/ip4/127.0.0.1/udp/1/quic-v1/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq/p2p-circuit": false,
	} {
		a, err := ma.NewMultiaddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := near(a); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
