package det

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Program is what there is to build.
const Program = "github.com/p2pnode/p2pnode/testground"

// Environ is the environment in which a patched program repeats itself, made from
// another: one processor, and garbage collected while the world stands still. Of the
// other it has GODEBUG alone: what the environment holds is in the heap before
// anything else, and moves it.
func Environ(from []string) []string {
	debug := "gcstoptheworld=2,asyncpreemptoff=1,profstackdepth=0,memprofilerate=0"
	for _, e := range slices.Backward(from) { // of several, the last counts
		if value, ok := strings.CutPrefix(e, "GODEBUG="); ok && value != "" {
			debug = value + "," + debug
			break
		}
	}
	return []string{"GOMAXPROCS=1", "GODEBUG=" + debug}
}

// Build builds a command of this module with the patched runtime, in the user's
// cache folder, and returns its path. Only the first time it takes long: all of
// the standard library is built.
func Build(ctx context.Context, command string) (binary string, err error) {
	env, err := installed(ctx)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build simulation: %w", err)
	}
	dir := filepath.Join(cache, "p2pnode", "testground", fingerprint(env.GOVERSION))
	overlay, err := Generate(env.GOROOT, dir)
	if err != nil {
		return "", err
	}
	// Each checkout has its own program; what Go's library is built to is for all.
	binary = filepath.Join(dir, shortHash(env.GOMOD), filepath.Base(command))
	// The same sources are the same program wherever they are, so what fails in one
	// checkout fails in another.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-overlay", overlay, "-tags", "simdet",
		// Package cryptotest works in tests only.
		"-ldflags", "-X=testing.testBinary=1", "-o", binary, command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s with the patched runtime: %w", command, err)
	}
	return binary, nil
}

// environment is what the go command says of itself and of the module.
type environment struct{ GOROOT, GOVERSION, GOMOD string }

// installed asks the go command, which knows of toolchains that go.mod wants.
func installed(ctx context.Context) (env environment, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOROOT", "GOVERSION", "GOMOD").Output()
	if err == nil {
		err = json.Unmarshal(out, &env)
	}
	if err != nil {
		return environment{}, fmt.Errorf("ask go for its root: %w", err)
	}
	return env, nil
}
