package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// bench runs the trials: ours and its rivals, with every seed, and shows all in one table.
func (c cli) bench(ctx context.Context, args []string) error {
	var seeds, only, out string
	var force bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&seeds, "seeds", "1..5", "`range` of seeds: a run of each client for each")
	flags.StringVar(&only, "only", "", "trials with this `text` in their names")
	flags.StringVar(&out, "out", "", "Markdown `file`, in which the section is replaced, or added")
	flags.BoolVar(&force, "force", false, "run even if memory may not be enough")
	rest, err := c.parse(flags, args)
	if err == nil && len(rest) > 0 {
		err = usageError{fmt.Errorf("bench: unexpected %q", rest[0])}
	}
	if err != nil {
		return err
	}
	from, to, err := parseRange("seeds", seeds)
	if err != nil {
		return err
	}
	b := benchmark{seeds: seeds, only: only, from: from, to: to, force: force, ran: make(map[string]report.Run)}
	for _, ch := range chapters() {
		b.tables = append(b.tables, table{chapter: ch})
		for _, t := range ch.trials {
			if !strings.Contains(t.name, only) {
				continue
			}
			if err := c.try(ctx, &b, t); err != nil {
				return err
			}
			if out == "" {
				continue
			}
			if err := replaceSection(out, benchTitle, b.section()); err != nil { // what there is by now is kept
				return err
			}
		}
	}
	if b.lines() == 0 {
		return usageError{fmt.Errorf("bench: no trial with %q in its name", only)}
	}
	if out == "" {
		_, err = io.WriteString(c.out, b.section())
	}
	return errors.Join(append(b.failed, err)...)
}

// benchmark is what came of trials.
type benchmark struct {
	seeds, only string
	from, to    uint64 // of the seeds
	force       bool
	ran         map[string]report.Run // by their commands: many trials have some in common
	tables      []table
	failed      []error
}

// table is what came of a chapter's trials.
type table struct {
	chapter
	lines []string
}

const benchTitle = "## The exchange"

// try runs one trial with all clients and seeds, and what it is compared with.
func (c cli) try(ctx context.Context, b *benchmark, t trial) error {
	runs := make(map[string][]measure.Run)
	for _, client := range append([]string{scenario.Ours}, t.rivals...) {
		values := maps.Clone(t.values)
		if client != scenario.Ours {
			values["client"] = client
		}
		list, err := c.runs(ctx, b, t.name+", "+client, t, t.peers, values)
		if err != nil {
			return err
		}
		runs[client] = list
	}
	if t.than != nil {
		list, err := c.runs(ctx, b, t.name+", "+t.than.name, t, t.than.peers, t.than.values)
		if err != nil {
			return err
		}
		runs[reference] = list
	}
	last := &b.tables[len(b.tables)-1]
	last.lines = append(last.lines, last.line(t, runs))
	return nil
}

// runs runs the scenario of a trial with every seed, unless that was done before. Runs that fail are not
// among those that it returns.
func (c cli) runs(ctx context.Context, b *benchmark, what string, t trial, peers int, values map[string]string) (list []measure.Run, err error) {
	scene, err := scenario.Find(t.scenario)
	if err != nil {
		return nil, err
	}
	for seed := b.from; seed <= b.to; seed++ {
		j := job{scenario: scene, peers: peers, seed: seed, values: values, net: t.net}
		run, done := b.ran[j.String()]
		if !done {
			if err := errors.Join(j.check(), c.admit(j, outputs{force: b.force}, 1)); err != nil {
				return nil, err
			}
			run, _ = c.supervised(ctx, j, &progress{})
			fmt.Fprintf(c.errs, "%-46s %s\n", what, runLine(run))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			b.ran[j.String()] = run
			if err := failure(run); err != nil {
				b.failed = append(b.failed, fmt.Errorf("%s, seed %d: %w", what, seed, err))
			}
		}
		if failure(run) == nil {
			list = append(list, run.Run)
		}
	}
	return list, nil
}

// lines is how many rows there are.
func (b *benchmark) lines() (n int) {
	for _, t := range b.tables {
		n += len(t.lines)
	}
	return n
}

// section is the tables in Markdown.
func (b *benchmark) section() string {
	command := "go run ./testground bench -seeds " + b.seeds
	if b.only != "" {
		command += fmt.Sprintf(" -only %q", b.only)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n\nMedians, and the worst in brackets: `%s`\n", benchTitle, command)
	for _, t := range b.tables {
		if len(t.lines) == 0 {
			continue
		}
		fmt.Fprintf(&s, "\n### %s\n\n| %s |\n|%s\n%s\n", t.title, strings.Join(t.columns(), " | "), t.rule(), strings.Join(t.lines, "\n"))
	}
	for _, err := range b.failed {
		first, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintf(&s, "\nFailed: %s\n", first)
	}
	return s.String()
}
