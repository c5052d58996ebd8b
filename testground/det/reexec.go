package det

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is what Reexec builds and runs.
const Program = "github.com/p2pnode/p2pnode/testground"

// cancelTime is how long an interrupted child may take to end by itself.
const cancelTime = 2 * time.Second

// Reexec builds Program with the patched runtime and runs it with args on the
// standard streams of this process. It returns the child's exit code; an error
// means that nothing was run: this Go is another (*AnchorError), or it cannot be
// built here. Then the caller may go on by itself, as exactly as it can.
func Reexec(ctx context.Context, args []string) (code int, err error) {
	binary, err := Build(ctx, Program)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = Environ(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = cancelTime
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && cmd.ProcessState.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("run simulation: %w", err)
	}
	return 0, nil
}

// Environ is the environment in which a patched program repeats itself, made from
// another: one thread, and garbage collected while the world stands still.
func Environ(from []string) []string {
	debug := "gcstoptheworld=2,asyncpreemptoff=1,profstackdepth=0"
	var env []string
	for _, e := range from {
		name, value, _ := strings.Cut(e, "=")
		switch name {
		case "GODEBUG":
			debug = value + "," + debug
		case "GOMAXPROCS":
		default:
			env = append(env, e)
		}
	}
	return append(env, "GOMAXPROCS=1", "GODEBUG="+debug)
}

// Build builds a command of this module with the patched runtime, in the user's
// cache folder, and returns its path. Only the first time it takes long: all of
// the standard library is built.
func Build(ctx context.Context, command string) (binary string, err error) {
	goroot, version, err := installed(ctx)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build simulation: %w", err)
	}
	dir := filepath.Join(cache, "p2pnode", "testground", fingerprint(version))
	overlay, err := Generate(goroot, dir)
	if err != nil {
		return "", err
	}
	binary = filepath.Join(dir, filepath.Base(command))
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-tags", "simdet",
		// Package cryptotest works in tests only.
		"-ldflags", "-X=testing.testBinary=1", "-o", binary, command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s with the patched runtime: %w", command, err)
	}
	return binary, nil
}

// installed asks the go command, which knows of toolchains that go.mod wants.
func installed(ctx context.Context) (goroot, version string, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return "", "", fmt.Errorf("ask go for its root: %w", err)
	}
	var env struct{ GOROOT, GOVERSION string }
	if err := json.Unmarshal(out, &env); err != nil {
		return "", "", fmt.Errorf("ask go for its root: %w", err)
	}
	return env.GOROOT, env.GOVERSION, nil
}
