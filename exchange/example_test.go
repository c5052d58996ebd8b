package exchange_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/exchange"
)

// Two nodes of one program; one has a block, the other fetches it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	start := func(store blockstore.Store) (*exchange.Exchange, peer.AddrInfo, func(peer.AddrInfo) error) {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			log.Fatal(err)
		}
		x := exchange.New(h, exchange.Options{Store: store})
		go func() {
			err := x.Run(ctx)
			h.Close()
			ended <- err
		}()
		return x, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, func(p peer.AddrInfo) error { return h.Connect(ctx, p) }
	}

	store := blockstore.NewMem()
	b, err := block.New([]byte("hello, peers"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Put(ctx, b); err != nil {
		log.Fatal(err)
	}
	_, seed, _ := start(store)
	x, _, connect := start(blockstore.NewMem())
	if err := connect(seed); err != nil {
		log.Fatal(err)
	}

	got, err := x.Session(ctx).Get(ctx, b.Cid())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.RawData())

	cancel()
	<-ended
	<-ended
	// Output: hello, peers
}
