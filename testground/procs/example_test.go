package procs_test

import (
	"context"
	"fmt"
	"log"

	"github.com/p2pnode/p2pnode/testground/procs"
	"github.com/p2pnode/p2pnode/testground/sim"
)

func ExampleOpen() {
	ctx := context.Background()
	g, err := procs.Open(procs.Options{Binary: "p2pnode", Dir: "/tmp/repos", Peers: 2})
	if err != nil {
		log.Fatal(err)
	}
	if why := g.Lines(); why != nil {
		fmt.Println("on loopback:", why)
	}
	network := sim.New(sim.Config{Medium: g.Medium})
	defer network.Close()
	for range 2 {
		p, err := network.Add(sim.PeerOptions{})
		if err == nil {
			err = p.StartGuest(ctx, g.Start)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	a, b := network.Peers()[0], network.Peers()[1]
	fmt.Println(a.Connect(ctx, b), a.Connected())
}
