//go:build !windows

package control

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// listenPrivate makes a socket that nobody else can connect to. The folder is
// the owner's (0700), so there is no moment at which it could be.
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// checkPrivate refuses a folder that others own or can enter.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a private folder of this user", dir)
	}
	return nil
}
