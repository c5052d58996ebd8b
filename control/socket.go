package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	socketName = "api.sock"
	// pointerName is the file in the repo that names the socket where it could
	// not be in the repo itself.
	pointerName = "api.path"
	tokenName   = "api.token"
	// socketPathMax is what fits into sockaddr_un on every system that has it:
	// 104 bytes on darwin, 108 on Linux, with a zero at the end.
	socketPathMax = 103
	tokenBytes    = 32
	// socketBuffer is the kernel's buffer on both ends, in bytes. With the
	// default of 208 KiB a block of 1 MiB takes ten switches between processes.
	socketBuffer = 1 << 20
)

// ErrNoDaemon means that no daemon serves a repo.
var ErrNoDaemon = errors.New("no daemon is running")

// Listen listens on the socket of repo. The caller owns the repo, so a socket
// that is there was left by a process that died. Only this user can connect.
func Listen(repo string) (net.Listener, error) {
	path, err := socketPath(repo)
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	pointer := filepath.Join(repo, pointerName)
	if filepath.Dir(path) != filepath.Clean(repo) {
		err = os.WriteFile(pointer, []byte(path+"\n"), 0o600)
	} else if err = os.Remove(pointer); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	l, err := listenPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	return buffered{l}, nil
}

// socketPath is where a daemon listens: in the repo, unless that path is too
// long for a socket's address.
func socketPath(repo string) (string, error) {
	repo, err := filepath.Abs(repo)
	if err != nil {
		return "", err
	}
	if path := filepath.Join(repo, socketName); len(path) <= socketPathMax {
		return path, nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "p2pnode-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := checkPrivate(dir); err != nil { // somebody else may have made it first
		return "", err
	}
	sum := sha256.Sum256([]byte(repo))
	path := filepath.Join(dir, hex.EncodeToString(sum[:8])+".sock")
	if len(path) > socketPathMax {
		return "", fmt.Errorf("socket path %s has %d bytes (limit %d)", path, len(path), socketPathMax)
	}
	return path, nil
}

// Dial returns a client of the daemon that serves repo, or ErrNoDaemon.
func Dial(ctx context.Context, repo string) (*Client, error) {
	path := filepath.Join(repo, socketName)
	if text, err := os.ReadFile(filepath.Join(repo, pointerName)); err == nil {
		path = strings.TrimSpace(string(text))
	}
	if len(path) > socketPathMax { // a relative repo may still be short enough
		return nil, fmt.Errorf("dial daemon of %s: %w", repo, ErrNoDaemon)
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			setBuffers(c)
		}
		return c, err
	}
	conn, err := dial(ctx)
	if ctx.Err() != nil && err != nil { // which says nothing about the daemon
		return nil, fmt.Errorf("dial daemon of %s: %w", repo, context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("dial daemon of %s: %w: %w", repo, ErrNoDaemon, err)
	}
	return newClient("http://localhost", "", dial, conn), nil
}

// ListenTCP listens on addr, which must be a loopback address.
func ListenTCP(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen for control on %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen for control on %q: not a loopback address", addr)
	}
	return net.Listen("tcp", addr)
}

// DialTCP returns a client of the daemon at a loopback address. Nothing is sent
// before the first call.
func DialTCP(addr, token string) *Client {
	return newClient("http://"+addr, token, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}, nil)
}

// Token returns the token of repo for TCP, made when it is asked for first. It
// lies in a file that only this user can read.
func Token(repo string) (string, error) {
	path := filepath.Join(repo, tokenName)
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) == 2*tokenBytes {
		return strings.TrimSpace(string(text)), os.Chmod(path, 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read control token: %w", err)
	}
	secret := make([]byte, tokenBytes)
	rand.Read(secret) // never fails
	token := hex.EncodeToString(secret)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("make control token: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("make control token: %w", err)
	}
	return token, nil
}

// buffered gives every connection large kernel buffers.
type buffered struct{ net.Listener }

func (b buffered) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		setBuffers(c)
	}
	return c, err
}

// setBuffers only makes things faster, so a refusal is none.
func setBuffers(c net.Conn) {
	if u, ok := c.(*net.UnixConn); ok {
		_ = u.SetReadBuffer(socketBuffer)
		_ = u.SetWriteBuffer(socketBuffer)
	}
}
