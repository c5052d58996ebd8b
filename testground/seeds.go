package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

// runSeeds runs a job with each of several seeds, jobs at once, and tells each in one
// line. The others go on when one fails.
func (c cli) runSeeds(ctx context.Context, j job, o outputs, from, to uint64, jobs int) error {
	if jobs < 1 {
		return usageError{fmt.Errorf("-jobs: %d, want 1 at least", jobs)}
	}
	if err := errors.Join(j.check(), o.check()); err != nil {
		return err
	}
	jobs = int(min(uint64(jobs), to-from+1))
	if err := c.admit(j, o, jobs); err != nil {
		return err
	}
	b := batch{seeds: make(chan uint64)}
	var tasks sync.WaitGroup
	for range jobs {
		tasks.Go(func() {
			for seed := range b.seeds {
				b.one(ctx, c, j, o, seed)
			}
		})
	}
	for seed := from; seed <= to && ctx.Err() == nil; seed++ {
		select {
		case b.seeds <- seed:
		case <-ctx.Done():
		}
	}
	close(b.seeds)
	tasks.Wait()
	return b.end(o, int(to-from)+1)
}

// batch is what runs of several seeds have in common.
type batch struct {
	seeds chan uint64

	mu     sync.Mutex   // guards the following
	runs   []report.Run // for the page
	done   int
	failed []error
}

func (b *batch) one(ctx context.Context, c cli, j job, o outputs, seed uint64) {
	j.seed = seed
	run, trace := c.supervised(ctx, j, &progress{})
	run.Label = fmt.Sprint("seed ", seed)
	one := outputs{}
	if o.dir != "" {
		one.dir = filepath.Join(o.dir, fmt.Sprint("seed-", seed))
	}
	err := errors.Join(failure(run), one.keep(run, trace))
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintln(c.out, runLine(run))
	b.done++
	if err != nil {
		b.failed = append(b.failed, fmt.Errorf("seed %d: %w", seed, err))
	}
	if o.report != "" {
		b.show(run)
	}
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

// end draws the page and sums up.
func (b *batch) end(o outputs, all int) error {
	errs := b.failed
	slices.SortFunc(b.runs, func(x, y report.Run) int { return cmp.Compare(x.Seed, y.Seed) })
	if o.report != "" && len(b.runs) > 0 {
		errs = append(errs, draw(o.report, b.runs...))
	}
	if b.done < all {
		errs = append(errs, fmt.Errorf("%d of %d seeds have run", b.done, all))
	}
	return errors.Join(errs...)
}

// runLine is a run in one line.
func runLine(run report.Run) string {
	text := fmt.Sprintf("%-16s %4d peers  seed %-20d %8.0f s in %6.1f s  %5.0f MB  %s",
		run.Scenario, run.Peers, run.Seed, run.TimeS, run.WallS, run.PeakMB, run.Result)
	if run.Result != measure.Passed && run.Peer != "" {
		text += " (" + run.Peer + ")"
	}
	return text
}
