// Command versus measures p2pnode against Kubo: the same work, on the same machine, in the same run,
// each in turn, with repos that are new each time. It prints one Markdown table.
//
//	go run ./testground/versus                          all that this machine can run
//	go run ./testground/versus -run add,gateway -n 5    some of it, more often
//	go run ./testground/versus -wan "CMD ARGS"          and over an emulated wide-area network
//
// The lab that -wan starts must make the network namespaces lab0 and lab1, with the addresses
// 10.99.0.1 and 10.99.0.2 and a link as -wan-rtt and -wan-mbit say, print "ready", and remove them
// when it gets SIGTERM. It needs root.
//
// Kubo runs as it comes, with its profile "test" and without routing, so that both know each other
// and nobody else; since routing cannot tell it whom to ask, it asks all, as it does by default in a
// private network. Where Kubo has a usual way to do something and a better one, the table has both,
// and the goal is held against the better one. It is not a benchmark of either program's parts, and
// no figure of it holds for another machine.
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
	"time"
)

const stepMax = 10 * time.Minute // for any one step; a step that takes longer has gone wrong

// versus is one run of the comparison.
type versus struct {
	ours, kubo side
	dir        string // for everything temporary
	n          int
	size       int64         // of the large file, bytes
	patience   time.Duration // with Kubo's usual way
	idle       time.Duration // before a daemon counts as idle
	wan        wide
	table      table
	log        io.Writer
}

type scenario struct {
	name string
	run  func(*versus, context.Context) error
}

var scenarios = []scenario{
	{"add", (*versus).add},
	{"loopback", (*versus).loopback},
	{"small", (*versus).small},
	{"wan", (*versus).overWAN},
	{"crowd", (*versus).crowd},
	{"gateway", (*versus).gateway},
	{"memory", (*versus).memory},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "versus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 1 && (args[0] == bareServ || args[0] == bareRead) {
		return bare(args)
	}
	if len(args) > 1 && (args[0] == streamServ || args[0] == streamRead) {
		return stream(ctx, args)
	}
	v := &versus{log: os.Stderr}
	flags := flag.NewFlagSet("versus", flag.ContinueOnError)
	ourBinary := flags.String("p2pnode", "", "p2pnode binary (default: build it)")
	kuboBinary := flags.String("kubo", "", "Kubo binary (default: build it)")
	only := flags.String("run", "", "scenarios to run, of add,loopback,small,wan,crowd,gateway,memory (default: all)")
	out := flags.String("out", "", "also write the table to this file")
	sizeMiB := flags.Int64("size", 1024, "size of the large file in MiB")
	flags.IntVar(&v.n, "n", 3, "repetitions")
	flags.DurationVar(&v.patience, "patience", 240*time.Second, "longest wait for Kubo's usual way of fetching small files, which is tried once")
	flags.DurationVar(&v.idle, "idle", 10*time.Second, "time after which a daemon counts as idle")
	flags.StringVar(&v.wan.command, "wan", "", "command that emulates a wide-area network")
	flags.DurationVar(&v.wan.rtt, "wan-rtt", 50*time.Millisecond, "round-trip time of that network")
	flags.Float64Var(&v.wan.mbit, "wan-mbit", 100, "rate of that network in Mbit/s")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if v.n < 1 {
		return errors.New("-n: at least one repetition")
	}
	v.size = *sizeMiB << 20
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if v.dir, err = os.MkdirTemp("", "p2pnode-versus"); err != nil {
		return err
	}
	defer os.RemoveAll(v.dir)
	if err := v.build(ctx, *ourBinary, *kuboBinary); err != nil {
		return err
	}
	failed := v.runAll(ctx, chosen)
	report := v.table.markdown(heading(ctx, v, flags))
	fmt.Print(report)
	if *out != "" {
		if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
			return err
		}
		failed = errors.Join(failed, os.WriteFile(*out, []byte(report), 0o644))
	}
	return failed
}

func choose(only string) ([]scenario, error) {
	if only == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-run: no scenario %q", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// runAll runs the scenarios one after the other. One that fails leaves a note, and the others run.
func (v *versus) runAll(ctx context.Context, chosen []scenario) error {
	var failed error
	for _, s := range chosen {
		start := time.Now()
		v.logf("%s …", s.name)
		if err := s.run(v, ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			first, _, _ := strings.Cut(err.Error(), "\n")
			v.table.note("**%s failed:** %s", s.name, first)
		}
		v.logf("%s took %s", s.name, time.Since(start).Round(time.Second))
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func (v *versus) logf(format string, args ...any) {
	fmt.Fprintf(v.log, format+"\n", args...)
}

// build builds the binaries that were not given.
func (v *versus) build(ctx context.Context, ours, kubo string) error {
	if ours == "" {
		ours = filepath.Join(v.dir, "p2pnode")
		if err := goBuild(ctx, ".", ours, "github.com/p2pnode/p2pnode/cmd/p2pnode"); err != nil {
			return err
		}
	}
	if kubo == "" {
		kubo = filepath.Join(v.dir, "ipfs")
		root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			return fmt.Errorf("find the module of Kubo: %w", err)
		}
		dir := filepath.Join(strings.TrimSpace(string(root)), "testground", "interop")
		if err := goBuild(ctx, dir, kubo, "github.com/ipfs/kubo/cmd/ipfs"); err != nil {
			return err
		}
	}
	v.ours, v.kubo = p2pnodeSide(ours), kuboSide(kubo)
	return nil
}

func goBuild(ctx context.Context, dir, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, b)
	}
	return nil
}
