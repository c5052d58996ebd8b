package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"

	bugs "github.com/p2pnode/p2pnode/testground/broken"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// broken builds the simulations with one mistake after the other, and shows that each
// is found by a run that passes without it.
func (c cli) broken(ctx context.Context, args []string) error {
	var only string
	set := flag.NewFlagSet("broken", flag.ContinueOnError)
	set.StringVar(&only, "only", "", "`name` of one mistake")
	rest, err := c.parse(set, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Errorf("broken: unexpected %q", rest[0])}
	}
	list, err := chooseBugs(only)
	if err != nil {
		return err
	}
	root, err := bugs.Root(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "testground-broken-")
	if err != nil {
		return fmt.Errorf("broken: %w", err)
	}
	defer os.RemoveAll(dir)
	c.stall = min(c.stall, soakStall)
	whole := make(map[string]report.Run) // runs without a mistake, by their command
	var missed []error
	for _, b := range list {
		if err := c.breakOnce(ctx, b, root, dir, whole); err != nil {
			missed = append(missed, fmt.Errorf("%s: %w", b.Name, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fmt.Fprintf(c.out, "%d of %d mistakes are found\n", len(list)-len(missed), len(list))
	return errors.Join(missed...)
}

func chooseBugs(only string) ([]bugs.Bug, error) {
	all := bugs.All()
	if only == "" {
		return all, nil
	}
	var names []string
	for _, b := range all {
		if b.Name == only {
			return []bugs.Bug{b}, nil
		}
		names = append(names, b.Name)
	}
	return nil, usageError{fmt.Errorf("broken: no mistake %q; did you mean %s?", only, scenario.Nearest(only, names))}
}

// breakOnce builds a mistake and runs it until it is found.
func (c cli) breakOnce(ctx context.Context, b bugs.Bug, root, dir string, whole map[string]report.Run) error {
	binary, err := b.Build(ctx, root, dir)
	if err != nil {
		return err
	}
	defer os.Remove(binary)
	j, err := bugJob(b)
	if err != nil {
		return err
	}
	for tries := max(b.Tries, 1); tries > 0 && ctx.Err() == nil; tries-- {
		found, err := c.breakSeed(ctx, b, j, binary, whole)
		if found || err != nil {
			return err
		}
		j.seed++
	}
	return errors.New("it is not found")
}

// breakSeed runs a mistake's job without and with it.
func (c cli) breakSeed(ctx context.Context, b bugs.Bug, j job, binary string, whole map[string]report.Run) (found bool, err error) {
	run, known := whole[j.String()]
	if !known {
		run, _ = c.supervised(ctx, j, &progress{})
		whole[j.String()] = run
	}
	if run.Result != measure.Passed {
		return false, fmt.Errorf("it fails without the mistake, too: %w", failure(run))
	}
	mistaken := c
	mistaken.child = []string{binary, childCommand}
	run, _ = mistaken.supervised(ctx, j, &progress{})
	fmt.Fprintf(c.out, "%-22s %s\n    %s\n    %s\n", b.Name, runLine(run), b.Doc, firstLine(run.Error))
	if run.Result == measure.Passed {
		return false, nil
	}
	if shows, err := regexp.Compile(b.Shows); err != nil || !shows.MatchString(run.Error+run.Trace) {
		return true, fmt.Errorf("what is found is not %q but: %w", b.Shows, failure(run))
	}
	return true, nil
}

func bugJob(b bugs.Bug) (job, error) {
	s, err := scenario.Find(b.Scenario)
	if err != nil {
		return job{}, err
	}
	j := job{scenario: s, peers: b.Peers, seed: b.Seed, values: maps.Clone(b.Set)}
	return j, j.check()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
