//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock locks a folder until it is closed, for this process alone or together with
// others. It does not wait, and changes the lock that is held already.
func lock(dir *os.File, alone bool) bool {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	return unix.Flock(int(dir.Fd()), how|unix.LOCK_NB) == nil
}
