package procs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/testground/process"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	// stopMax is how long a daemon may take to end when it was asked to.
	stopMax = 30 * time.Second
	// bootstrapMax is how many peers a daemon is told of that would have a routing table.
	bootstrapMax = 8

	keyName = "key" // of the file in a repo: libp2p's protobuf encoding
)

// Daemon is one run of p2pnode as a peer. Its methods are safe for concurrent use.
type Daemon struct {
	id      peer.ID
	repo    string
	process *process.Process
	api     *control.Client
	told    atomic.Bool  // to end
	peak    atomic.Int64 // bytes of memory
}

var _ sim.Remote = (*Daemon)(nil)

// Start starts a daemon in a peer's seat, with what the peer has kept, and returns when it
// serves.
func (g *Ground) Start(ctx context.Context, s sim.Seat) (sim.Guest, error) {
	id, err := peer.IDFromPrivateKey(s.Key)
	if err != nil {
		return nil, err
	}
	// A short name, for a socket's path may not be long; that it is the peer's own
	// is checked when the daemon says who it is.
	name := id.String()
	d := &Daemon{id: id, repo: filepath.Join(g.o.Dir, name[len(name)-8:])}
	if err := d.settle(s.Key); err != nil {
		return nil, err
	}
	if d.process, err = g.launch(ctx, d.repo, s); err != nil {
		return nil, err
	}
	if err = g.admit(d); err == nil {
		err = d.welcome(ctx)
	}
	if err != nil {
		d.end()
		return nil, err
	}
	go d.watch(g)
	return d, nil
}

// settle makes the repo, if there is none, with the peer's key.
func (d *Daemon) settle(key crypto.PrivKey) error {
	b, err := crypto.MarshalPrivateKey(key)
	if err == nil {
		err = os.MkdirAll(d.repo, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(d.repo, keyName), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("make repo: %w", err)
	}
	return nil
}

// launch starts the process in the peer's host. It ends with Close, Kill or the ground.
func (g *Ground) launch(ctx context.Context, repo string, s sim.Seat) (p *process.Process, err error) {
	n := process.P2PNode{Binary: g.o.Binary, Repo: repo, Listen: s.Listen, Tied: true, Args: []string{"--gateway", "off"}}
	known := s.Bootstrap
	if len(known) == 0 {
		known = s.Table[:min(len(s.Table), bootstrapMax)]
	}
	for _, b := range known {
		n.Args = append(n.Args, "--bootstrap", fmt.Sprintf("%s/p2p/%s", b.Addrs[0], b.ID))
	}
	start := func() (err error) {
		p, err = n.Launch(context.WithoutCancel(ctx))
		return err
	}
	if g.lab == nil {
		return p, g.loopback.Do(start)
	}
	h := g.host(s.At)
	if h == nil {
		return nil, fmt.Errorf("no host has the address %s: there are %d", s.At, len(g.lab.Hosts()))
	}
	err = h.Do(start)
	return p, err
}

// welcome waits until the daemon serves.
func (d *Daemon) welcome(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, process.ReadyMax, errors.New("not ready in time"))
	defer cancel()
	_, err := d.process.Await(ctx, func(s string) bool { return s == "ready" })
	if err != nil {
		return err
	}
	if d.api, err = control.Dial(ctx, d.repo); err != nil {
		return err
	}
	who, err := d.api.ID(ctx)
	if err == nil && who.ID != d.id.String() {
		err = fmt.Errorf("the daemon is %s, not %s", who.ID, d.id)
	}
	return err
}

// watch notes it if the daemon ends untold.
func (d *Daemon) watch(g *Ground) {
	<-d.process.Done()
	if d.told.Load() {
		return
	}
	err := d.process.Wait()
	if err == nil {
		err = errors.New("it has ended by itself")
	}
	g.mourn(fmt.Errorf("daemon %s: %w", d.id, err))
}

// weigh returns the most memory that the daemon had, in bytes; 0 where the system does
// not tell.
func (d *Daemon) weigh() int64 {
	if m, err := d.process.Memory(); err == nil { // else it has ended
		d.peak.Store(max(d.peak.Load(), m.Peak))
	}
	return d.peak.Load()
}

// Pid is the id of the daemon's process.
func (d *Daemon) Pid() int { return d.process.Pid() }

// Control is the daemon's API.
func (d *Daemon) Control() *control.Client { return d.api }

// Close asks the daemon to end, and returns when it has.
func (d *Daemon) Close() error {
	d.weigh()
	d.told.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	err := d.api.Stop(ctx)
	if err == nil {
		select {
		case <-d.process.Done():
		case <-ctx.Done():
		}
	}
	// Stop kills it if nothing else helps.
	return errors.Join(err, d.api.Close(), d.process.Stop())
}

// Kill implements sim.Remote by SIGKILL. The repo's key stays in any case.
func (d *Daemon) Kill(lose bool) error {
	d.weigh()
	d.end()
	if !lose {
		return nil
	}
	entries, err := os.ReadDir(d.repo)
	for _, e := range entries {
		if e.Name() != keyName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.repo, e.Name())))
		}
	}
	return err
}

// end ends the daemon at once. It may have ended.
func (d *Daemon) end() {
	d.told.Store(true)
	d.process.Kill()
	if d.api != nil {
		d.api.Close() // of a daemon that is gone
	}
}
