// The files of this folder cannot be run where there is no container engine. What can be
// known of them without one is checked here: against the daemon's own flags and settings,
// against each other, and, of the scripts, by running them on daemons of this machine.
package deploy_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/p2pnode/p2pnode/testground/process"
	"github.com/p2pnode/p2pnode/testground/procs"
)

const (
	image    = "p2pnode:dev"
	peerPort = 4101
)

// binary is p2pnode, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "deploy-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if binary, err = procs.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// p2pnode runs the command line.
func p2pnode(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	return process.Run(t.Context(), process.Command{Path: binary, Args: args, Env: env})
}

// checkArgs fails unless the command exists and has all these flags.
func checkArgs(t *testing.T, where string, args []string) {
	t.Helper()
	if len(args) == 0 {
		t.Errorf("%s: no arguments", where)
		return
	}
	if _, err := p2pnode(t, nil, append(append([]string{}, args...), "--help")...); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	for i, a := range args {
		if strings.HasPrefix(a, "--") && a != "--quiet" && a != "--no-mdns" {
			checkSetting(t, where, strings.TrimPrefix(a, "--"), args[i+1])
		}
	}
}

// checkSetting fails unless the configuration has the key, and takes the value.
func checkSetting(t *testing.T, where, key, value string) {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "repo")
	key = strings.ReplaceAll(key, "-", "_")
	if _, err := p2pnode(t, nil, "--repo", repo, "init"); err != nil {
		t.Fatal(err)
	}
	if _, err := p2pnode(t, nil, "--repo", repo, "config", "set", key, value); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	variable := "P2PNODE_" + strings.ToUpper(key)
	if got, err := p2pnode(t, []string{variable + "=" + value}, "--repo", repo, "config", "get", key); err != nil || strings.TrimSpace(got) == "" {
		t.Errorf("%s: $%s is %q: %v", where, variable, got, err)
	}
}

// checkProbe fails unless the words are a command of p2pnode.
func checkProbe(t *testing.T, where string, words []string) {
	t.Helper()
	if len(words) < 2 || words[0] != "p2pnode" {
		t.Errorf("%s: %q is no command of p2pnode", where, words)
		return
	}
	checkArgs(t, where, words[1:])
}

// listensOn is the port that an argument such as --gateway 0.0.0.0:8080 opens, 0 for none.
func listensOn(args []string, flag string) (port int) {
	for i, a := range args {
		if a == flag && i+1 < len(args) {
			fmt.Sscanf(args[i+1][strings.LastIndexByte(args[i+1], ':')+1:], "%d", &port) // "off" is no number
		}
	}
	return port
}

// decode reads all documents of a YAML text. A key that is there twice is an error.
func decode[T any](t *testing.T, name, text string) []T {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	var all []T
	for {
		var v T
		err := d.Decode(&v)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
