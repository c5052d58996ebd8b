package process_test

import (
	"context"
	"fmt"
	"log"

	"github.com/p2pnode/p2pnode/testground/process"
)

func ExampleP2PNode() {
	ctx := context.Background()
	a := &process.P2PNode{Binary: "p2pnode", Repo: "/tmp/a"}
	b := &process.P2PNode{Binary: "p2pnode", Repo: "/tmp/b"}
	for _, n := range []*process.P2PNode{a, b} {
		if err := n.Start(ctx); err != nil {
			log.Fatal(err)
		}
		defer n.Stop()
	}
	if err := b.Connect(ctx, a.Addr()); err != nil {
		log.Fatal(err)
	}
	m, err := b.Memory()
	fmt.Println(m.Peak, err)
}
