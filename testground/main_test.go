package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/gossip"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// brokenCommand is childCommand with the scenarios of this file.
const brokenCommand = "broken-child"

// TestMain is also the process of a run.
func TestMain(m *testing.M) {
	// Timers of a bubble that fire on two processors at once crash the race detector
	// (golang/go#78156): this holds for the runs that tests start too.
	os.Setenv("GOMAXPROCS", "1")
	if len(os.Args) < 3 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case childCommand:
		main()
	case brokenCommand:
		name := os.Args[2]
		os.Args = os.Args[:1]
		testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
			Name: "broken", F: func(t *testing.T) {
				j := broken(name)
				defer dumpOnQuit(os.Stderr)()
				synctest.Test(t, func(t *testing.T) { j.run(t.Context(), &teller{to: os.Stdout}) })
				os.Exit(exitOK)
			},
		}}, nil, nil)
	default:
		os.Exit(m.Run())
	}
}

// broken is a job that ends in one of the ways in which none should.
func broken(name string) job {
	ways := map[string]func(context.Context, *scenario.Run) error{
		"panics":  panics,
		"leaks":   leaks,
		"forever": func(context.Context, *scenario.Run) error { time.Sleep(1000 * time.Hour); return nil },
		"killed": func(_ context.Context, r *scenario.Run) error {
			r.Measure.Add("value_s", 0, 0, 1)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			return nil
		},
		"spins": func(_ context.Context, r *scenario.Run) error {
			r.Measure.Add("value_s", 0, 0, 1)
			r.Logf("spinning")
			for {
				_ = len(name)
			}
		},
		"noisy": func(_ context.Context, r *scenario.Run) error {
			fmt.Println("v not a value")
			fmt.Println("{not an event")
			fmt.Fprintln(os.Stderr, "a warning")
			r.Measure.Add("line\nbreak", 0, 0, 1)
			return nil
		},
		"fails": func(_ context.Context, r *scenario.Run) error {
			r.Measure.Add("value_s", 0, 0, 1)
			return errors.New("one byte is lost")
		},
	}
	return job{
		scenario: scenario.Scenario{Name: name, Peers: 5, TimeMax: time.Hour, Run: ways[name]},
		peers:    5, seed: 1, values: map[string]string{},
	}
}

// ownSeries leaves out the samples that every run takes.
func ownSeries(values *measure.Recorder) []string {
	return slices.DeleteFunc(values.Names(), func(name string) bool {
		return strings.HasPrefix(name, "peer_") || strings.HasPrefix(name, ofProcess)
	})
}

// panics does so in a goroutine that peer 3's node has started.
func panics(ctx context.Context, r *scenario.Run) error {
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	r.Net.Warm(peers)
	if err := r.Start(ctx, peers); err != nil {
		return err
	}
	if err := r.Net.Connect(ctx, r.Net.Regular(peers, 4)); err != nil {
		return err
	}
	var from *gossip.Topic
	for i, p := range peers {
		var topic *gossip.Topic
		var err error
		p.Do(ctx, func(context.Context) { // what gossips begins with the first topic
			topic, err = p.Node().Gossip().Join("news", func(context.Context, gossip.Message) gossip.Verdict {
				if i == 3 {
					panic("wrong on purpose")
				}
				return gossip.Accept
			})
		})
		if err != nil {
			return err
		}
		if _, err := topic.Subscribe(); err != nil {
			return err
		}
		from = topic
	}
	time.Sleep(20 * time.Second)
	r.Measure.Add("value_s", r.Net.Age(), 0, 1)
	if err := from.Publish(ctx, []byte("hello")); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return nil
}

func leaks(ctx context.Context, r *scenario.Run) error {
	if err := r.Populate(); err != nil {
		return err
	}
	return sim.Each(ctx, r.Net.Peers()[2:3], func(context.Context, *sim.Peer) error {
		go func() { select {} }()
		return nil
	})
}

// console is a cli and what it has said.
type console struct {
	cli
	out, errs bytes.Buffer
}

func newConsole(t *testing.T, command string) *console {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := new(console)
	c.cli = cli{out: &c.out, errs: &c.errs, child: []string{self, command}, stall: time.Minute}
	return c
}

