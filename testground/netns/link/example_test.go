package link_test

import (
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns/link"
)

func ExampleNet() {
	n := link.New(link.Options{Latency: func(from, to int) time.Duration { return 20 * time.Millisecond }})
	for i := range 2 {
		n.Add(addr(i))
	}
	n.SetLine(0, fabric.Line{Up: 8_000_000}) // a byte a microsecond
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	n.Send(now, 0, packet(0, 1, 1000, udp))
	for {
		next, ok := n.Next()
		if !ok {
			break
		}
		for _, d := range n.Step(next) {
			fmt.Println(len(d.Packet), "bytes at host", d.Host, "after", d.Due.Sub(now))
		}
	}
	// Output: 1000 bytes at host 1 after 21ms
}
