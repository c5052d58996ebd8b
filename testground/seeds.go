package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

// many says which runs of one job are made.
type many struct {
	seeds     string // a range
	schedules string // a range
	times     int
	jobs      int // at once
}

func (m *many) flags(set *flag.FlagSet) {
	set.StringVar(&m.seeds, "seeds", "", "`range` of seeds, such as 1..20, instead of one: a run for each")
	set.StringVar(&m.schedules, "schedules", "", "with -det: `range` of schedules, such as 1..20: a run for each, of one network")
	set.IntVar(&m.times, "times", 0, "`runs` with the same seed, which are then compared: what is exact must be the same")
	set.IntVar(&m.jobs, "jobs", 1, "with any of these: runs at once")
}

// variant is one run of several.
type variant struct {
	job
	label string // "seed 4"
}

// variants are the runs to make of a job; none if it is one run.
func (m many) variants(j job) ([]variant, error) {
	asked := 0
	for _, is := range []bool{m.seeds != "", m.schedules != "", m.times != 0} {
		if is {
			asked++
		}
	}
	var all []variant
	add := func(label string, i uint64, j job) { all = append(all, variant{j, fmt.Sprint(label, " ", i)}) }
	switch {
	case asked > 1:
		return nil, usageError{errors.New("-seeds, -schedules and -times: want one of them")}
	case m.jobs < 1:
		return nil, usageError{fmt.Errorf("-jobs: %d, want 1 at least", m.jobs)}
	case m.times < 0 || m.times == 1 || m.times > seedsMax:
		return nil, usageError{fmt.Errorf("-times: %d, want 2 to %d", m.times, seedsMax)}
	case m.schedules != "" && !j.exact:
		return nil, usageError{errors.New("-schedules needs -det")}
	}
	for i := range uint64(m.times) {
		add("run", i+1, j)
	}
	for flag, text := range map[string]string{"seeds": m.seeds, "schedules": m.schedules} {
		if text == "" {
			continue
		}
		from, to, err := parseRange(flag, text)
		if err != nil {
			return nil, err
		}
		for i := from; i-from <= to-from; i++ {
			one := j
			if flag == "seeds" {
				one.seed = i
			} else {
				one.schedule = i
			}
			add(flag[:len(flag)-1], i, one)
		}
	}
	return all, nil
}

// runMany makes several runs, jobs at once, and tells each in one line. The others go
// on when one fails.
func (c cli) runMany(ctx context.Context, all []variant, o outputs, jobs int, judge func([]report.Run) error) error {
	if err := errors.Join(all[0].check(), o.check()); err != nil {
		return err
	}
	jobs = min(jobs, len(all))
	if err := c.admit(all[0].job, o, jobs); err != nil {
		return err
	}
	c, remove, err := c.prepared(ctx, all[0].exact)
	if err != nil {
		c.notExact(err)
	}
	defer remove()
	b := batch{variants: make(chan variant)}
	var tasks sync.WaitGroup
	for range jobs {
		tasks.Go(func() {
			for v := range b.variants {
				b.one(ctx, c, v, o)
			}
		})
	}
	for _, v := range all {
		if ctx.Err() != nil {
			break
		}
		select {
		case b.variants <- v:
		case <-ctx.Done():
		}
	}
	close(b.variants)
	tasks.Wait()
	return b.end(o, len(all), judge)
}

// batch is what several runs have in common.
type batch struct {
	variants chan variant

	mu     sync.Mutex   // guards the following
	runs   []report.Run // for the page
	done   []report.Run // all, in short
	failed []error
}

func (b *batch) one(ctx context.Context, c cli, v variant, o outputs) {
	run, trace := c.supervised(ctx, v.job, &progress{})
	run.Label = v.label
	one := outputs{}
	if o.dir != "" {
		one.dir = filepath.Join(o.dir, strings.ReplaceAll(v.label, " ", "-"))
	}
	err := errors.Join(failure(run), one.keep(run, trace))
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintln(c.out, runLine(run))
	if err != nil {
		b.failed = append(b.failed, fmt.Errorf("%s: %w", v.label, err))
	}
	if o.report != "" {
		b.show(run)
	}
	run.Values, run.Graphs = nil, nil // there may be very many runs
	b.done = append(b.done, run)
}

// show takes a run for the page. There is not room for all; those that did not pass
// go first.
func (b *batch) show(run report.Run) {
	if len(b.runs) < report.RunsMax {
		b.runs = append(b.runs, run)
		return
	}
	dull := slices.IndexFunc(b.runs, func(r report.Run) bool { return r.Result == measure.Passed })
	if dull >= 0 && run.Result != measure.Passed {
		b.runs[dull] = run
	}
}

// end draws the page, has the runs judged if all have passed, and sums up.
func (b *batch) end(o outputs, all int, judge func([]report.Run) error) error {
	errs := b.failed
	order := func(x, y report.Run) int {
		return cmp.Or(cmp.Compare(x.Seed, y.Seed), cmp.Compare(x.Schedule, y.Schedule), cmp.Compare(len(x.Label), len(y.Label)), strings.Compare(x.Label, y.Label))
	}
	slices.SortFunc(b.runs, order)
	slices.SortFunc(b.done, order)
	if o.report != "" && len(b.runs) > 0 {
		errs = append(errs, draw(o.report, b.runs...))
	}
	switch {
	case len(b.done) < all:
		errs = append(errs, fmt.Errorf("%d of %d runs were made", len(b.done), all))
	case len(b.failed) == 0 && judge != nil:
		errs = append(errs, judge(b.done))
	}
	return errors.Join(errs...)
}

// runLine is a run in one line.
func runLine(run report.Run) string {
	text := fmt.Sprintf("%-16s %4d peers  seed %-20d %8.0f s in %6.1f s  %5.0f MB  %s",
		run.Scenario, run.Peers, run.Seed, run.TimeS, run.WallS, run.PeakMB, run.Result)
	if run.Schedule != 0 {
		text += fmt.Sprintf("  schedule %d", run.Schedule)
	}
	if run.Result != measure.Passed && run.Peer != "" {
		text += " (" + run.Peer + ")"
	}
	return text
}
