package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"p2pnode": main})
}

// daemonMax is how long a daemon may take to be ready or to end.
const daemonMax = 60 * time.Second

// TestScript runs the stories in testdata/script. Beside the commands of
// testscript they have:
//
//	exits CODE PROGRAM…   run it and want that exit code
//	daemon NAME ARG…      start a daemon on repo NAME and wait until it is ready;
//	                      $NAME_addr and $NAME_gateway tell where, $NAME_pid which process
//	signal NAME SIGNAL    send it to that daemon, wait, and want exit code 0
//	random FILE SIZE      write a file of so many bytes that no compressor likes
//	tmpfs DIR OPTIONS     mount one, or with remount in OPTIONS change it
//	empty DIR             want a folder without any entry
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: false,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "daemon": startDaemon, "signal": signalDaemon, "random": random, "tmpfs": tmpfs, "empty": empty,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Setup: func(e *testscript.Env) error {
			e.Values[daemonsKey{}] = make(daemons)
			e.Setenv("P2PNODE_MDNS", "false")
			return nil
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// daemons are the daemons of a script by name.
type daemons map[string]*exec.Cmd

type daemonsKey struct{}

func startDaemon(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	all := append([]string{"--repo", ts.MkAbs(name), "daemon", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--gateway", "127.0.0.1:0", "--network", "testscript"}, args[1:]...)
	ctx, cancel := context.WithTimeout(context.Background(), daemonMax)
	ts.Defer(cancel)
	program, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], "p2pnode"))
	ts.Check(err)
	cmd := exec.CommandContext(ctx, program, all...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "P2PNODE_MDNS=false")
	cmd.Stdout, err = os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Value(daemonsKey{}).(daemons)[name] = cmd
	ts.Defer(func() { cancel(); _ = cmd.Wait() })
	log := &strings.Builder{}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(log, lines.Text())
		if lines.Text() != "ready" {
			continue
		}
		for what, expr := range map[string]string{"addr": `listening on (\S+)`, "gateway": `gateway (\S+)`, "api": `api (\S+)`} {
			if m := regexp.MustCompile(expr).FindStringSubmatch(log.String()); m != nil {
				ts.Setenv(name+"_"+what, m[1])
			}
		}
		ts.Setenv(name+"_pid", strconv.Itoa(cmd.Process.Pid))
		ts.Check(os.WriteFile(ts.MkAbs(name+".log"), []byte(log.String()), 0o666))
		return
	}
	ts.Fatalf("daemon %s ended before it was ready:\n%s", name, log)
}

func random(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	data, state := make([]byte, size), uint64(size)+1
	for i := range data {
		state = state*6364136223846793005 + 1442695040888963407
		data[i] = byte(state >> 56)
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o777))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o666))
}

func empty(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		ts.Fatalf("%s holds %s", args[0], e.Name())
	}
}
