package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// Of the networks in a soak.
const (
	soakPeersMin  = 20
	soakPeersMax  = 50
	soakLossMax   = 0.02
	soakJitterMax = 50 // milliseconds
)

// soak makes random runs until its time is over or one fails.
func (c cli) soak(ctx context.Context, args []string) error {
	var o outputs
	var minutes float64
	var seed uint64
	var runsMax int
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	set.Float64Var(&minutes, "minutes", 10, "of the clock, after which no other run begins")
	set.Uint64Var(&seed, "seed", rand.Uint64(), "of the choice of runs; random unless it is given")
	set.IntVar(&runsMax, "runs", 0, "most `runs`; 0 is as many as there is time for")
	o.flags(set)
	rest, err := c.parse(set, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Errorf("soak: unexpected %q", rest[0])}
	case !(minutes > 0) || runsMax < 0:
		return usageError{errors.New("soak: want more than 0 minutes, and no fewer than 0 runs")}
	}
	if err := o.check(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "soak -seed %d, %v\n", seed, time.Duration(minutes*float64(time.Minute)))
	rng := rand.New(rand.NewPCG(seed, 0))
	until := time.Now().Add(time.Duration(minutes * float64(time.Minute)))
	runs := 0
	for ; time.Now().Before(until) && (runsMax == 0 || runs < runsMax); runs++ {
		j := randomJob(rng)
		if !o.force {
			if err := enoughMemory(j, 1, availableMB()); err != nil {
				return err
			}
		}
		run, trace := c.supervised(ctx, j, &progress{})
		var kept error
		if run.Result != measure.Passed {
			kept = o.keep(run, trace)
		}
		fmt.Fprintf(c.out, "%4d  %s  loss %s, jitter %s\n", runs+1, runLine(run), j.values["loss"], j.values["jitter"])
		if run.Result != measure.Passed {
			return errors.Join(failure(run), kept)
		}
	}
	fmt.Fprintf(c.out, "%d runs, all invariants held\n", runs)
	return nil
}

// randomJob is any scenario with few peers on bad lines.
func randomJob(rng *rand.Rand) job {
	all := scenario.All()
	return job{
		scenario: all[rng.IntN(len(all))],
		peers:    soakPeersMin + rng.IntN(soakPeersMax-soakPeersMin+1),
		seed:     rng.Uint64() >> 1, // other tools read it as a signed number
		values: map[string]string{
			"loss":   strconv.FormatFloat(float64(rng.IntN(int(soakLossMax*1000)+1))/1000, 'g', -1, 64),
			"jitter": fmt.Sprint(rng.IntN(soakJitterMax+1), "ms"),
		},
	}
}
