package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/p2pnode/p2pnode/testground/procs"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

const (
	// daemonsFew is how many peers are daemons unless told otherwise.
	daemonsFew = 10
	// daemonMB is what a daemon takes, in MB, as measured with 10 of them.
	daemonMB = 60
)

// checkProcs refuses what cannot be done with daemons.
func (j job) checkProcs() error {
	client := j.values["client"]
	switch {
	case !j.procs && j.daemon != "":
		return errors.New("-daemon needs -procs")
	case !j.procs:
		return nil
	case j.exact:
		return errors.New("-procs and -det: no two runs of processes are the same")
	case j.net != "" && j.medium() != "mem":
		return fmt.Errorf("-procs and -net %s: daemons talk over the kernel's own network", j.net)
	case client != "" && client != scenario.Ours:
		return fmt.Errorf("-procs and client=%s: daemons are p2pnode", client)
	case j.peers > procs.PeersMax:
		return fmt.Errorf("-procs: %d peers, want %d daemons at most", j.peers, procs.PeersMax)
	case j.scenario.Daemons == scenario.NoDaemons:
		var can []string
		for _, s := range scenario.All() {
			if s.Daemons != scenario.NoDaemons {
				can = append(can, s.Name)
			}
		}
		return fmt.Errorf("-procs: the script of %s needs more than the control API has; daemons can act %s", j.scenario.Name, strings.Join(can, ", "))
	}
	return nil
}

// fewDaemons makes a run of daemons smaller than one of nodes, if nobody has said how
// large it is to be.
func (j *job) fewDaemons(set *flag.FlagSet) {
	said := false
	set.Visit(func(f *flag.Flag) { said = said || f.Name == "peers" })
	if j.procs && !said {
		j.peers = min(j.peers, daemonsFew)
	}
}

// provision makes what a run of daemons needs: a folder for what they keep, and their
// program. It is the parent's, so that it is removed whatever ends the run.
func (j job) provision(ctx context.Context) (args []string, remove func() error, err error) {
	remove = func() error { return nil }
	if !j.procs {
		return nil, remove, nil
	}
	dir, err := os.MkdirTemp("", "testground-")
	if err != nil {
		return nil, remove, fmt.Errorf("make a folder for daemons: %w", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	args = []string{"-dir", dir}
	if j.daemon == "" {
		binary, err := procs.Build(ctx, dir)
		if err != nil {
			return nil, remove, fmt.Errorf("build p2pnode: %w", err)
		}
		args = append(args, "-daemon", binary)
	}
	return args, remove, nil
}

// ground is what the job's daemons run on. The parent ends this process by SIGTERM, and
// it takes the daemons with it.
func (j job) ground(tell *teller) (*procs.Ground, error) {
	g, err := procs.Open(procs.Options{Binary: j.daemon, Dir: j.dir, Peers: j.peers, Seed: j.seed})
	if err != nil {
		return nil, err
	}
	if why := g.Lines(); why != nil {
		if j.scenario.Daemons == scenario.LinedDaemons {
			g.Close()
			return nil, fmt.Errorf("%s changes the lines of its peers, and they have none: %w", j.scenario.Name, why)
		}
		tell.event(event{Text: fmt.Sprintf("all daemons are on loopback, without latency, rates or loss: %v", why)})
	} else {
		tell.event(event{Text: "each daemon is in a network namespace of its own"})
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		<-told
		g.Close()
		os.Exit(exitInterrupted)
	}()
	return g, nil
}

// weigh notes what the daemons have cost, and how well the machine has kept up.
func weigh(g *procs.Ground, r *scenario.Run) {
	at := r.Net.Age()
	peaks := g.PeakMB()
	for _, p := range r.Net.Peers() {
		if mb := peaks[p.ID()]; mb > 0 {
			r.Measure.Add("daemon_peak_mb", at, p.Number(), mb)
		}
	}
	if late := g.Lateness(); late.Packets > 0 {
		r.Measure.Add("packets_late_mean_s", at, -1, late.Mean().Seconds())
		r.Measure.Add("packets_late_max_s", at, -1, late.Max.Seconds())
	}
}
