package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/procs"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// TestProcs: a scenario runs with daemons, on whatever ground this machine has, and
// nothing of them stays.
func TestProcs(t *testing.T) {
	binary, err := procs.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	scratch, dir := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", scratch)
	c := newConsole(t, childCommand)
	args := []string{"run", "bootstrap", "-procs", "-daemon", binary, "-peers", "3", "-set", "ramp=100ms", "-set", "settle=1s", "-set", "finds=2"}
	c.do(t, exitOK, append(args, "-out", dir)...)
	c.says(t, "3 peers: about 2", "3 peers have joined", "6 finds, all answered", "find_time_s")
	run, values, err := measure.Load(dir)
	if err != nil || !run.Procs || !strings.Contains(run.Command, " -procs -daemon ") || values.Summarize("find_time_s").Count != 6 {
		t.Errorf("got %+v, %v", run, err)
	}
	if lines := values.Summarize("packets_late_max_s").Count; (lines > 0) == strings.Contains(c.errs.String(), "on loopback") {
		t.Errorf("lateness of lines is told %d times, and it says %s", lines, c.errs.String())
	}
	gone(t, scratch)

	j, err := findJob("run", []string{"bootstrap"})
	if err != nil {
		t.Fatal(err)
	}
	j.procs, j.daemon, j.peers, j.values = true, binary, 3, map[string]string{"ramp": "100ms", "settle": "1h"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	interrupted, _ := c.supervised(ctx, j, &progress{to: &interrupter{at: "have joined", cancel: cancel}})
	if interrupted.Result != measure.Interrupted || interrupted.WallS > 30 {
		t.Errorf("got %s after %.1f s: %s", interrupted.Result, interrupted.WallS, interrupted.Error)
	}
	gone(t, scratch)
}

// interrupter cancels once something is said.
type interrupter struct {
	at     string
	cancel context.CancelFunc
}

func (i *interrupter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(i.at)) {
		i.cancel()
	}
	return len(b), nil
}

// gone fails if a folder holds anything, or a process was started for it.
func gone(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("of the run is left %v, %v", left, err)
	}
	lines, err := filepath.Glob("/proc/*/cmdline") // elsewhere than on Linux there is none
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		if line, err := os.ReadFile(name); err == nil && bytes.Contains(line, []byte(dir)) {
			t.Errorf("%s still runs: %q", name, line)
		}
	}
}

// TestProcsRefuse: what daemons cannot do is said before anything is started.
func TestProcsRefuse(t *testing.T) {
	c := newConsole(t, childCommand)
	for _, tt := range []struct{ args, says string }{
		{"gossip -procs", "more than the control API has; daemons can act bootstrap, churn, flash-crowd"},
		{"bootstrap -procs -det", "-procs and -det"},
		{"bootstrap -procs -net quic", "the kernel's own network"},
		{"bootstrap -daemon x", "-daemon needs -procs"},
		{"flash-crowd -procs -set client=boxo", "daemons are p2pnode"},
		{"bootstrap -procs -peers 5000", "250 daemons at most"},
	} {
		c.do(t, exitUsage, append([]string{"run"}, strings.Fields(tt.args)...)...)
		c.says(t, tt.says)
	}
	c.do(t, exitFailed, "run", "bootstrap", "-procs", "-peers", "2", "-daemon", "/nowhere/p2pnode")
	c.says(t, "/nowhere/p2pnode")
	carried := 0
	for _, s := range scenario.All() {
		if s.Daemons != scenario.NoDaemons {
			carried++
		}
	}
	if carried < 6 {
		t.Errorf("daemons can act %d scenarios only", carried)
	}
}
