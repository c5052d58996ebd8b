package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/wire"
	nodegossip "github.com/p2pnode/p2pnode/gossip"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	liarsMax = 10
	// lieEvery is how often a liar writes what is invalid, and meets somebody.
	lieEvery   = 7 * time.Second
	sayTimeMax = 15 * time.Second
)

// liar is a guest that says that it has everything, and has nothing, and writes messages
// that are not valid.
type liar struct {
	mixed *mixed
	host  host.Host
	rng   *rand.Rand
	// poison says that it answers with wrong bytes.
	poison bool
	stop   context.CancelFunc
	tasks  sync.WaitGroup
}

func (l *liar) Host() host.Host { return l.host }

func (l *liar) Close() error {
	l.stop()
	l.tasks.Wait()
	return l.host.Close()
}

// startLiar adds a peer that is a liar: every second one sends wrong bytes, for which
// it will be shunned; the others promise what they do not keep.
func (m *mixed) startLiar(ctx context.Context, number int) error {
	p, err := m.r.Net.Add(sim.PeerOptions{Line: m.r.Line(), Region: m.r.Net.Rand().IntN(sim.RegionCount)})
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(m.r.Net.Rand().Uint64(), 0))
	return p.StartGuest(ctx, func(ctx context.Context, s sim.Seat) (sim.Guest, error) {
		h, err := libp2p.New(append(s.Options, libp2p.DisableMetrics(), libp2p.DisableRelay())...)
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		l := &liar{mixed: m, host: h, rng: rng, stop: stop, poison: number%2 == 1}
		h.SetStreamHandler(wire.Protocol120, func(s network.Stream) { l.answer(s) })
		return l, l.gossip(ctx)
	})
}

// gossip takes part in the topic, without judging anything.
func (l *liar) gossip(ctx context.Context) error {
	name := l.mixed.members[0].p.Node().Stats().DHT.Network
	g, err := nodegossip.New(l.host, nodegossip.Options{Network: name})
	if err != nil {
		return err
	}
	topic, err := g.Join(newsName, nil)
	if err != nil {
		return err
	}
	l.tasks.Go(func() { _ = g.Run(ctx) }) // whatever becomes of a liar
	l.tasks.Go(func() { every(ctx, l.rng, lieEvery, func() { l.lie(ctx, topic) }) })
	return nil
}

// lie meets somebody and writes something.
func (l *liar) lie(ctx context.Context, topic *nodegossip.Topic) {
	up := l.mixed.up()
	if len(up) == 0 {
		return
	}
	if info, err := peer.AddrInfoFromString(one(l.rng, up).p.Addr()); err == nil {
		limited, cancel := context.WithTimeout(ctx, sayTimeMax)
		_ = l.host.Connect(limited, *info) // it may be behind a NAT, or know him by now
		cancel()
	}
	_ = topic.Publish(ctx, fmt.Appendf(nil, "invalid %d", l.rng.Uint64())) // nobody need take it
}

// answer says yes to every question. Then it sends other bytes; or it says of some
// blocks that it has them not, and of the rest nothing.
func (l *liar) answer(s network.Stream) {
	defer s.Close()
	from := wire.NewReader(s)
	for {
		n, err := from.Length()
		if err != nil {
			return
		}
		asked, err := from.Body(n, nil)
		if err != nil {
			s.Reset()
			return
		}
		said := &wire.Message{}
		for _, e := range asked.Entries {
			hash := e.Cid.Hash()
			switch {
			case e.Cancel:
			case e.Have:
				said.Presences = append(said.Presences, wire.Presence{Cid: e.Cid, Have: true})
			case l.poison:
				said.Payloads = append(said.Payloads, wire.Payload{Prefix: e.Cid.Prefix(), Data: fmt.Appendf(nil, "not %s", e.Cid)})
			case hash[len(hash)-1]%2 == 0:
				said.Presences = append(said.Presences, wire.Presence{Cid: e.Cid})
			}
		}
		if !said.Empty() {
			l.say(s.Conn().RemotePeer(), said)
		}
	}
}

// say sends a message on a stream of its own.
func (l *liar) say(to peer.ID, said *wire.Message) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(context.Background(), "liar"), sayTimeMax)
	defer cancel()
	s, err := l.host.NewStream(ctx, to, wire.Protocol120)
	if err != nil {
		return
	}
	s.SetDeadline(time.Now().Add(sayTimeMax))
	if wire.NewWriter(s, wire.Protocol120).Write(said) != nil {
		s.Reset()
		return
	}
	s.Close()
}
