package dht_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/dht"
)

// Two nodes on this machine: one provides a CID, the other finds it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	member := func(o dht.Options) (*dht.DHT, peer.AddrInfo, func()) {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			log.Fatal(err)
		}
		d, err := dht.New(h, o)
		if err != nil {
			log.Fatal(err)
		}
		go func() { ended <- d.Run(ctx) }()
		return d, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, func() { h.Close() }
	}
	owner, info, closeOwner := member(dht.Options{Network: "example"})
	defer closeOwner()
	seeker, _, closeSeeker := member(dht.Options{Network: "example", Bootstrap: []peer.AddrInfo{info}})
	defer closeSeeker()

	c := cid.MustParse("bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
	if err := owner.Provide(ctx, c); err != nil {
		log.Fatal(err)
	}
	for found := false; !found; { // the record is on its way
		for p, err := range seeker.FindProviders(ctx, c) {
			if found = err == nil && p.ID == info.ID; found {
				fmt.Println("found the owner")
				break
			}
		}
	}
	cancel()
	fmt.Println(<-ended, <-ended)
	// Output:
	// found the owner
	// <nil> <nil>
}
