// Package procs is a network of real p2pnode daemons, one process each, on this machine:
// each in a network namespace of its own with a modelled line (package netns) where the
// system and the user allow it, else all on loopback without any.
//
// The daemons are told what to do by their control API alone (package control), and by the
// signals that end processes. What a simulated network does by reaching into nodes, such as
// to give them routing tables, is not there: daemons learn it from each other, in real time.
//
// Invariant: nothing outlives Close, and on Linux no daemon outlives the process.
package procs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
	"github.com/p2pnode/p2pnode/testground/process"
)

// PeersMax is how many daemons a network may have.
const PeersMax = netns.HostsMax

// Options say what a network is made of.
type Options struct {
	Binary string // p2pnode
	Dir    string // holds the repos; it must exist, and stays
	Peers  int
	// Latency is how long a packet takes between two peers, one way. Nil: none.
	Latency func(from, to int) time.Duration
	// Seed decides jitter and loss. What the daemons draw themselves is not for us.
	Seed uint64
	// Loopback does without namespaces even where they could be made.
	Loopback bool
}

// Network is a set of daemons, which run or not. Its methods are safe for concurrent use.
type Network struct {
	o        Options
	began    time.Time
	lab      *netns.Lab      // nil on loopback
	why      error           // there is no lab
	loopback *process.Thread // that starts the daemons, where there is no lab
	peers    []*Peer

	mu   sync.Mutex // guards the following
	died []error    // of daemons that have ended untold
}

// Open makes a network of daemons that do not run yet.
func Open(o Options) (*Network, error) {
	if o.Peers > PeersMax {
		return nil, fmt.Errorf("open network: %d daemons, want %d at most", o.Peers, PeersMax)
	}
	n := &Network{o: o, began: time.Now(), why: errors.New("not wanted")}
	if !o.Loopback {
		n.lab, n.why = netns.Open(netns.Options{Hosts: o.Peers, Latency: o.Latency, Seed: o.Seed})
	}
	var no *netns.UnavailableError
	if n.lab == nil && !o.Loopback && !errors.As(n.why, &no) {
		return nil, n.why
	}
	if n.lab == nil {
		n.loopback = process.NewThread()
	}
	for i := range o.Peers {
		p := &Peer{net: n, number: i, repo: filepath.Join(o.Dir, fmt.Sprintf("peer-%d", i)), listen: "/ip4/127.0.0.1/tcp/0"}
		if n.lab != nil {
			p.host = n.lab.Hosts()[i]
			p.listen = fmt.Sprintf("/ip4/%s/tcp/%d", p.host.Addr(), port)
		}
		n.peers = append(n.peers, p)
	}
	return n, nil
}

const port = 4001

// Modelled returns nil if the daemons have lines of their own, else why they have not.
func (n *Network) Modelled() error { return n.why }

// Peers are all peers, whether they run or not.
func (n *Network) Peers() []*Peer { return n.peers }

// Age is how long the network has existed.
func (n *Network) Age() time.Duration { return time.Since(n.began) }

// SetCut separates the groups a and b of peers, or joins them again. Without a model of
// lines it is ErrNoModel.
func (n *Network) SetCut(a, b int, c fabric.Cut) error {
	if n.lab == nil {
		return ErrNoModel
	}
	n.lab.SetCut(a, b, c)
	return nil
}

// Lateness tells how late packets have come out; all is zero on loopback.
func (n *Network) Lateness() netns.Lateness {
	if n.lab == nil {
		return netns.Lateness{}
	}
	return n.lab.Lateness()
}

// ErrNoModel is what cannot be done to daemons on loopback.
var ErrNoModel = errors.New("the daemons are on loopback, which cannot be cut")

// Died returns what has become of daemons that ended without being told to.
func (n *Network) Died() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.died...)
}

// Close stops all daemons, and removes their hosts. Its error is about daemons that did
// not end in order, now or before.
func (n *Network) Close() error {
	errs := make([]error, len(n.peers))
	var tasks sync.WaitGroup
	for i, p := range n.peers {
		tasks.Go(func() { errs[i] = p.Stop() })
	}
	tasks.Wait()
	errs = append(errs, n.Died())
	if n.lab != nil {
		errs = append(errs, n.lab.Close())
	} else {
		n.loopback.End()
	}
	return errors.Join(errs...)
}

// Build builds p2pnode, as it is in the module of the current folder, into a folder, and
// returns its path.
func Build(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "p2pnode")
	_, err = process.Run(ctx, process.Command{Path: "go", Args: []string{"build", "-o", binary, daemonPackage}, Stdin: os.Stdin})
	return binary, err
}

const daemonPackage = "github.com/p2pnode/p2pnode/cmd/p2pnode"
