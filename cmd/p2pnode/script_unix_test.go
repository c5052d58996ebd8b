//go:build !windows

package main

import (
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

func signalDaemon(ts *testscript.TestScript, _ bool, args []string) {
	all := ts.Value(daemonsKey{}).(daemons)
	cmd := all[args[0]]
	delete(all, args[0])
	ts.Check(cmd.Process.Signal(map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL,
	}[args[1]]))
	if err := cmd.Wait(); err != nil && args[1] != "KILL" {
		ts.Fatalf("daemon %s: %v", args[0], err)
	}
}

// tmpfs mounts a small file system of its own, for full and read-only disks.
func tmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", args[1], "tmpfs", dir).CombinedOutput()
	if err != nil {
		ts.Fatalf("mount %s: %v: %s", dir, err, out)
	}
	if !strings.Contains(args[1], "remount") {
		ts.Defer(func() { _ = exec.Command("umount", "-l", dir).Run() })
	}
}
