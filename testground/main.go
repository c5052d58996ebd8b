// Command testground runs networks of p2pnode's own nodes, in one process and in
// virtual time, and measures them.
//
//	go run ./testground list
//	go run ./testground run bootstrap -peers 300 -seed 7 -set uplink=20mbit -report out.html
//	go run ./testground run bootstrap -procs -peers 10
//	go run ./testground soak -minutes 10
//
// With -procs the peers are daemons, one process each, in real time.
//
// Each run is a process of its own, which tells this one all that it measures as it
// goes: what ends it, be it a panic in one peer, does not take the report away.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/scenario"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // an invariant does not hold, or a peer failed
	exitUsage  = 2

	exitInterrupted = 130
)

const stallTime = 15 * time.Minute

// main runs everything as a test, because only a test may enter a synctest bubble.
// Package testing must not see the arguments.
func main() {
	args := os.Args[1:]
	os.Args = os.Args[:1]
	testing.Init()
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "testground", F: func(t *testing.T) { os.Exit(program(t, args)) },
	}}, nil, nil)
}

// program is a run in its own process, or whatever the user wants.
func program(t *testing.T, args []string) int {
	if len(args) > 0 && args[0] == childCommand {
		return child(t, args[1:], os.Stdout, os.Stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testground:", err)
		return exitFailed
	}
	c := cli{out: os.Stdout, errs: os.Stderr, child: []string{self, childCommand}, terminal: isTerminal(os.Stderr), stall: stallTime}
	return c.command(ctx, args)
}

// cli is what commands need of the world.
type cli struct {
	out, errs io.Writer
	child     []string // begins the command line of a run's process
	terminal  bool     // errs is one
	// stall is how long the clock may go on while a network's time stands still:
	// then something runs in circles, or waits for what the bubble does not see.
	stall time.Duration
	built *exactProgram // for exact runs; nil: is built for each
}

type action struct {
	name, doc string
	do        func(cli, context.Context, []string) error
}

func actions() []action {
	return []action{
		{"list", "the scenarios and their parameters; -floor machine: those of the machines alone", cli.list},
		{"run", "SCENARIO: run it, with -peers, -seed, -set name=value, -report FILE.html; -h lists more", cli.run},
		{"replay", "RUN: run once more what a folder or its run.json holds", cli.replay},
		{"compare", "A B: two runs, or more, side by side", cli.compare},
		{"versus", "flash-crowd, find or gossip: ours and other software, -seeds 1..5, as one table; -out FILE.md", cli.versus},
		{"bench", "the exchange: what the lines allow, ours and boxo's, -seeds 1..5, as one table; -out FILE.md", cli.bench},
		{"costs", "what networks of -peers 50,100,200 take of this machine, as a table and as curves; -out FILE.md", cli.costs},
		{"soak", "random runs for -minutes, mixed faults most of all, until one fails", cli.soak},
		{"broken", "builds with a mistake each, and that a run finds it; -only NAME", cli.broken},
	}
}

func (c cli) command(ctx context.Context, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		c.usage()
		return exitUsage
	}
	var names []string
	for _, a := range actions() {
		if a.name == args[0] {
			return c.exit(ctx, a.do(c, ctx, args[1:]))
		}
		names = append(names, a.name)
	}
	return c.exit(ctx, usageError{fmt.Errorf("no command %q; did you mean %s?", args[0], scenario.Nearest(args[0], names))})
}

func (c cli) usage() {
	fmt.Fprintln(c.errs, "testground runs networks of p2pnode's own nodes in virtual time.")
	fmt.Fprintln(c.errs)
	for _, a := range actions() {
		fmt.Fprintf(c.errs, "    %-8s %s\n", a.name, a.doc)
	}
}

func (c cli) exit(ctx context.Context, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp): // package flag has told
		return exitUsage
	}
	fmt.Fprintln(c.errs, "testground:", err)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	default:
		return exitFailed
	}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// parse reads flags that stand before, between or behind other arguments, which it
// returns.
func (c cli) parse(flags *flag.FlagSet, args []string) ([]string, error) {
	flags.SetOutput(io.Discard) // of one mistake, one line
	var rest []string
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprintf(c.errs, "Flags of testground %s:\n", flags.Name())
			flags.SetOutput(c.errs)
			flags.PrintDefaults()
			return nil, err
		case err != nil:
			return nil, usageError{fmt.Errorf("%s: %s", flags.Name(), suggest(flags, err.Error()))}
		case flags.NArg() == 0:
			return rest, nil
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}

// suggest adds the flag that was probably meant.
func suggest(flags *flag.FlagSet, text string) string {
	name, ok := strings.CutPrefix(text, "flag provided but not defined: -")
	if !ok {
		return text
	}
	var names []string
	flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return fmt.Sprintf("no flag -%s; did you mean -%s?", name, scenario.Nearest(name, names))
}
