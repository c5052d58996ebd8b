package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
	"github.com/p2pnode/p2pnode/testground/wiretap"
)

// outputs say where a run is kept.
type outputs struct {
	dir    string // run.json, series.csv and trace.txt; none if empty
	report string // HTML; none if empty
	force  bool   // without an estimate of memory
}

func (o *outputs) flags(set *flag.FlagSet) {
	set.StringVar(&o.dir, "out", "", "`folder` for run.json and series.csv")
	set.StringVar(&o.report, "report", "", "`file` for a page with plots")
	set.BoolVar(&o.force, "force", false, "run even if memory may not be enough")
}

// check finds out before a run, not after it, that there is nowhere to write to.
func (o outputs) check() error {
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o777); err != nil {
			return usageError{fmt.Errorf("-out: %w", err)}
		}
	}
	if o.report != "" {
		if err := measure.WriteFile(o.report, func(io.Writer) error { return nil }); err != nil {
			return usageError{fmt.Errorf("-report: %w", err)}
		}
	}
	return nil
}

func (c cli) run(ctx context.Context, args []string) error {
	j, err := findJob("run", args)
	if err != nil {
		return err
	}
	var o outputs
	var m many
	set := flag.NewFlagSet("run", flag.ContinueOnError)
	j.flags(set)
	o.flags(set)
	m.flags(set)
	if strings.HasPrefix(args[0], "-") {
		_, err := c.parse(set, args)
		return err
	}
	rest, err := c.parse(set, args[1:])
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError{fmt.Errorf("run: unexpected %q", rest[0])}
	}
	j.fewDaemons(set)
	all, err := m.variants(j)
	switch {
	case err != nil:
		return err
	case len(all) == 0:
		return c.runOne(ctx, j, o)
	case m.times > 0:
		return c.runMany(ctx, all, o, m.jobs, c.same)
	default:
		return c.runMany(ctx, all, o, m.jobs, nil)
	}
}

// runOne runs a job and keeps it.
func (c cli) runOne(ctx context.Context, j job, o outputs) error {
	if err := errors.Join(j.check(), o.check()); err != nil {
		return err
	}
	if err := c.admit(j, o, 1); err != nil {
		return err
	}
	if j.real {
		fmt.Fprintln(c.errs, "in real time: latencies are also those of this machine, and the busier it is, the longer")
	}
	run, trace := c.supervised(ctx, j, c.progress(j))
	// First of all, for to print may end this process: nobody may be reading.
	kept := o.keep(run, trace)
	fmt.Fprintf(c.out, "%s, %d peers, seed %d: %.0f s of the network in %.1f s (%.1f×), %.1f CPU s, %.0f MB\n\n",
		run.Scenario, run.Peers, run.Seed, run.TimeS, run.WallS, run.TimeS/max(run.WallS, 0.001), run.CPUS, run.PeakMB)
	err := measure.WriteTable(c.out, run.Measures)
	fmt.Fprintln(c.out)
	err = errors.Join(err, run.Values.WriteBounds(c.out))
	c.messages(run.Messages)
	if run.Exact && run.Hash != "" {
		fmt.Fprintln(c.out, "\nhash", run.Hash)
	}
	return errors.Join(failure(run), err, kept)
}

// messages prints what was sent, a line for each protocol.
func (c cli) messages(all []wiretap.Count) {
	for i, m := range all {
		if i == 0 || m.Protocol != all[i-1].Protocol {
			fmt.Fprintf(c.out, "\n%s:", m.Protocol)
		} else {
			fmt.Fprint(c.out, ",")
		}
		fmt.Fprintf(c.out, " %s %d", m.Type, m.Count)
	}
	if len(all) > 0 {
		fmt.Fprintln(c.out)
	}
}

// failure is what a run has found, and how it is found once more.
func failure(run report.Run) error {
	switch run.Result {
	case measure.Passed:
		return nil
	case measure.Interrupted:
		return errors.New("interrupted; what was measured until then is kept")
	case measure.Panicked:
		who := "a goroutine of no peer in particular"
		if run.Peer != "" {
			who = run.Peer
		}
		return fmt.Errorf("%s, after %.0f s of the network: %s\n%s\nonce more: %s", who, run.TimeS, run.Error, run.Trace, run.Command)
	default:
		return fmt.Errorf("%s\nonce more: %s", run.Error, run.Command)
	}
}

// keep writes a run, whatever came of it.
func (o outputs) keep(run report.Run, trace string) error {
	var errs []error
	if o.dir != "" {
		errs = append(errs, measure.Save(o.dir, run.Run, run.Values))
		name := filepath.Join(o.dir, "trace.txt")
		if run.Trace != "" {
			errs = append(errs, os.WriteFile(name, []byte(trace), 0o666))
		} else if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err) // of a run before this one
		}
	}
	if o.report != "" {
		errs = append(errs, draw(o.report, run))
	}
	return errors.Join(errs...)
}

func draw(name string, runs ...report.Run) error {
	return measure.WriteFile(name, func(w io.Writer) error { return report.Write(w, runs...) })
}

// parseRange reads 1..20, or one number, of a flag.
func parseRange(flag, text string) (from, to uint64, err error) {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		last = first
	}
	from, errFrom := strconv.ParseUint(first, 10, 64)
	to, errTo := strconv.ParseUint(last, 10, 64)
	switch {
	case errFrom != nil || errTo != nil:
		return 0, 0, usageError{fmt.Errorf("-%s: %q is not a range such as 1..20", flag, text)}
	case to < from || to-from >= seedsMax:
		return 0, 0, usageError{fmt.Errorf("-%s: %s has %d of them, want 1 to %d", flag, text, int64(to-from)+1, seedsMax)}
	}
	return from, to, nil
}

// seedsMax is how many runs one command makes.
const seedsMax = 10_000
