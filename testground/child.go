package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/procs"
	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	// childCommand is the command by which a run's process is started.
	childCommand = "child"

	// graceTime is how long a run may take to end after it was told to, in the
	// network's time.
	graceTime = 10 * time.Minute

	tickTime = time.Second            // of the network
	tellTime = 100 * time.Millisecond // of the clock
	// settledTime is how long all peers have run when the first picture is taken.
	settledTime = 15 * time.Second
)

// child is a run's process: it runs a job, in a bubble unless in real time, and tells
// its parent.
func child(t *testing.T, args []string, out, errs io.Writer) int {
	// An interrupt is for the parent, which ends this process.
	signal.Ignore(os.Interrupt)
	defer dumpOnQuit(errs)()
	j, err := parseJob(args, errs)
	if err != nil {
		fmt.Fprintln(errs, "testground:", err)
		return exitUsage
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(j.gcPercent())
	}
	stopProfile, err := j.startProfile()
	if err != nil {
		fmt.Fprintln(errs, "testground:", err)
		return exitFailed
	}
	defer stopProfile()
	if j.onMachines() { // they have a world's time
		j.runMachines(&teller{to: out})
		return exitOK
	}
	det.Seed(t, j.seed, j.schedule)
	run := func(t *testing.T) { j.run(t.Context(), &teller{to: out}) }
	if j.real || j.procs {
		run(t)
	} else {
		synctest.Test(t, run)
	}
	return exitOK
}

// startProfile begins the CPU profile that the job asks for, if it does.
func (j job) startProfile() (stop func(), err error) {
	if j.profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(j.profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is cut off says so when it is read
	}, nil
}

// dumpOnQuit has the process end with the stacks of all goroutines when it is told to
// quit. The runtime's own dump leaves out the ones that run, which are of interest. The
// result takes that back.
//
// A run that is exact makes do with the runtime's: to wait for a signal takes a thread,
// and when threads begin and end is up to the machine.
func dumpOnQuit(to io.Writer) (stop func()) {
	if det.Exact {
		return func() {}
	}
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		if _, told := <-quit; told {
			stacks := make([]byte, traceMax)
			to.Write(stacks[:runtime.Stack(stacks, true)]) // it ends either way
			os.Exit(exitFailed)
		}
	}()
	return func() { signal.Stop(quit); close(quit) }
}

// run is the job inside of the bubble, if its time is virtual.
func (j job) run(ctx context.Context, tell *teller) {
	r, closeNet, err := j.stage(tell)
	if err != nil {
		tell.event(event{End: true, Error: err.Error()})
		return
	}
	net := r.Net
	r.Measure.Follow(tell)
	r.Logf = func(format string, args ...any) {
		tell.event(event{At: net.Age(), Text: fmt.Sprintf(format, args...)})
	}
	limit := j.scenario.TimeMax
	if j.limit > 0 {
		limit = j.limit
	}
	watching, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	w := watch{net: net, run: r, tell: tell, limit: limit + graceTime}
	tasks.Go(func() { w.loop(watching) })

	over := fmt.Errorf("%s has not ended after %v of the network", j.scenario.Name, limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, over)
	err = j.scenario.Run(ctx, r)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w: %w", over, err)
	}
	cancel()
	if err == nil {
		err = r.Check()
	}
	at := net.Age()
	if len(r.Measure.Graphs()) < 2 {
		r.Measure.AddGraph(graphOf(net, "at the end"))
	}
	err = errors.Join(err, closeNet())
	stop()
	tasks.Wait()
	end := event{At: at, End: true, Messages: net.Messages(), Hash: fmt.Sprintf("%x-%x", net.Fabric().Trace(), det.State())}
	if err != nil {
		end.Error = err.Error()
	}
	tell.event(end)
}

// stage makes the network of the job, and what is about to happen in it.
func (j job) stage(tell *teller) (r *scenario.Run, closeNet func() error, err error) {
	medium, err := sim.MediumOf(j.medium())
	var ground *procs.Ground
	if err == nil && j.procs {
		ground, err = j.ground(tell)
	}
	if err != nil {
		return nil, nil, err
	}
	if ground != nil {
		medium = ground.Medium
	}
	net := sim.New(sim.Config{Seed: j.seed, Medium: medium})
	r, err = scenario.NewRun(j.scenario, net, j.peers, j.values)
	if err != nil {
		return nil, nil, errors.Join(err, net.Close())
	}
	if ground == nil {
		return r, net.Close, nil
	}
	r.Daemon = ground.Start
	return r, func() error {
		weigh(ground, r)
		return errors.Join(net.Close(), ground.Died())
	}, nil
}

// watch tells how far a run is, and ends one that does not end.
type watch struct {
	net   *sim.Network
	run   *scenario.Run
	tell  *teller
	limit time.Duration
}

func (w watch) loop(ctx context.Context) {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	told, upSince, pictured := time.Duration(0), time.Duration(-1), false
	sampled := newSampler(w)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at, up := w.net.Age(), len(w.net.Up())
		if at > w.limit {
			w.tell.event(event{At: at, End: true, Error: fmt.Sprintf("the scenario does not end: %v after it was to, it is still there", graceTime)})
			os.Exit(exitFailed)
		}
		// Most run, for some may never: those that are down from the start.
		if !pictured && up*10 >= w.run.Peers*9 {
			if upSince < 0 {
				upSince = at
			}
			if pictured = at-upSince >= settledTime; pictured && len(w.run.Measure.Graphs()) == 0 {
				w.run.Measure.AddGraph(graphOf(w.net, "all have started"))
			}
		}
		sampled.look(at)
		// What is exact must not depend on the clock, not even in what it draws.
		if now := wallTime(); det.Exact || now-told >= tellTime {
			told = now
			w.tell.event(event{At: at, Up: up})
		}
	}
}

// graphOf is who is connected to whom now. Peers' groups are their regions.
func graphOf(net *sim.Network, name string) measure.Graph {
	g := measure.Graph{Name: name, TimeS: net.Age().Seconds()}
	number := make(map[string]int)
	peers := net.Peers()
	for _, p := range peers {
		number[p.ID().String()] = p.Number()
	}
	seen := make(map[[2]int]bool)
	for i, p := range peers {
		if !p.Runs() {
			g.Group = append(g.Group, -1)
			continue
		}
		g.Group = append(g.Group, p.Region())
		for _, id := range p.Connected() {
			k, known := number[id]
			if pair := [2]int{min(i, k), max(i, k)}; known && !seen[pair] {
				seen[pair] = true
				g.Edges = append(g.Edges, pair)
			}
		}
	}
	return g
}

// wallTime is the machine's clock, which a bubble does not stop.
func wallTime() time.Duration {
	var tv syscall.Timeval
	if syscall.Gettimeofday(&tv) != nil {
		return 0 // it has no way to fail
	}
	return time.Duration(tv.Nano())
}
