//go:build !linux

package process

import "os/exec"

func onMainThread() bool { return false } // nothing is tied there

func tie(*exec.Cmd) {}
