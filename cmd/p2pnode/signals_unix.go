//go:build !windows

package main

import (
	"os"
	"syscall"
)

func endSignals() []os.Signal { return []os.Signal{syscall.SIGINT, syscall.SIGTERM} }
