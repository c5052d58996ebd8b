package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Kubo is one Kubo daemon and its repo: profile test, no routing, so that it talks to whom it is
// told and to nobody else. Wherever these are, it asks them all for what it wants.
type Kubo struct {
	Binary string
	Repo   string
	Prefix []string // see Command
	Listen string   // multiaddr; default: a free TCP port on loopback

	*Process // of the daemon, nil until Start
	addr     string
	gateway  string
}

// Start makes the repo where there is none, starts the daemon, and returns when it serves.
func (n *Kubo) Start(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(n.Repo, "config")); errors.Is(err, os.ErrNotExist) {
		if err := n.init(ctx); err != nil {
			return err
		}
	}
	p, err := Start(ctx, n.client([]string{"daemon"}))
	if err != nil {
		return err
	}
	n.Process = p
	if err := n.await(ctx); err != nil {
		p.Kill()
		return err
	}
	return nil
}

func (n *Kubo) init(ctx context.Context) error {
	steps := [][]string{
		{"init", "--profile", "test"},
		{"config", "Routing.Type", "none"},
		// By default it asks peers at private addresses, and leaves the others to routing, of which
		// there is none here: it would ask nobody, and wait for ever.
		{"config", "--bool", "Internal.Bitswap.BroadcastControl.Enable", "false"},
	}
	if n.Listen != "" {
		listen, err := json.Marshal([]string{n.Listen})
		if err != nil {
			return err
		}
		steps = append(steps, []string{"config", "--json", "Addresses.Swarm", string(listen)})
	}
	for _, args := range steps {
		if _, err := n.Command(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (n *Kubo) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ReadyMax, errors.New("not ready in time"))
	defer cancel()
	if _, err := n.Await(ctx, func(s string) bool { return s == "Daemon is ready" }); err != nil {
		return err
	}
	gateway, err := os.ReadFile(filepath.Join(n.Repo, "gateway"))
	if err != nil {
		return fmt.Errorf("read the gateway's address: %w", err)
	}
	n.gateway = strings.TrimSpace(string(gateway))
	id, err := n.Command(ctx, "id", "-f", "<addrs>")
	if err != nil {
		return err
	}
	n.addr = strings.Fields(id)[0]
	return nil
}

// Addr is a multiaddr, with the peer's ID, that others can dial.
func (n *Kubo) Addr() string { return n.addr }

// Gateway is the URL of the HTTP gateway.
func (n *Kubo) Gateway() string { return n.gateway }

// Command runs the client with args and returns what it prints.
func (n *Kubo) Command(ctx context.Context, args ...string) (string, error) {
	return Run(ctx, n.client(args))
}

// CommandTo runs the client with args; what it prints goes to w.
func (n *Kubo) CommandTo(ctx context.Context, w io.Writer, args ...string) error {
	c := n.client(args)
	c.Stdout = w
	_, err := Run(ctx, c)
	return err
}

func (n *Kubo) client(args []string) Command {
	env := []string{"IPFS_PATH=" + n.Repo, "IPFS_TELEMETRY=off"}
	return Command{Path: n.Binary, Args: args, Prefix: n.Prefix, Env: env}
}

// Connect dials the peer at addr.
func (n *Kubo) Connect(ctx context.Context, addr string) error {
	_, err := n.Command(ctx, "swarm", "connect", addr)
	return err
}
