//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

import "os"

// lock is never had: folders cannot be locked here.
func lock(*os.File, bool) bool { return false }
