// Package sim is a network of whole nodes in one process: what a daemon opens, on
// hosts that talk over a network in memory: package fabric, a model of connections,
// or package quicnet, QUIC over packets. Run it in a synctest bubble and its time is
// virtual: idle hours cost seconds, and a busy machine changes nothing.
//
// The only difference to a daemon is what node.Options can say to anyone: extra
// libp2p options, a block store and a datastore. There is no clock to inject and no
// branch for tests in the product.
//
// It is not a scenario: it builds networks and changes them; what happens in them
// and what must hold is for package scenario.
//
// Invariant: a network is a function of its Config and of the calls made; every
// random choice comes from the seed.
package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/wiretap"
)

// Config says what a network is made of.
type Config struct {
	Seed uint64

	// Medium is what peers talk over: Mem, which is the default, or QUIC.
	Medium Medium

	// Latency is how long a packet takes between two peers, one way. Nil: as
	// Regions has it.
	Latency func(a, b *Peer) time.Duration

	// KeepAlive is how long an end of a connection takes to notice that nothing
	// gets through. 0: 30 s. QUIC has patience of its own.
	KeepAlive time.Duration

	// Logger gets what nodes log, with the attribute "peer". Nil discards it.
	Logger *slog.Logger
}

// Network is a set of peers. Its methods are for one goroutine, and its peers' for
// several.
type Network struct {
	config Config
	fabric Fabric
	tap    *wiretap.Tap
	rng    *rand.Rand
	began  time.Time

	mu     sync.Mutex // guards the following
	peers  []*Peer
	byAddr map[netip.Addr]*Peer
}

// New makes an empty network, whose time begins now.
func New(c Config) *Network {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Network{
		config: c, rng: rand.New(rand.NewPCG(c.Seed, 1)), began: time.Now(),
		byAddr: make(map[netip.Addr]*Peer), tap: wiretap.New(),
	}
	if n.config.Latency == nil {
		n.config.Latency = Regions
	}
	if n.config.Medium == nil {
		n.config.Medium = Mem
	}
	n.fabric = n.config.Medium(fabric.Options{Latency: n.latency, KeepAlive: c.KeepAlive, Seed: c.Seed, Tap: n.tap.Stream})
	return n
}

func (n *Network) latency(a, b netip.Addr) time.Duration {
	n.mu.Lock()
	p, q := n.byAddr[a], n.byAddr[b]
	n.mu.Unlock()
	return n.config.Latency(p, q)
}

// SetLatency says how long packets take from now on; see Config. It is called before the
// first peer starts.
func (n *Network) SetLatency(f func(a, b *Peer) time.Duration) { n.config.Latency = f }

// SetLogger has nodes log there that start from now on; see Config.
func (n *Network) SetLogger(l *slog.Logger) { n.config.Logger = l }

// Age is how long the network has existed, in its own time.
func (n *Network) Age() time.Duration { return time.Since(n.began) }

// Messages counts what the peers have sent to each other. Mem can be listened to; on
// other media all is encrypted, and there are none.
func (n *Network) Messages() []wiretap.Count { return n.tap.Counts() }

// Rand is the source of every random choice about the network.
func (n *Network) Rand() *rand.Rand { return n.rng }

// Fabric is what the peers talk over.
func (n *Network) Fabric() Fabric { return n.fabric }

// Peers are all peers, of whatever state, in the order of their making.
func (n *Network) Peers() []*Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Peer(nil), n.peers...)
}

// Up are the peers that run.
func (n *Network) Up() []*Peer {
	var up []*Peer
	for _, p := range n.Peers() {
		if p.Runs() {
			up = append(up, p)
		}
	}
	return up
}

// Each calls f for peers, several at a time, and joins the errors.
func Each(ctx context.Context, peers []*Peer, f func(context.Context, *Peer) error) error {
	errs := make([]error, len(peers))
	var tasks sync.WaitGroup
	for i, p := range peers {
		tasks.Go(func() {
			labelled(ctx, p, func(ctx context.Context) {
				if err := f(ctx, p); err != nil {
					errs[i] = fmt.Errorf("%s: %w", p, err)
				}
			})
		})
	}
	tasks.Wait()
	return errors.Join(errs...)
}

// Close stops all peers, then the network.
func (n *Network) Close() error {
	err := Each(context.Background(), n.Up(), func(_ context.Context, p *Peer) error { return p.Stop() })
	n.fabric.Close()
	return err
}
