package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/gateway"
	"github.com/p2pnode/p2pnode/node"
)

// daemon is a node with its faces.
type daemon struct {
	node   *node.Node
	dir    string
	config config
	log    *slog.Logger
	stop   func() // asks it to end

	gatewayURL string
	apiURL     string
	faces      []face
}

// face is a server and what it listens on.
type face struct {
	server   *http.Server
	listener net.Listener
}

// open makes the faces that the configuration asks for. They listen already,
// so that nobody is turned away between ready and the first accept.
func (d *daemon) open() error {
	if addr := d.config.text("gateway"); addr != off {
		f, err := openGateway(d.node, addr, d.log)
		if err != nil {
			return err
		}
		d.faces = append(d.faces, f)
		d.gatewayURL = "http://" + f.listener.Addr().String()
	}
	o := control.Options{
		Stop:   d.stop,
		Logger: d.log,
		Status: control.Status{
			Version: thisBuild().Version,
			Repo:    d.dir,
			Network: d.config.text("network"),
			Gateway: d.gatewayURL,
		},
	}
	l, err := control.Listen(d.dir)
	if err != nil {
		return err
	}
	d.faces = append(d.faces, face{control.Server(control.New(d.node, o)), l})
	if addr := d.config.text("api"); addr != off {
		return d.openAPI(addr, o)
	}
	return nil
}

// openAPI serves control on a TCP port, to those who know the token.
func (d *daemon) openAPI(addr string, o control.Options) error {
	var err error
	if o.Token, err = control.Token(d.dir); err != nil {
		return err
	}
	l, err := control.ListenTCP(addr)
	if err != nil {
		return err
	}
	d.faces = append(d.faces, face{control.Server(control.New(d.node, o)), l})
	d.apiURL = "http://" + l.Addr().String()
	return nil
}

func openGateway(n *node.Node, addr string, log *slog.Logger) (face, error) {
	l, err := gateway.Listen(addr)
	if err != nil {
		return face{}, err
	}
	source := func(ctx context.Context) block.Getter { return session{n.Session(ctx)} }
	h, err := gateway.New(source, n.Local(), gateway.Options{Hosts: hostsOf(l.Addr()), Names: n, Logger: log})
	if err != nil {
		return face{}, errors.Join(err, l.Close())
	}
	return face{gateway.Server(h), l}, nil
}

// session is a fetch for the gateway, which tells what it is doing.
type session struct{ *node.Session }

// Phase implements what gateway.New asks for.
func (s session) Phase() string { return s.Progress().Phase }

// hostsOf lists the names under which the gateway is reached when it was told to
// listen beyond this machine: the address itself, or every address of the
// machine if that is unspecified. On loopback there is nothing to add.
func hostsOf(addr net.Addr) []string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return nil
	}
	if !tcp.IP.IsUnspecified() {
		return []string{tcp.IP.String()}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the loopback names work all the same
	}
	var hosts []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts
}

// announce tells where the daemon can be reached.
func (d *daemon) announce(w io.Writer) {
	fmt.Fprintf(w, "peer %s\n", d.node.ID())
	for _, addr := range d.node.Addrs() {
		fmt.Fprintf(w, "listening on %s\n", addr)
	}
	if d.gatewayURL != "" {
		fmt.Fprintf(w, "gateway %s\n", d.gatewayURL)
	}
	if d.apiURL != "" {
		fmt.Fprintf(w, "api %s\n", d.apiURL)
	}
}

// run serves until ctx ends, then lets what runs come to its end.
func (d *daemon) run(ctx context.Context, ready func()) error {
	var serving errgroup.Group
	for _, f := range d.faces {
		serving.Go(func() error {
			err := f.server.Serve(f.listener)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			d.stop() // one face is not enough
			return err
		})
	}
	ready()
	notify("READY=1")
	<-ctx.Done()
	notify("STOPPING=1")
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMax)
	defer cancel()
	var draining errgroup.Group
	for _, f := range d.faces {
		draining.Go(func() error {
			if err := f.server.Shutdown(bound); err != nil {
				d.log.Warn("requests were cut off", "after", drainMax)
				return f.server.Close()
			}
			return nil
		})
	}
	return errors.Join(draining.Wait(), serving.Wait())
}

// drop closes faces that were never served.
func (d *daemon) drop() (err error) {
	for _, f := range d.faces {
		err = errors.Join(err, f.listener.Close())
	}
	return err
}

// close closes the node, and says so when it does not come to an end.
func (d *daemon) close() error {
	closed := make(chan error, 1)
	go func() { closed <- d.node.Close() }() // the process ends with it or without it
	select {
	case err := <-closed:
		return err
	case <-time.After(drainMax):
		return fmt.Errorf("close node: still busy after %s", drainMax)
	}
}
