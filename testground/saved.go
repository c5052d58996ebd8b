package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

// replay runs once more what was saved.
func (c cli) replay(ctx context.Context, args []string) error {
	var o outputs
	set := flag.NewFlagSet("replay", flag.ContinueOnError)
	o.flags(set)
	rest, err := c.parse(set, args)
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return usageError{errors.New("replay: want one run: its folder, or its run.json")}
	}
	run, _, err := measure.LoadRun(rest[0])
	if err != nil {
		return usageError{err}
	}
	j, err := jobOf(run)
	if err != nil {
		return usageError{fmt.Errorf("replay %s: %w", rest[0], err)}
	}
	fmt.Fprintln(c.errs, j)
	for name, was := range run.Versions {
		if now := versions()[name]; now != was {
			fmt.Fprintf(c.errs, "%s was %s and is %s\n", name, was, now)
		}
	}
	return c.runOne(ctx, j, o)
}

// compare shows saved runs side by side.
func (c cli) compare(_ context.Context, args []string) error {
	var page string
	set := flag.NewFlagSet("compare", flag.ContinueOnError)
	set.StringVar(&page, "report", "", "`file` for a page with plots")
	paths, err := c.parse(set, args)
	switch {
	case err != nil:
		return err
	case len(paths) < 2 || len(paths) > report.RunsMax:
		return usageError{fmt.Errorf("compare: %d runs, want 2 to %d: folders, or their run.json", len(paths), report.RunsMax)}
	}
	var runs []report.Run
	labels := labelsOf(paths)
	for i, path := range paths {
		run, values, err := measure.Load(path)
		if err != nil {
			return usageError{err}
		}
		runs = append(runs, report.Run{Run: run, Label: labels[i], Values: values})
		fmt.Fprintf(c.out, "%s: %s, %d peers, seed %d, %s: %.0f s of the network in %.1f s, %.1f CPU s, %.0f MB\n",
			labels[i], run.Scenario, run.Peers, run.Seed, run.Result, run.TimeS, run.WallS, run.CPUS, run.PeakMB)
	}
	fmt.Fprintln(c.out)
	if err := report.WriteComparison(c.out, runs...); err != nil {
		return err
	}
	if page != "" {
		return draw(page, runs...)
	}
	return nil
}

// labelsOf names runs by their folders, or by letters if these are alike.
func labelsOf(paths []string) []string {
	labels := make([]string, len(paths))
	seen := make(map[string]bool)
	for i, path := range paths {
		path = strings.TrimSuffix(filepath.Clean(path), string(filepath.Separator)+measure.RunFile)
		labels[i] = filepath.Base(path)
		if base := labels[i]; seen[base] || base == "." || base == measure.RunFile {
			for k := range labels {
				labels[k] = string(rune('A' + k))
			}
			return labels
		}
		seen[labels[i]] = true
	}
	return labels
}
