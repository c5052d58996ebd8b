package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// Of the networks in a soak.
const (
	soakPeersMin  = 20
	soakPeersMax  = 50
	soakLossMax   = 0.02
	soakJitterMax = 50 // milliseconds
	soakLiarsMax  = 2
	soakMinutes   = 3 // of mixed faults, at most
	// soakScenario is what most of the runs are.
	soakScenario = "mixed-faults"
	// soakStall is when a run whose time stands still is given up: they are short.
	soakStall = 3 * time.Minute
)

// soak makes random runs until its time is over or enough have failed.
func (c cli) soak(ctx context.Context, args []string) error {
	s := soaking{cli: c, jobs: 1, failuresMax: 1}
	s.stall = min(s.stall, soakStall)
	var seed uint64
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	set.Float64Var(&s.minutes, "minutes", 10, "of the clock, after which no other run begins")
	set.Uint64Var(&seed, "seed", rand.Uint64()>>1, "of the choice of runs; random unless it is given")
	set.IntVar(&s.runsMax, "runs", 0, "most `runs`; 0 is as many as there is time for")
	set.IntVar(&s.jobs, "jobs", s.jobs, "runs at once")
	set.IntVar(&s.failuresMax, "failures", s.failuresMax, "of so many `runs`, after which no other begins")
	set.BoolVar(&s.exact, "det", false, "runs that repeat to the bit, and wrong clocks, with a patched Go runtime")
	s.o.flags(set)
	rest, err := c.parse(set, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Errorf("soak: unexpected %q", rest[0])}
	case !(s.minutes > 0) || s.runsMax < 0 || s.jobs < 1 || s.failuresMax < 1:
		return usageError{errors.New("soak: want more than 0 minutes, no fewer than 0 runs, and 1 job and failure at least")}
	}
	if err := s.o.check(); err != nil {
		return err
	}
	var remove func()
	s.cli, remove, err = s.prepared(ctx, s.exact)
	defer remove()
	if err != nil {
		return err
	}
	s.rng = rand.New(rand.NewPCG(seed, 0))
	s.began = time.Now()
	fmt.Fprintf(c.out, "soak -seed %d, %v\n", seed, time.Duration(s.minutes*float64(time.Minute)))
	return s.run(ctx)
}

// soaking is a soak.
type soaking struct {
	cli
	o                          outputs
	minutes                    float64
	runsMax, jobs, failuresMax int
	exact                      bool
	began                      time.Time

	mu     sync.Mutex // guards the following
	rng    *rand.Rand
	begun  int
	ended  int
	times  map[string]int // runs, by scenario
	held   float64        // seconds of networks
	cpu    float64        // seconds
	failed []error
}

func (s *soaking) run(ctx context.Context) error {
	var tasks sync.WaitGroup
	for range s.jobs {
		tasks.Go(func() {
			for number, j, more := s.next(ctx); more; number, j, more = s.next(ctx) {
				s.one(ctx, number, j)
			}
		})
	}
	tasks.Wait()
	return s.end()
}

// next chooses a run, unless it is time to end.
func (s *soaking) next(ctx context.Context) (number int, j job, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := time.Since(s.began) >= time.Duration(s.minutes*float64(time.Minute))
	if ctx.Err() != nil || over || s.runsMax > 0 && s.begun >= s.runsMax || len(s.failed) >= s.failuresMax {
		return 0, job{}, false
	}
	j = randomJob(s.rng)
	j.exact = s.exact
	if !s.o.force {
		if err := enoughMemory(j, s.jobs, availableMB()); err != nil {
			s.failed = append(s.failed, err)
			return 0, job{}, false
		}
	}
	s.begun++
	return s.begun, j, true
}

func (s *soaking) one(ctx context.Context, number int, j job) {
	run, trace := s.supervised(ctx, j, &progress{})
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%4d  %s  loss %s, jitter %s\n", number, runLine(run), j.values["loss"], j.values["jitter"])
	s.note(run)
	if run.Result != measure.Passed {
		o := s.o
		if o.dir != "" {
			o.dir = filepath.Join(o.dir, fmt.Sprint("run-", number))
		}
		s.failed = append(s.failed, errors.Join(failure(run), o.keep(run, trace)))
	}
}

// note counts a run that has ended.
func (s *soaking) note(run report.Run) {
	s.ended++
	if s.times == nil {
		s.times = make(map[string]int)
	}
	s.times[run.Scenario]++
	s.held += run.TimeS
	s.cpu += run.CPUS
}

// end sums up.
func (s *soaking) end() error {
	fmt.Fprintf(s.out, "%d runs", s.ended)
	if n := s.times[soakScenario]; n > 0 {
		fmt.Fprintf(s.out, ", %d of them %s", n, soakScenario)
	}
	fmt.Fprintf(s.out, "; %.1f h of networks in %v, %.0f CPU s\n", s.held/3600, time.Since(s.began).Round(time.Second), s.cpu)
	if len(s.failed) == 0 {
		fmt.Fprintln(s.out, "all invariants held")
		return nil
	}
	return errors.Join(s.failed...)
}

// randomJob is mixed faults three times of four, and else any scenario, with few
// peers on bad lines.
func randomJob(rng *rand.Rand) job {
	all := scenario.All()
	j := job{
		scenario: all[rng.IntN(len(all))],
		peers:    soakPeersMin + rng.IntN(soakPeersMax-soakPeersMin+1),
		seed:     rng.Uint64() >> 1, // other tools read it as a signed number
		values: map[string]string{
			"loss":   strconv.FormatFloat(float64(rng.IntN(int(soakLossMax*1000)+1))/1000, 'g', -1, 64),
			"jitter": fmt.Sprint(rng.IntN(soakJitterMax+1), "ms"),
		},
	}
	liars, minutes := rng.IntN(soakLiarsMax+1), 1+rng.IntN(soakMinutes)
	if mixed, err := scenario.Find(soakScenario); err == nil && rng.IntN(4) > 0 {
		j.scenario = mixed
		j.values["liars"], j.values["minutes"] = strconv.Itoa(liars), strconv.Itoa(minutes)
	}
	return j
}
