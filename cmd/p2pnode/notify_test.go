package main

import (
	"net"
	"path/filepath"
	"runtime"
	"testing"
)

// systemd hears on a datagram socket, which Windows has not.
func TestNotify(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	t.Setenv("NOTIFY_SOCKET", "")
	notify("READY=1") // to nobody
	path := filepath.Join(t.TempDir(), "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	notify("READY=1")
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("heard %q, %v", buf[:n], err)
	}
}
