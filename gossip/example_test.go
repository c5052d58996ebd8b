package gossip_test

import (
	"context"
	"fmt"
	"log"

	"github.com/libp2p/go-libp2p"

	"github.com/p2pnode/p2pnode/gossip"
)

func Example() {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	g, err := gossip.New(h, gossip.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()

	topic, err := g.Join("greetings", func(_ context.Context, m gossip.Message) gossip.Verdict {
		if len(m.Data) == 0 {
			return gossip.Reject
		}
		return gossip.Accept
	})
	if err != nil {
		log.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		log.Fatal(err)
	}
	if err := topic.Publish(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	m, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, by this peer: %t\n", m.Data, m.From == h.ID())

	cancel()
	<-ended
	// Output: hello, by this peer: true
}
