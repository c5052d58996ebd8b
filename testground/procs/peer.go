package procs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
	"github.com/p2pnode/p2pnode/testground/netns/link"
	"github.com/p2pnode/p2pnode/testground/process"
)

// stopMax is how long a daemon may take to end when it was asked to.
const stopMax = 30 * time.Second

// Peer is a daemon, and what it keeps, whether it runs or not. Its methods are safe for
// concurrent use; Start, Stop and Crash of one wait for each other.
type Peer struct {
	net    *Network
	number int
	repo   string
	host   *netns.Host // nil on loopback

	power sync.Mutex // held while the daemon starts or ends

	mu        sync.Mutex // guards the following
	listen    string     // as the daemon is told; on loopback its port is known after the first start
	bootstrap []*Peer
	id        peer.ID
	run       *run // nil while it does not run
	peak      int64
}

// run is one run of the daemon.
type run struct {
	process *process.Process
	client  *control.Client
	told    chan struct{} // closed when it is told to end
}

// ErrDown is returned by calls of a peer that does not run.
var ErrDown = errors.New("peer does not run")

// String is a short name, such as "peer 7".
func (p *Peer) String() string { return fmt.Sprintf("peer %d", p.number) }

// Number counts the peers of a network, from 0.
func (p *Peer) Number() int { return p.number }

// ID is the peer ID, empty before the first start.
func (p *Peer) ID() peer.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

// Addr is a multiaddr with /p2p/ID. It is of use after the first start.
func (p *Peer) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listen + "/p2p/" + p.id.String()
}

// Pid is the id of the daemon's process, 0 if it does not run.
func (p *Peer) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return 0
	}
	return p.run.process.Pid()
}

// Runs tells whether the daemon runs.
func (p *Peer) Runs() bool { return p.Pid() != 0 }

// Control is the API of the running daemon, nil if it does not run.
func (p *Peer) Control() *control.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return nil
	}
	return p.run.client
}

// SetBootstrap names the peers by which p joins when it starts, of which those count that
// have run before.
func (p *Peer) SetBootstrap(by []*Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bootstrap = by
}

// SetLine changes the peer's line from now on. On loopback it changes nothing.
func (p *Peer) SetLine(l fabric.Line) {
	if p.host != nil {
		p.host.SetLine(l)
	}
}

// SetGroup puts the peer into a group, for cuts.
func (p *Peer) SetGroup(group int) {
	if p.host != nil {
		p.host.SetGroup(group)
	}
}

// Traffic is what went over the peer's line so far; nothing on loopback.
func (p *Peer) Traffic() link.Traffic {
	if p.host == nil {
		return link.Traffic{}
	}
	return p.host.Traffic()
}

// MemoryPeak is the most memory that the daemon had in any run that has ended or in the
// present one, in bytes; 0 where the system does not tell.
func (p *Peer) MemoryPeak() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weigh()
	return p.peak
}

// weigh notes the memory of the running daemon; p.mu is held.
func (p *Peer) weigh() {
	if p.run == nil {
		return
	}
	if m, err := p.run.process.Memory(); err == nil { // it may have ended
		p.peak = max(p.peak, m.Peak)
	}
}

// Start starts the daemon with what it has kept, and returns when it serves.
func (p *Peer) Start(ctx context.Context) error {
	p.power.Lock()
	defer p.power.Unlock()
	if p.Runs() {
		return fmt.Errorf("start %s: it runs", p)
	}
	d := p.daemon()
	if p.host != nil {
		p.host.SetSilent(false)
	}
	var started *process.Process
	err := p.do(func() (err error) {
		started, err = d.Launch(context.WithoutCancel(ctx)) // it ends with Stop, Crash or Close
		return err
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", p, err)
	}
	r := &run{process: started, told: make(chan struct{})}
	if err := p.welcome(ctx, r); err != nil {
		started.Kill()
		return fmt.Errorf("start %s: %w", p, err)
	}
	go p.watch(r)
	return nil
}

// do runs f where the daemon is to be.
func (p *Peer) do(f func() error) error {
	if p.host != nil {
		return p.host.Do(f)
	}
	return p.net.loopback.Do(f)
}

func (p *Peer) daemon() *process.P2PNode {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &process.P2PNode{Binary: p.net.o.Binary, Repo: p.repo, Listen: p.listen, Tied: true, Args: []string{"--gateway", "off"}}
	for _, b := range p.bootstrap {
		if b.ID() != "" {
			d.Args = append(d.Args, "--bootstrap", b.Addr())
		}
	}
	return d
}

// welcome waits until the daemon serves, and asks who it is.
func (p *Peer) welcome(ctx context.Context, r *run) error {
	ctx, cancel := context.WithTimeoutCause(ctx, process.ReadyMax, errors.New("not ready in time"))
	defer cancel()
	if _, err := r.process.Await(ctx, func(s string) bool { return s == "ready" }); err != nil {
		return err
	}
	var err error
	if r.client, err = control.Dial(ctx, p.repo); err != nil {
		return err
	}
	who, err := r.client.ID(ctx)
	if err != nil {
		return err
	}
	id, err := peer.Decode(who.ID)
	if err != nil {
		return fmt.Errorf("read peer ID: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id = id
	for _, addr := range who.Addrs {
		if at, _, ok := strings.Cut(addr, "/p2p/"); ok && strings.HasSuffix(p.listen, "/tcp/0") {
			p.listen = at
		}
	}
	p.run = r
	return nil
}

// watch notes it if a daemon ends that was not told to.
func (p *Peer) watch(r *run) {
	<-r.process.Done()
	select {
	case <-r.told:
		return
	default:
	}
	err := r.process.Wait()
	if err == nil {
		err = errors.New("it has ended by itself, in order")
	}
	p.net.mu.Lock()
	p.net.died = append(p.net.died, fmt.Errorf("%s: %w", p, err))
	p.net.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == r {
		p.run = nil
	}
}

// take ends the peer's run for everyone else, and returns it; nil if it does not run.
func (p *Peer) take() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weigh()
	r := p.run
	p.run = nil
	if r != nil {
		close(r.told)
	}
	return r
}

// Stop asks the daemon to end, and returns when it has.
func (p *Peer) Stop() error {
	p.power.Lock()
	defer p.power.Unlock()
	r := p.take()
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	err := r.client.Stop(ctx)
	if err == nil {
		select {
		case <-r.process.Done():
		case <-ctx.Done():
		}
	}
	err = errors.Join(err, r.client.Close(), r.process.Stop()) // which kills it if nothing else helps
	if err != nil {
		return fmt.Errorf("stop %s: %w", p, err)
	}
	return nil
}

// Crash kills the daemon (SIGKILL), and takes its host off the network before, so that
// not even the kernel says goodbye. What is on its disk stays, unless lose says that it is
// gone too; its key stays in any case.
func (p *Peer) Crash(lose bool) error {
	p.power.Lock()
	defer p.power.Unlock()
	r := p.take()
	if r == nil {
		return fmt.Errorf("crash %s: %w", p, ErrDown)
	}
	if p.host != nil {
		p.host.SetSilent(true)
	}
	r.process.Kill()
	err := r.client.Close()
	if lose {
		err = errors.Join(err, p.forget())
	}
	return err
}

// forget removes all of the repo but the key.
func (p *Peer) forget() error {
	entries, err := os.ReadDir(p.repo)
	for _, e := range entries {
		if e.Name() != keyName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(p.repo, e.Name())))
		}
	}
	return err
}

const keyName = "key" // of the file in a repo
