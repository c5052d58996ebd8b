// Command testground runs networks of p2pnode's own nodes, in one process and in
// virtual time, and measures them.
//
//	go run ./testground list
//	go run ./testground run bootstrap -peers 300 -seed 7 -set uplink=20mbit
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/p2pnode/p2pnode/testground/scenario"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // an invariant does not hold, or a peer failed
	exitUsage  = 2

	exitInterrupted = 130
)

// main runs everything as a test, because only a test may enter a synctest bubble.
// Package testing must not see the arguments.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := os.Args[1:]
	os.Args = os.Args[:1]
	testing.Init()
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "testground", F: func(t *testing.T) { os.Exit(command(ctx, t, args, os.Stdout, os.Stderr)) },
	}}, nil, nil)
}

func command(ctx context.Context, t *testing.T, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(errs, "testground: want a command: list or run")
		return exitUsage
	}
	var err error
	switch args[0] {
	case "list":
		err = list(out)
	case "run":
		err = runCommand(ctx, t, args[1:], out, errs)
	default:
		err = usageError{fmt.Errorf("no command %q; did you mean %s?", args[0], scenario.Nearest(args[0], []string{"list", "run"}))}
	}
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintln(errs, "testground:", err)
		return exitUsage
	default:
		fmt.Fprintln(errs, "testground:", err)
		return exitFailed
	}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func list(out io.Writer) error {
	for _, s := range scenario.All() {
		fmt.Fprintf(out, "%-12s %s\n", s.Name, s.Doc)
		for _, p := range s.AllParams() {
			fmt.Fprintf(out, "    %-12s %-8s %s\n", p.Name, p.Default, p.Doc)
		}
	}
	return nil
}
