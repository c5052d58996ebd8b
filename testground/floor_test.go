package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/machine"
	"github.com/p2pnode/p2pnode/testground/measure"
)

// TestMachines: the machines' floor has the commands that the other has.
func TestMachines(t *testing.T) {
	c := newConsole(t, childCommand)
	dir := t.TempDir()
	a, b, page := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "page.html")
	args := strings.Fields("run flash-crowd -floor machine -peers 30 -seed 3 -set size=500000 -set block=50000")
	c.do(t, exitOK, append(args, "-out", a, "-report", page)...)
	c.says(t, "flash-crowd, 30 peers, seed 3", "completion_time_s", "hash ", "blocks delivered")
	run, values, err := measure.Load(a)
	if err != nil {
		t.Fatal(err)
	}
	if run.Result != measure.Passed || run.Floor != "machine" || !run.Exact || run.Net != "" || len(run.Hash) != 64 || run.Params["drift"] != "0" ||
		run.Command != "go run ./testground run flash-crowd -peers 30 -seed 3 -set block=50000 -set size=500000 -floor machine" {
		t.Errorf("got %+v", run)
	}
	if got := values.Summarize("completion_time_s").Count; got != 29 || len(values.Bounds()) != 1 {
		t.Errorf("%d fetches are kept, and bounds %v", got, values.Bounds())
	}
	c.do(t, exitOK, "replay", a, "-out", b)
	if again, _, err := measure.LoadRun(b); err != nil || again.Hash != run.Hash || again.Command != run.Command {
		t.Errorf("replayed %+v, %v", again, err)
	}
	c.do(t, exitOK, "compare", a, b)
	c.do(t, exitOK, append(args, "-seeds", "4..6", "-jobs", "2")...)
	if n := strings.Count(c.out.String(), "passed"); n != 3 {
		t.Errorf("%d runs passed, want 3:\n%s", n, c.out.String())
	}
	c.do(t, exitFailed, append(args, "-limit", "1200ms")...)
	c.says(t, "has not ended after 1.2s", "-limit 1.2s -floor machine")
	c.do(t, exitOK, "list")
	c.says(t, "also -floor machine", "With -floor machine alone: many-wants")
	c.do(t, exitOK, "list", "-floor", "machine")
	c.says(t, "many-wants", "drift")
}

func TestFloorMistakes(t *testing.T) {
	c := newConsole(t, childCommand)
	for _, m := range []struct{ args, want string }{
		{"run gossip -floor machine", "no scenario \"gossip\" on the machines' floor"},
		{"run flash-crwd -floor=machine", "did you mean flash-crowd?"},
		{"run many-wants", "no scenario"},
		{"run churn -floor machin", "did you mean machine?"},
		{"run churn --floor", "needs an argument"},
		{"run churn -floor machine -set drft=1", "no parameter \"drft\""},
		{"run churn -floor machine -peers 1", "2 at least"},
		{"run churn -floor machine -det", "always exact"},
		{"run churn -floor machine -net quic", "whole nodes"},
		{"run churn -floor machine -real", "whole nodes"},
		{"list -floor cellar", "did you mean"},
	} {
		c.do(t, exitUsage, strings.Fields(m.args)...)
		c.says(t, m.want)
	}
	// A value is read only when the scenario runs.
	c.do(t, exitFailed, strings.Fields("run churn -floor machine -peers 5 -set drift=much")...)
	c.says(t, "parameter drift")
}

func TestMachineCommandLine(t *testing.T) {
	for _, m := range machine.Scenarios() {
		j, err := findOn(floorMachine, m.Name)
		if err != nil {
			t.Fatal(err)
		}
		j.peers, j.seed = 10_000, 1
		again, err := parseJob(j.args(), io.Discard)
		if err != nil || again.String() != j.String() || !again.onMachines() {
			t.Errorf("%s became %s, %v", j, again, err)
		}
		if mb := again.estimateMB(); mb < 500 || mb > 4000 {
			t.Errorf("%s: about %.0f MB", j, mb)
		}
	}
}
