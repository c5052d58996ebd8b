// Package procs runs real p2pnode daemons, one process each, as the peers of a network of
// package sim: each in a network namespace of its own with a modelled line (package netns)
// where the system and the user allow it, else all on loopback without any.
//
// The daemons are told what to do by their control API alone (package control), by their
// command line, and by signals. Before the first start, a daemon's key is put into its repo,
// as an operator may. What a simulated network does by reaching into nodes, such as to give
// them routing tables, is not there, and time is real.
//
// Invariant: nothing outlives Close, and on Linux no daemon outlives this process.
package procs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
	"github.com/p2pnode/p2pnode/testground/process"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// PeersMax is how many daemons there may be.
const PeersMax = netns.HostsMax

// Options say what the ground is made of.
type Options struct {
	Binary string // p2pnode
	Dir    string // holds the repos; it must exist, and is not removed
	Peers  int    // most of them
	Seed   uint64 // decides jitter and loss; what the daemons draw is not for us
	// Loopback does without namespaces even where they could be made.
	Loopback bool
}

// Ground is what daemons run on. It is the fabric of one network: pass its Medium to
// sim.New, and its Start to sim.Peer.StartGuest. Its methods are safe for concurrent use.
type Ground struct {
	o        Options
	lab      *netns.Lab // nil on loopback
	why      error      // there is no lab
	loopback *process.Thread
	once     sync.Once

	mu      sync.Mutex // guards the following
	latency func(a, b netip.Addr) time.Duration
	ports   map[netip.Addr]int  // of peers on loopback
	nobody  error               // a port could not be had
	died    []error             // daemons that have ended untold
	daemons map[peer.ID]*Daemon // the last one of each peer
}

// Open makes ground for daemons, or an error that tells why there is none. That the
// daemons have no lines is none: Lines tells.
func Open(o Options) (*Ground, error) {
	if o.Peers > PeersMax {
		return nil, fmt.Errorf("open ground: %d daemons, want %d at most", o.Peers, PeersMax)
	}
	g := &Ground{o: o, ports: make(map[netip.Addr]int), daemons: make(map[peer.ID]*Daemon)}
	if o.Loopback {
		g.why = errors.New("nobody wants them")
	} else {
		g.lab, g.why = netns.Open(netns.Options{Hosts: o.Peers, Latency: g.delay, Seed: o.Seed})
	}
	var no *netns.UnavailableError
	if g.lab == nil && !o.Loopback && !errors.As(g.why, &no) {
		return nil, fmt.Errorf("open ground: %w", g.why)
	}
	if g.lab == nil {
		g.loopback = process.NewThread()
	}
	return g, nil
}

// Lines returns nil if the daemons have lines of their own, else why they have not.
func (g *Ground) Lines() error { return g.why }

// Lateness tells how late packets have come out; it is zero on loopback.
func (g *Ground) Lateness() netns.Lateness {
	if g.lab == nil {
		return netns.Lateness{}
	}
	return g.lab.Lateness()
}

// Medium makes the ground the fabric of a network.
func (g *Ground) Medium(o fabric.Options) sim.Fabric {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latency = o.Latency
	return g
}

func (g *Ground) delay(from, to int) time.Duration {
	g.mu.Lock()
	latency := g.latency
	g.mu.Unlock()
	if latency == nil {
		return 0
	}
	return latency(g.lab.Hosts()[from].Addr(), g.lab.Hosts()[to].Addr())
}

// Listen implements sim.Fabric.
func (g *Ground) Listen(at netip.AddrPort) string {
	if g.lab != nil {
		return fmt.Sprintf("/ip4/%s/tcp/%d", at.Addr(), at.Port())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ports[at.Addr()] == 0 {
		g.ports[at.Addr()] = g.freePort()
	}
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", g.ports[at.Addr()])
}

// freePort is a port of loopback that nobody has; g.mu is held. It may be taken until a
// daemon listens there, which then says so.
func (g *Ground) freePort() int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		g.nobody = err
		return 0
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// SetCut implements sim.Fabric. On loopback nothing is cut.
func (g *Ground) SetCut(a, b int, c fabric.Cut) {
	if g.lab != nil {
		g.lab.SetCut(a, b, c)
	}
}

// Trace implements sim.Fabric: no two runs of daemons are the same.
func (g *Ground) Trace() [32]byte { return [32]byte{} }

// Died returns what has become of daemons that have ended without being told to.
func (g *Ground) Died() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(append(g.died, g.nobody)...)
}

func (g *Ground) mourn(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.died = append(g.died, err)
}

// Close implements sim.Fabric: it ends daemons that still run at once, and removes their hosts.
func (g *Ground) Close() {
	g.once.Do(func() {
		g.mu.Lock()
		daemons := g.daemons
		g.daemons = nil
		g.mu.Unlock()
		for _, d := range daemons {
			d.end()
		}
		if g.lab == nil {
			g.loopback.End()
			return
		}
		if err := g.lab.Close(); err != nil {
			g.mourn(err)
		}
	})
}

// admit notes a daemon, unless the ground is closed.
func (g *Ground) admit(d *Daemon) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.daemons == nil {
		return errors.New("the ground is closed")
	}
	if last := g.daemons[d.id]; last != nil {
		d.peak.Store(last.peak.Load())
	}
	g.daemons[d.id] = d
	return nil
}

// PeakMB is the most memory that each peer's daemons had.
func (g *Ground) PeakMB() map[peer.ID]float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	peaks := make(map[peer.ID]float64)
	for id, d := range g.daemons {
		peaks[id] = float64(d.weigh()) / 1e6
	}
	return peaks
}

// Build builds p2pnode, as it is in the module of the current folder, into a folder, and
// returns its path.
func Build(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "p2pnode")
	_, err = process.Run(ctx, process.Command{Path: "go", Args: []string{"build", "-o", binary, daemonPackage}})
	return binary, err
}

const daemonPackage = "github.com/p2pnode/p2pnode/cmd/p2pnode"
