package main

import (
	"context"
	"errors"
	"fmt"

	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

var errStalled = errors.New("the network's time stands still")

// supervised runs a job in a process of its own. Whatever becomes of it, the run has
// what was measured until then.
func (c cli) supervised(ctx context.Context, j job, show *progress) (run report.Run, trace string) {
	run = report.Run{Run: j.record(), Doc: j.scenario.Doc, Values: measure.New()}
	args, exact := c.childArgs(ctx, j) // may have to be built first
	run.Exact = exact || j.onMachines()
	s := supervisor{run: &run, show: show, stall: c.stall}
	more, remove, err := j.provision(ctx)
	run.Began = time.Now()
	show.began = run.Began
	if err == nil {
		trace, err = s.watch(ctx, append(args, more...), exact)
	}
	err = errors.Join(err, remove())
	show.done()
	run.WallS = time.Since(run.Began).Seconds()
	run.Measures, run.Graphs, run.Bounds, run.Dropped = run.Values.Summaries(), run.Values.Graphs(), run.Values.Bounds(), run.Values.Dropped()
	run.Hash = s.end.Hash
	switch {
	case run.Result == measure.Panicked:
	case ctx.Err() != nil:
		run.Result, run.Error = measure.Interrupted, "interrupted"
	case err != nil:
		run.Result, run.Error = measure.Failed, err.Error()
	case s.end.Error != "":
		run.Result, run.Error = measure.Failed, s.end.Error
	default:
		run.Result = measure.Passed
		if err := j.checkMemory(run.PeakMB); err != nil {
			run.Result, run.Error = measure.Failed, err.Error()
		}
	}
	return run, trace
}

// childArgs is the command line of a job's process. A runtime that the seed decides
// is another program; where that cannot be had, exact is false.
func (c cli) childArgs(ctx context.Context, j job) (args []string, exact bool) {
	args = slices.Clone(c.child)
	if j.exact {
		built := c.built
		if built == nil {
			if built = build(ctx); built.err != nil {
				c.notExact(built.err)
			}
		}
		if exact = built.err == nil; exact {
			args = []string{built.path, childCommand}
		}
	}
	return append(args, j.args()...), exact
}

// supervisor follows one process.
type supervisor struct {
	run   *report.Run
	show  *progress
	stall time.Duration
	ended bool
	end   event
	beats atomic.Int64 // events of which the network's time went on
}

// watch starts a process, hears it to its end, and notes what it said. An error is
// about the process, not about what it found.
func (s *supervisor) watch(ctx context.Context, args []string, exact bool) (trace string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GODEBUG="+withDebug("tracebacklabels=1,adaptivestackstart=0"))
	if exact {
		cmd.Env = det.Environ(cmd.Env)
	}
	cmd.Cancel = func() error { return s.stop(ctx, cmd) }
	cmd.WaitDelay = 5 * time.Second
	said := new(tail)
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("start run: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start run: %w", err)
	}
	watched := make(chan struct{})
	go func() { defer close(watched); s.stalled(ctx, cancel) }()
	errHear := hear(out, s.value, s.tell, s.show.note)
	if errHear != nil {
		cancel(errHear)
	}
	err = cmd.Wait()
	cause := context.Cause(ctx)
	cancel(nil)
	<-watched
	s.used(cmd)
	return string(said.text), s.judge(string(said.text), cause, errors.Join(errHear, err))
}

// stop ends the process; one that hangs says where.
func (s *supervisor) stop(ctx context.Context, cmd *exec.Cmd) error {
	if runtime.GOOS != "windows" && errors.Is(context.Cause(ctx), errStalled) {
		return cmd.Process.Signal(syscall.SIGQUIT)
	}
	if s.run.Procs && cmd.Process.Signal(syscall.SIGTERM) == nil {
		return nil // it takes its daemons along
	}
	return cmd.Process.Kill()
}

// stalled cancels a run whose time stands still.
func (s *supervisor) stalled(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(s.stall)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.beats.Load()
		if now == last {
			cancel(fmt.Errorf("%w, for %v of the clock", errStalled, s.stall))
			return
		}
		last = now
	}
}

func (s *supervisor) tell(e event) {
	if e.Messages != nil {
		s.run.Messages = e.Messages
	}
	if at := e.At.Seconds(); at > s.run.TimeS {
		s.run.TimeS = at
		s.beats.Add(1)
	}
	switch {
	case e.End:
		s.ended, s.end = true, e
	case e.Graph != nil:
		s.run.Values.AddGraph(*e.Graph)
	case e.Bound != nil:
		s.run.Values.AddBound(*e.Bound)
	case e.Text != "":
		s.show.log(e.At, e.Text)
	default:
		s.show.tick(e.At, e.Up)
	}
}

// judge tells what has ended the process, if it is not the end of the run.
func (s *supervisor) judge(said string, cause, err error) error {
	if errors.Is(cause, errStalled) {
		s.run.Trace = busy(said)
		return cause
	}
	if c, ok := readTrace(said); ok && err != nil && cause == nil {
		s.run.Result, s.run.Error, s.run.Peer, s.run.Trace = measure.Panicked, c.what, c.peer, c.short
		if s.end.Error != "" {
			s.run.Error = s.end.Error + "; then: " + c.what
		}
		return nil
	}
	if rest := strings.TrimSpace(said); rest != "" {
		s.show.note(rest)
	}
	switch {
	case s.ended:
		return nil
	case cause != nil:
		return cause
	case err != nil && strings.Contains(err.Error(), "signal: killed"):
		return errors.New("the run was killed from outside: there may be too little memory")
	case err != nil:
		return fmt.Errorf("the run ended early: %w", err)
	default:
		return errors.New("the run ended without a word")
	}
}

// used notes what the process has cost.
func (s *supervisor) used(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		return
	}
	s.run.CPUS = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.run.PeakMB = peakMB(u)
	}
}

// peakMB is the most memory that a process had.
func peakMB(u *syscall.Rusage) float64 {
	if runtime.GOOS == "darwin" {
		return float64(u.Maxrss) / 1e6
	}
	return float64(u.Maxrss) / 1e3
}

// withDebug adds a setting to those that Go programs get here.
func withDebug(setting string) string {
	if have := os.Getenv("GODEBUG"); have != "" {
		return have + "," + setting
	}
	return setting
}

func (s *supervisor) value(name string, p measure.Point) {
	s.run.Values.Add(name, p.At, p.Peer, p.Value)
	s.show.values++
}
