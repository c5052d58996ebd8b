package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/testground/versus/rival"
)

// What scripts need of the software that runs as a peer.
type (
	// sharer shares files.
	sharer interface {
		// Add keeps a file, in chunks of so many bytes, or as many as it likes if
		// that is 0, and lets others know.
		Add(ctx context.Context, r io.Reader, chunk int) (cid.Cid, error)
		// Open reads a file, wherever it is.
		Open(ctx context.Context, root cid.Cid) (io.ReadCloser, error)
		// Received is how many bytes of blocks have come, and how many of them
		// were there already.
		Received() (all, again int64)
	}
	// finder finds who has what.
	finder interface {
		// Provide lets others know that this peer has some bytes, and returns when
		// that is done, or ctx is. The CID is that of the bytes in any case.
		Provide(ctx context.Context, data []byte) (cid.Cid, error)
		FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error]
		// Table is how many peers it knows.
		Table() int
	}
	// speaker tells all who listen.
	speaker interface {
		// Listen has hear called with each message of a topic, and who has passed it
		// on, until the peer stops.
		Listen(topic string, hear func(data []byte, via peer.ID)) (publish func(context.Context, []byte) error, err error)
		// Repeated is how many messages have come that were there already.
		Repeated() uint64
	}
)

var (
	_ sharer  = ours{}
	_ finder  = ours{}
	_ speaker = ours{}
	_ keeper  = ours{}
	_ sharer  = (*rival.Boxo)(nil)
	_ keeper  = (*rival.Boxo)(nil)
	_ finder  = (*rival.Kad)(nil)
	_ speaker = (*rival.Gossipsub)(nil)
)

// Ours is the client that peers are unless told otherwise.
const Ours = "p2pnode"

// Other clients, by what they are good for.
var (
	sharers  = []string{"boxo", "boxo-pin"} // as `ipfs cat` and as `ipfs pin add` fetch
	finders  = []string{"kad-dht"}
	speakers = []string{"gossipsub"}
)

// guest opens a client that is not ours; nil if it is.
func guest(client string) func(context.Context, sim.Seat) (sim.Guest, error) {
	switch client {
	case "boxo":
		return func(ctx context.Context, s sim.Seat) (sim.Guest, error) { return rival.OpenBoxo(ctx, s, rival.Cat) }
	case "boxo-pin":
		return func(ctx context.Context, s sim.Seat) (sim.Guest, error) { return rival.OpenBoxo(ctx, s, rival.Pin) }
	case "kad-dht":
		return func(ctx context.Context, s sim.Seat) (sim.Guest, error) { return rival.OpenKad(ctx, s) }
	case "gossipsub":
		return func(ctx context.Context, s sim.Seat) (sim.Guest, error) { return rival.OpenGossipsub(ctx, s) }
	}
	return nil
}

// clientParam is the parameter that says what the peers are.
func (s Scenario) clientParam() []Param {
	if len(s.Clients) == 0 {
		return nil
	}
	return []Param{{"client", Ours, "what the peers are, or " + strings.Join(s.Clients, ", ")}}
}

// checkClient refuses one that the scenario cannot be run with.
func (s Scenario) checkClient(name string) error {
	known := append([]string{Ours}, s.Clients...)
	if len(s.Clients) > 0 && !slices.Contains(known, name) {
		return fmt.Errorf("scenario %s has no client %q; did you mean %s?", s.Name, name, Nearest(name, known))
	}
	return nil
}

// clientOf reads a parameter that says what some of the peers are; empty: as client says.
func (r *Run) clientOf(name string) string {
	return parse(r, name, func(s string) (string, error) {
		known := append([]string{Ours}, sharers...)
		switch {
		case s == "":
			return r.Text("client"), nil
		case slices.Contains(known, s):
			return s, nil
		}
		return "", fmt.Errorf("no client %q; did you mean %s?", s, Nearest(s, known))
	})
}

// wireParam is what those of the peers speak that are ours.
var wireParam = Param{"wire", wireBoth, "what ours speak: both protocols, or bitswap alone"}

const (
	wireBoth    = "both"
	wireBitswap = "bitswap"
)

// speak has the peers speak what the parameter says, from their start on.
func (r *Run) speak() {
	alone := parse(r, wireParam.Name, func(s string) (bool, error) {
		if s != wireBoth && s != wireBitswap {
			return false, fmt.Errorf("%q, want %s or %s", s, wireBoth, wireBitswap)
		}
		return s == wireBitswap, nil
	})
	for _, p := range r.Net.Peers() {
		p.SetNoSwarm(alone)
	}
}

// start starts a peer: whatever the run's peers are.
func (r *Run) start(ctx context.Context, p *sim.Peer) error {
	return r.startAs(ctx, p, r.Text("client"))
}

// startAs starts a peer that is some client, unless the peers are daemons.
func (r *Run) startAs(ctx context.Context, p *sim.Peer, client string) error {
	open := guest(client)
	if r.Daemon != nil {
		open = r.Daemon
	}
	if open != nil {
		return p.StartGuest(ctx, open)
	}
	return p.Start(ctx)
}

// running is what runs as p, as the script needs it.
func running[T any](p *sim.Peer) T { return runs(p).(T) }

// runs is what runs as p, nil if nothing does.
func runs(p *sim.Peer) any {
	if n := p.Node(); n != nil {
		return ours{n}
	}
	return p.Guest()
}

// sent sums what all peers have sent so far by some protocols.
func (r *Run) sent(is func(protocol.ID) bool) sim.Bytes {
	var sum sim.Bytes
	for _, p := range r.Net.Peers() {
		for id, b := range p.Traffic().ByProtocol() {
			if is(id) {
				sum.Out += b.Out
				sum.Writes += b.Writes
			}
		}
	}
	return sum
}

// asked is how many blocks all peers have asked for so far, or asked about, by name or by
// number, and how many DAGs.
func (r *Run) asked() (n int64) {
	for _, c := range r.Net.Messages() {
		switch c.Type {
		case "WANT_BLOCK", "WANT_HAVE", "REQUEST", "OPEN":
			n += c.Count
		}
	}
	return n
}

func isExchange(id protocol.ID) bool { return slices.Contains(exchange.Protocols(), id) }
func isDHT(id protocol.ID) bool      { return strings.HasSuffix(string(id), "/kad/1.0.0") }
func isGossip(id protocol.ID) bool {
	return strings.HasPrefix(string(id), "/meshsub/") || strings.HasPrefix(string(id), "/floodsub/")
}

// late tells whether err is that time was up.
func late(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// pollTime is how often a script looks whether something is done that tells nobody.
const pollTime = 20 * time.Millisecond
