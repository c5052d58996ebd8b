// Command probe runs one scenario and prints what a repetition must print again:
// the trace of the network, the state of the runtime's generator, every value that
// was measured. It is what the tests of package det compare, not a tool: for runs
// there is testground.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

func main() {
	name := flag.String("scenario", "gossip", "name")
	peers := flag.Int("peers", 30, "how many")
	seed := flag.Uint64("seed", 7, "of the network")
	schedule := flag.Uint64("schedule", 0, "seed of the order of goroutines; 0: follows the network's")
	values := make(map[string]string)
	flag.Func("set", "parameter as name=value", func(text string) error {
		var k, v string
		for i := range text {
			if text[i] == '=' {
				k, v = text[:i], text[i+1:]
			}
		}
		values[k] = v
		return nil
	})
	flag.Parse()
	os.Args = os.Args[:1]
	testing.Init()
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "probe", F: func(t *testing.T) {
			det.Seed(t, *seed, *schedule)
			mem("before")
			synctest.Test(t, func(t *testing.T) { run(t, *name, *peers, *seed, values) })
			mem("after")
			os.Exit(0)
		},
	}}, nil, nil)
}

func run(t *testing.T, name string, peers int, seed uint64, values map[string]string) {
	s, err := scenario.Find(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	net := sim.New(sim.Config{Seed: seed})
	r, err := scenario.NewRun(s, net, peers, values)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	r.Logf = func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%12v %x %016x %s\n", net.Age(), net.Fabric().Trace(), det.State(), fmt.Sprintf(format, args...))
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.TimeMax)
	defer cancel()
	err = s.Run(ctx, r)
	if err == nil {
		err = r.Check()
	}
	r.Measure.WriteCSV(os.Stdout)
	fmt.Println("outcome", err, "closed", net.Close())
	fmt.Printf("trace %x\nstate %016x\nage %v\n", net.Fabric().Trace(), det.State(), net.Age())
}

func mem(when string) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintln(os.Stderr, when, m.Mallocs, m.Frees, m.HeapAlloc, m.NumGC, m.HeapInuse, m.StackInuse)
}
