// Command crdt measures p2pnode's documents against those of other libraries: the same work,
// on the same machine, in the same run, each in turn, and each repetition in a process of its
// own. It prints one Markdown table.
//
//	go run ./testground/versus/crdt                      all of it
//	go run ./testground/versus/crdt -only apply -n 9     what has this in its name, more often
//
// The rivals are Yjs, Loro and Automerge, in Node.js, which npm installs from this folder's
// lockfile, and go-ds-crdt. What they are asked for, and that they give it, is checked: a text
// that is not the trace's, or a key that is not there, fails the row.
//
// It is not a test of whether documents merge rightly; that is for package crdttest. No figure
// of it holds for another machine, and ratios hold better than times.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// repetitionsMin is how many repetitions a median needs to be worth printing.
const repetitionsMin = 5

// main runs everything as a test, because only a test may enter a synctest bubble. Package
// testing must not see the arguments.
func main() {
	args := os.Args[1:]
	os.Args = os.Args[:1]
	testing.Init()
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "versus", F: func(t *testing.T) { os.Exit(program(t, args)) },
	}}, nil, nil)
}

func program(t *testing.T, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(args) > 0 && args[0] == childWord {
		err = child(t, args[1:], os.Stdout)
	} else {
		err = run(ctx, args)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "versus crdt:", err)
		return 1
	}
	return 0
}

// versus is one run of the comparison.
type versus struct {
	n      int
	self   string // this program
	node   string
	traces string // folder
	script string // rivals.mjs
	dir    string // for everything temporary
	log    io.Writer
	saved  map[string]result // of what was saved, by command
}

func run(ctx context.Context, args []string) (err error) {
	v := &versus{log: os.Stderr, saved: make(map[string]result)}
	flags := flag.NewFlagSet("crdt", flag.ContinueOnError)
	flags.StringVar(&v.node, "node", "node", "Node.js, version 20 or newer")
	only := flags.String("only", "", "measures with this `text` in their names")
	out := flags.String("out", "", "also write the table to this `file`")
	flags.IntVar(&v.n, "n", repetitionsMin, "repetitions")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if v.n < 1 {
		return errors.New("-n: at least one repetition")
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	top := strings.TrimSpace(string(root))
	v.traces = filepath.Join(top, "crdt", "testdata")
	v.script = filepath.Join(top, "testground", "versus", "crdt", "rivals.mjs")
	if v.self, err = os.Executable(); err != nil {
		return err
	}
	if v.dir, err = os.MkdirTemp("", "p2pnode-versus-crdt"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(v.dir)) }()
	chosen := choose(v.measures(), *only)
	if len(chosen) == 0 {
		return fmt.Errorf("-only: no measure with %q in its name", *only)
	}
	if *only != "" && *out != "" {
		return errors.New("-out: with -only, it would lack the other measures")
	}
	if err := v.install(ctx, chosen); err != nil {
		return err
	}
	head := v.heading(ctx, *only) // the load is that before the run
	failed := v.runAll(ctx, chosen)
	report := markdown(head, chosen)
	fmt.Print(report)
	if *out != "" && ctx.Err() == nil {
		failed = errors.Join(failed, os.WriteFile(*out, []byte(report), 0o644))
	}
	return failed
}

// choose are the measures with a text in their names.
func choose(all []*measure, only string) (chosen []*measure) {
	for _, m := range all {
		if strings.Contains(m.name, only) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// install has npm install the rivals, unless they are there or do not take part.
func (v *versus) install(ctx context.Context, chosen []*measure) error {
	dir := filepath.Dir(v.script)
	_, err := os.Stat(filepath.Join(dir, "node_modules"))
	needed := slices.ContainsFunc(chosen, func(m *measure) bool {
		return slices.ContainsFunc(m.ways, func(w way) bool { return w.words[0] == v.node })
	})
	if err == nil || !needed {
		return nil
	}
	v.logf("npm ci …")
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install rivals: %w\n%s", err, out)
	}
	return nil
}

// runAll takes the measures one after the other. One that fails says so in the table, and the
// others are taken.
func (v *versus) runAll(ctx context.Context, chosen []*measure) error {
	var failed error
	for _, m := range chosen {
		start := time.Now()
		v.logf("%s …", m.name)
		if m.err = v.take(ctx, m); m.err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.name, m.err))
		}
		v.logf("%s took %s", m.name, time.Since(start).Round(time.Second))
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func (v *versus) logf(format string, args ...any) {
	fmt.Fprintf(v.log, format+"\n", args...)
}
