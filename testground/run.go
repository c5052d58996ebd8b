package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// job is one run as it was ordered.
type job struct {
	scenario scenario.Scenario
	peers    int
	seed     uint64
	values   map[string]string
}

// outcome is what came of a job.
type outcome struct {
	Scenario string            `json:"scenario"`
	Peers    int               `json:"peers"`
	Seed     uint64            `json:"seed"`
	Params   map[string]string `json:"params"`
	Error    string            `json:"error,omitempty"`
	TimeS    float64           `json:"time_s"` // of the network
	WallS    float64           `json:"wall_s"`
	CPUS     float64           `json:"cpu_s"`
	PeakMB   float64           `json:"peak_mb"`
	Measures []measure.Summary `json:"measures"`

	recorder *measure.Recorder
}

func runCommand(ctx context.Context, t *testing.T, args []string, out, errs io.Writer) error {
	j, err := parseJob(args, errs)
	if err != nil {
		return err
	}
	o := bubble(ctx, t, j, errs)
	fmt.Fprintf(out, "%s, %d peers, seed %d: %.0f s of the network in %.1f s (%.1f×), %.1f CPU s, %.0f MB\n\n",
		o.Scenario, o.Peers, o.Seed, o.TimeS, o.WallS, o.TimeS/max(o.WallS, 0.001), o.CPUS, o.PeakMB)
	if err := measure.WriteTable(out, o.Measures); err != nil {
		return err
	}
	if o.Error != "" {
		return fmt.Errorf("%s\nonce more: go run ./testground run %s", o.Error, j)
	}
	return nil
}

// String is the command line of the job.
func (j job) String() string {
	s := fmt.Sprintf("%s -peers %d -seed %d", j.scenario.Name, j.peers, j.seed)
	for _, name := range slices.Sorted(maps.Keys(j.values)) {
		s += fmt.Sprintf(" -set %s=%s", name, j.values[name])
	}
	return s
}

func parseJob(args []string, errs io.Writer) (job, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return job{}, usageError{errors.New("run: want a scenario; testground list has them")}
	}
	s, err := scenario.Find(args[0])
	if err != nil {
		return job{}, usageError{err}
	}
	j := job{scenario: s, values: make(map[string]string)}
	flags := flag.NewFlagSet("run "+s.Name, flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.IntVar(&j.peers, "peers", s.Peers, "how many")
	flags.Uint64Var(&j.seed, "seed", 1, "of all random choices")
	flags.Func("set", "parameter as name=value; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want name=value")
		}
		j.values[name] = value
		return nil
	})
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return job{}, err
	case err != nil:
		return job{}, usageError{err}
	case flags.NArg() > 0:
		return job{}, usageError{fmt.Errorf("run: unexpected %q", flags.Arg(0))}
	case j.peers < 2:
		return job{}, usageError{errors.New("run: want 2 peers at least")}
	}
	_, err = scenario.NewRun(s, nil, j.peers, j.values)
	if err != nil {
		return job{}, usageError{err}
	}
	return j, nil
}

// bubble runs a job in virtual time.
func bubble(ctx context.Context, t *testing.T, j job, log io.Writer) outcome {
	o := outcome{Scenario: j.scenario.Name, Peers: j.peers, Seed: j.seed, Params: j.values}
	began := wallTime()
	// The bubble cannot be told from outside, and has nothing to keep.
	defer context.AfterFunc(ctx, func() { os.Exit(exitInterrupted) })()
	synctest.Test(t, func(t *testing.T) { j.run(t.Context(), &o, log, began) })
	o.WallS = (wallTime() - began).Seconds()
	o.CPUS, o.PeakMB = used()
	if o.recorder != nil {
		o.Measures = o.recorder.Summaries()
	}
	return o
}

// run is the job inside of the bubble.
func (j job) run(ctx context.Context, o *outcome, log io.Writer, began time.Duration) {
	net := sim.New(sim.Config{Seed: j.seed})
	r, err := scenario.NewRun(j.scenario, net, j.peers, j.values)
	if err != nil {
		o.Error = err.Error()
		net.Close()
		return
	}
	o.recorder, o.Params = r.Measure, r.Values()
	r.Logf = func(format string, args ...any) {
		fmt.Fprintf(log, "%8.1fs  %s (%.1f s of the clock)\n", net.Age().Seconds(), fmt.Sprintf(format, args...), (wallTime() - began).Seconds())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, j.scenario.TimeMax, fmt.Errorf("%s has not ended after %v", j.scenario.Name, j.scenario.TimeMax))
	defer cancel()
	err = j.scenario.Run(ctx, r)
	if err == nil {
		err = r.Check()
	}
	o.TimeS = net.Age().Seconds()
	if err := errors.Join(err, net.Close()); err != nil {
		o.Error = err.Error()
	}
}

// wallTime is the machine's clock, which a bubble does not stop.
func wallTime() time.Duration {
	var tv syscall.Timeval
	if syscall.Gettimeofday(&tv) != nil {
		return 0 // it has no way to fail
	}
	return time.Duration(tv.Nano())
}

// used is the processor time of the process, in seconds, and its memory at most,
// in MB.
func used() (cpuS, peakMB float64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, float64(u.Maxrss) / 1000
}
