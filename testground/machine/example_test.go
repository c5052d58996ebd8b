package machine_test

import (
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/testground/machine"
)

// A scenario is run by its seed, and does the same each time.
func ExampleScenarios() {
	for _, s := range machine.Scenarios() {
		if s.Name != "flash-crowd" {
			continue
		}
		params := map[string]string{"size": "1048576", "uplink": "20mbit"}
		a, err := s.Run(7, 20, params)
		if err != nil {
			fmt.Println(err)
		}
		b, _ := s.Run(7, 20, params)
		fmt.Println(a.Tally.Delivered, "blocks; the same trace:", a.Trace == b.Trace)
	}
	// Output: 95 blocks; the same trace: true
}

// A world may also be made by hand.
func ExampleWorld() {
	w := machine.New(machine.Options{Seed: 1})
	line := machine.PeerOptions{Line: machine.Line{Up: 10e6, Down: 10e6}}
	alice := w.Add(line, machine.NewExchange(machine.Honest))
	bob := w.Add(line, machine.NewExchange(machine.Honest))
	file := machine.NewContent(w.Rand(), 1<<20, 256<<10)
	machine.ExchangeOf(alice).Keep(file...)
	w.Connect(alice, bob)
	f := machine.ExchangeOf(bob).Fetch(file.Cids(), time.Minute, nil)
	if err := w.Run(time.Minute, f.Over); err != nil {
		fmt.Println(err)
	}
	if err := w.Settle(time.Minute); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%d blocks in %.1f s\n", f.Delivered, f.Took.Seconds())
	// Output: 5 blocks in 0.9 s
}
