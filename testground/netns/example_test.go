package netns_test

import (
	"fmt"
	"log"
	"net"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
)

func ExampleOpen() {
	lab, err := netns.Open(netns.Options{Hosts: 2, Latency: func(a, b int) time.Duration { return 25 * time.Millisecond }})
	if err != nil {
		log.Fatal(err) // not Linux, or not root
	}
	defer lab.Close()
	a, b := lab.Hosts()[0], lab.Hosts()[1]
	a.SetLine(fabric.Line{Up: 20_000_000, Down: 100_000_000, Loss: 0.01})
	var l net.Listener
	err = b.Do(func() (err error) { l, err = net.Listen("tcp", b.Addr().String()+":80"); return err })
	fmt.Println(l, err)
}
