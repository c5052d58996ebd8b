package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

// repoVar names the repo where the flag does not.
const repoVar = "P2PNODE_REPO"

// app is one run of the program: its streams, and what the global flags say.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	repoFlag string
	json     bool
	quiet    bool
	progress string // auto, plain or none

	running bool // the command line was understood
}

// run is the program without the process around it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	return a.report(root.ExecuteContext(ctx))
}

// repo is the folder of the repo: flag, environment, or the user's data folder.
func (a *app) repo() (string, error) {
	dir := a.repoFlag
	if dir == "" {
		dir = os.Getenv(repoVar)
	}
	if dir == "" {
		dir = filepath.Join(xdg.DataHome, "p2pnode")
	}
	return filepath.Abs(dir)
}

// existing is the folder of a repo that is there.
func (a *app) existing() (string, error) {
	dir, err := a.repo()
	if err != nil {
		return "", err
	}
	return dir, node.CheckRepo(dir)
}

// daemon returns a client of the running daemon.
func (a *app) daemon(ctx context.Context) (*control.Client, error) {
	dir, err := a.existing()
	if err != nil {
		return nil, err
	}
	c, err := control.Dial(ctx, dir)
	if errors.Is(err, control.ErrNoDaemon) {
		return nil, &control.Error{
			Code:      control.CodeUnreachable,
			Message:   fmt.Sprintf("no daemon is running on %s", dir),
			Hint:      "start one with p2pnode daemon",
			Retryable: true,
		}
	}
	return c, err
}

// open returns a client of the daemon, or of the repo itself when none runs.
// The caller closes it.
func (a *app) open(ctx context.Context) (*backend, error) {
	dir, err := a.existing()
	if err != nil {
		return nil, err
	}
	c, err := control.Dial(ctx, dir)
	if err == nil {
		return &backend{Client: c, online: true}, nil
	}
	if !errors.Is(err, control.ErrNoDaemon) {
		return nil, err
	}
	return openLocal(ctx, node.Options{Repo: dir, Offline: true})
}

// openLocal opens the repo itself.
func openLocal(ctx context.Context, o node.Options) (*backend, error) {
	n, err := node.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return &backend{Client: control.Local(control.New(n, control.Options{})), node: n}, nil
}

// backend is the node that a command works on.
type backend struct {
	*control.Client
	online bool       // a daemon's
	node   *node.Node // nil with a daemon
}

// Close gives the repo up, if there was no daemon to keep it.
func (b *backend) Close() error {
	err := b.Client.Close()
	if b.node != nil {
		err = errors.Join(err, b.node.Close())
	}
	return err
}

// explain adds what only this side knows to an error of the node.
func (b *backend) explain(err error) error {
	e := control.Explain(err)
	if e == nil {
		return nil
	}
	if e.Code == control.CodeNotFound && e.Retryable && !b.online {
		offline := *e
		offline.Hint = "no daemon is running, so only the repo was searched: start one with p2pnode daemon"
		return &offline
	}
	return err
}

// with opens the node, runs f on it and gives it up again.
func (a *app) with(ctx context.Context, f func(*backend) error) error {
	b, err := a.open(ctx)
	if err != nil {
		return err
	}
	return b.use(f)
}

// use runs f on the node and gives it up.
func (b *backend) use(f func(*backend) error) error {
	err := b.explain(f(b))
	return errors.Join(err, b.Close())
}