func (c *console) do(t *testing.T, want int, args ...string) {
	t.Helper()
	c.out.Reset()
	c.errs.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if got := c.command(ctx, args); got != want {
		t.Fatalf("%v: exit code %d, want %d\n%s\n%s", args, got, want, c.out.String(), c.errs.String())
	}
}

func (c *console) says(t *testing.T, all ...string) {
	t.Helper()
	for _, want := range all {
		if text := c.out.String() + c.errs.String(); !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// TestBroken: whatever ends a run, what was measured is there, and it is told what
// has ended it.
func TestBroken(t *testing.T) {
	for _, b := range []struct {
		name, result, errorHas, peer string
		values                       int
	}{
		{"panics", measure.Panicked, "wrong on purpose", "peer 3", 1},
		{"leaks", measure.Panicked, "bubble", "peer 2", 0},
		{"forever", measure.Failed, "does not end", "", 0},
		{"killed", measure.Failed, "killed from outside", "", 1},
		{"fails", measure.Failed, "one byte is lost", "", 1},
		{"noisy", measure.Passed, "", "", 1},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := newConsole(t, brokenCommand)
			j := broken(b.name)
			run, trace := c.supervised(t.Context(), j, c.progress(j))
			if run.Result != b.result || !strings.Contains(run.Error, b.errorHas) || run.Peer != b.peer {
				t.Errorf("got %s, %q, %q; want %s, %q, %q\n%s", run.Result, run.Error, run.Peer, b.result, b.errorHas, b.peer, trace)
			}
			if own := ownSeries(run.Values); len(own) != b.values {
				t.Errorf("%v are kept, want %d series", own, b.values)
			}
			if panicked := run.Result == measure.Panicked; panicked != (run.Trace != "") || len(strings.Split(run.Trace, "\n")) > shortLinesMax+2 {
				t.Errorf("the trace is %q", run.Trace)
			}
			if run.PeakMB < 5 || run.WallS <= 0 {
				t.Errorf("it took %v MB, %v s", run.PeakMB, run.WallS)
			}
			dir := t.TempDir()
			o := outputs{dir: dir, report: filepath.Join(dir, "page.html")}
			if err := o.keep(run, trace); err != nil {
				t.Fatal(err)
			}
			again, values, err := measure.Load(dir)
			if err != nil || again.Result != run.Result || len(ownSeries(values)) != b.values {
				t.Errorf("loaded %+v, %v", again, err)
			}
			page, err := os.ReadFile(o.report)
			if err != nil || !strings.Contains(string(page), run.Result) {
				t.Errorf("the page does not say %s: %v", run.Result, err)
			}
			if failure(run) == nil != (b.result == measure.Passed) {
				t.Errorf("it fails with %v", failure(run))
			}
			if b.name == "noisy" {
				c.says(t, "v not a value", "{not an event", "a warning")
			}
		})
	}
}

// spun interrupts a run once it has said something.
type spun struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (s *spun) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("spinning")) {
		s.cancel()
	}
	return s.Buffer.Write(b)
}

// TestInterrupt: even a run that does nothing but compute ends when told, with what
// it has measured.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := newConsole(t, brokenCommand)
	j := broken("spins")
	run, _ := c.supervised(ctx, j, &progress{to: &spun{cancel: cancel}})
	if run.Result != measure.Interrupted || len(run.Values.Names()) != 1 {
		t.Errorf("got %s, %q, %v", run.Result, run.Error, run.Values.Names())
	}
	if code := c.exit(ctx, failure(run)); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

// TestStall: where the network's time stands still, the run is ended, and says what
// it was doing.
func TestStall(t *testing.T) {
	c := newConsole(t, brokenCommand)
	c.stall = 500 * time.Millisecond // and once more
	run, trace := c.supervised(t.Context(), broken("spins"), &progress{})
	if run.Result != measure.Failed || !strings.Contains(run.Error, "stands still, for 500ms") || !strings.HasPrefix(run.Trace, "goroutine ") || !strings.Contains(run.Trace, ".broken.func") {
		t.Errorf("got %s, %q\n%s", run.Result, run.Error, trace)
	}
	if len(run.Values.Names()) != 1 {
		t.Errorf("%v is kept", run.Values.Names())
	}
}
