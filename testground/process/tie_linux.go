package process

import (
	"os"
	"os/exec"
	"syscall"
)

// onMainThread tells whether the caller is on the thread that the process began with.
func onMainThread() bool { return syscall.Gettid() == os.Getpid() }

func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
