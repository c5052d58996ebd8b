package det_test

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/det"
)

var full = flag.Bool("det.full", false, "build simulations with the patched runtime, and repeat them: minutes")

// goroot is that of the go command.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// replaced returns what an overlay replaces: original to patched.
func replaced(t *testing.T, overlay string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o.Replace
}

// TestAnchors: the patches are for the Go that is installed, which is what go.mod
// asks for, and what comes of them compiles.
func TestAnchors(t *testing.T) {
	overlay, err := det.Generate(goroot(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	root := goroot(t)
	for from, to := range replaced(t, overlay) {
		file, err := filepath.Rel(filepath.Join(root, "src"), from)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.ToSlash(file))
		before, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(before, after) {
			t.Errorf("%s is not changed", from)
		}
	}
	slices.Sort(files)
	want := []string{"runtime/iface.go", "runtime/mgcpacer.go", "runtime/proc.go", "runtime/rand.go", "runtime/runtime2.go", "runtime/select.go", "runtime/sema.go", "runtime/synctest.go", "runtime/time.go", "time/time.go"}
	if !slices.Equal(files, want) {
		t.Errorf("files are %v, want %v", files, want)
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "runtime", "time").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPure: the same files give the same overlay.
func TestPure(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	root := goroot(t)
	for _, dir := range []string{a, b, b} {
		if _, err := det.Generate(root, dir); err != nil {
			t.Fatal(err)
		}
	}
	list, err := os.ReadDir(a)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := os.ReadDir(b); err != nil || len(other) != len(list) {
		t.Fatalf("%d files, then %d (%v)", len(list), len(other), err)
	}
	for _, f := range list {
		x, errX := os.ReadFile(filepath.Join(a, f.Name()))
		y, errY := os.ReadFile(filepath.Join(b, f.Name()))
		if err := errors.Join(errX, errY); err != nil {
			t.Fatal(err)
		}
		if y := bytes.ReplaceAll(y, []byte(b), []byte(a)); !bytes.Equal(x, y) {
			t.Errorf("%s differs", f.Name())
		}
	}
}

// TestStranger: a Go whose runtime is another is left alone, and the anchor named.
func TestStranger(t *testing.T) {
	root := goroot(t)
	overlay, err := det.Generate(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const anchor = "\tglobalRand.state.Init(*seed)\n"
	for name, c := range map[string]struct {
		with  string
		count int
	}{"missing": {"", 0}, "doubled": {anchor + anchor, 2}} {
		t.Run(name, func(t *testing.T) {
			strange, dir := t.TempDir(), filepath.Join(t.TempDir(), "overlay")
			for from := range replaced(t, overlay) {
				text, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				file, err := filepath.Rel(root, from)
				if err != nil {
					t.Fatal(err)
				}
				to := filepath.Join(strange, file)
				text = bytes.Replace(text, []byte(anchor), []byte(c.with), 1)
				if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := det.Generate(strange, dir)
			var missing *det.AnchorError
			if !errors.As(err, &missing) || missing.File != "runtime/rand.go" || missing.Anchor != anchor || missing.Count != c.count {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
	if _, err := det.Generate(t.TempDir(), t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without any Go: %v", err)
	}
}

func TestEnviron(t *testing.T) {
	got := det.Environ([]string{"HOME=/somewhere", "GOMAXPROCS=8", "GODEBUG=gctrace=2", "GOGC=off", "GODEBUG=gctrace=1"})
	if len(got) != 2 || got[0] != "GOMAXPROCS=1" || !strings.HasPrefix(got[1], "GODEBUG=gctrace=1,gcstoptheworld=2") {
		t.Errorf("got %q", got)
	}
}

// TestPlain: without the patched runtime nothing is promised, and nothing done.
func TestPlain(t *testing.T) {
	det.Seed(t, 1, 2)
	if !det.Exact && det.State() != 0 {
		t.Errorf("state is %d", det.State())
	}
}

// TestRepeats: the same seed gives the same run, to the bit, and another schedule
// another. Only with -det.full, for all of Go's library is built anew.
func TestRepeats(t *testing.T) {
	if !*full {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	probe, err := det.Build(ctx, det.Program+"/det/probe")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, probe, args...)
		cmd.Env = det.Environ(nil)
		out, err := cmd.Output()
		if err != nil || !bytes.Contains(out, []byte("outcome <nil> closed <nil>")) {
			t.Fatalf("%v: %v: %s", args, err, out[max(0, len(out)-500):])
		}
		// How peers end is not part of the run: what was measured, and the network.
		what, _, _ := bytes.Cut(out, []byte("\nstate "))
		return string(what)
	}
	for _, args := range [][]string{
		{"-scenario", "gossip", "-peers", "30"},
		{"-scenario", "bootstrap", "-peers", "30"},
		{"-scenario", "churn", "-peers", "60", "-set", "loss=0.02", "-set", "minutes=3"},
	} {
		first := run(args...)
		for range 4 {
			if again := run(args...); again != first {
				t.Errorf("%v: %s, then %s", args, last(first), last(again))
			}
		}
		for _, other := range []string{"-schedule", "-seed"} {
			a, b := run(append(args, other, "12345")...), run(append(args, other, "12345")...)
			if a != b {
				t.Errorf("%v %s: %s, then %s", args, other, last(a), last(b))
			}
			if a == first {
				t.Errorf("%v: %s changes nothing", args, other)
			}
		}
		t.Logf("%s %v: %s", runtime.Version(), args, last(first))
	}
}

// TestClocks has the tests of sim run in which clocks are wrong, which they can be with
// the patched runtime only. Only with -det.full.
func TestClocks(t *testing.T) {
	if !*full {
		return
	}
	overlay, err := det.Generate(goroot(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-overlay", overlay, "-tags", "simdet", "-run", "^(TestClock|TestSkewed)", "-v", det.Program+"/sim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if n := bytes.Count(out, []byte("--- PASS: Test")); err != nil || n != 3 {
		t.Errorf("%d tests pass, want 3: %v\n%s", n, err, out)
	}
}

// last is the last line.
func last(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }

// TestAnywhere: what is built does not depend on where the module is, so a run repeats
// in another checkout of the same sources.
func TestAnywhere(t *testing.T) {
	binary, err := det.Build(t.Context(), "github.com/p2pnode/p2pnode/testground/det/probe")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{here, filepath.Dir(binary)} {
		if bytes.Contains(text, []byte(path)) {
			t.Errorf("the program holds %s", path)
		}
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "vcs") {
			t.Errorf("the program holds %s=%s", s.Key, s.Value)
		}
	}
}
