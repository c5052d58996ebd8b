package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// ReadyMax is how long a daemon may take to serve.
const ReadyMax = 60 * time.Second

// P2PNode is one p2pnode daemon and its repo.
type P2PNode struct {
	Binary string
	Repo   string
	Prefix []string // see Command
	Listen string   // multiaddr; default: a free TCP port on loopback
	Args   []string // further arguments of the daemon
	Tied   bool     // see Command

	*Process // of the daemon, nil until Start
	addr     string
	gateway  string
}

var httpAddr = regexp.MustCompile(`http://[0-9.]+:[0-9]+`)

// Start starts the daemon, and returns when it serves.
func (n *P2PNode) Start(ctx context.Context) error {
	p, err := n.Launch(ctx)
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

// Launch starts the daemon without waiting for it to serve.
func (n *P2PNode) Launch(ctx context.Context) (*Process, error) {
	listen := n.Listen
	if listen == "" {
		listen = "/ip4/127.0.0.1/tcp/0"
	}
	args := []string{"--repo", n.Repo, "daemon", "--listen", listen, "--gateway", "127.0.0.1:0", "--no-mdns", "--network", "testground"}
	return Start(ctx, Command{Path: n.Binary, Args: append(args, n.Args...), Prefix: n.Prefix, Tied: n.Tied})
}

func (n *P2PNode) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ReadyMax, errors.New("not ready in time"))
	defer cancel()
	if _, err := n.Await(ctx, func(s string) bool { return s == "ready" }); err != nil {
		return err
	}
	line, err := n.Await(ctx, httpAddr.MatchString)
	if err != nil {
		return err
	}
	n.gateway = httpAddr.FindString(line)
	id, err := n.Command(ctx, "id")
	if err != nil {
		return err
	}
	for line := range strings.Lines(id) {
		if a := strings.TrimSpace(line); strings.Contains(a, "/tcp/") && strings.Contains(a, "/p2p/") {
			n.addr = a
			return nil
		}
	}
	return fmt.Errorf("start %s: no TCP address in %q", n.command, id)
}

// Addr is a multiaddr, with the peer's ID, that others can dial.
func (n *P2PNode) Addr() string { return n.addr }

// Gateway is the URL of the HTTP gateway.
func (n *P2PNode) Gateway() string { return n.gateway }

// Command runs the client with args and returns what it prints.
func (n *P2PNode) Command(ctx context.Context, args ...string) (string, error) {
	return Run(ctx, n.client(args))
}

// CommandTo runs the client with args; what it prints goes to w.
func (n *P2PNode) CommandTo(ctx context.Context, w io.Writer, args ...string) error {
	c := n.client(args)
	c.Stdout = w
	_, err := Run(ctx, c)
	return err
}

func (n *P2PNode) client(args []string) Command {
	return Command{Path: n.Binary, Args: append([]string{"--repo", n.Repo}, args...), Prefix: n.Prefix}
}

// Connect dials the peer at addr.
func (n *P2PNode) Connect(ctx context.Context, addr string) error {
	_, err := n.Command(ctx, "peers", "connect", addr)
	return err
}
