package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/wire"
	nodegossip "github.com/p2pnode/p2pnode/gossip"
)

const (
	liarsMax = 10
	// lieEvery is how often a liar writes what is invalid, and meets somebody.
	lieEvery = 7 * time.Second
)

// liar is a host that says that it has everything, sends something else, and writes
// messages that are not valid.
type liar struct {
	mixed *mixed
	host  host.Host
	rng   *rand.Rand
}

func (m *mixed) startLiar(ctx context.Context, number int) error {
	addr := netip.AddrFrom4([4]byte{15, byte(number), 0, 7})
	rng := rand.New(rand.NewPCG(m.r.Net.Rand().Uint64(), uint64(number)))
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rng.Uint32())
	}
	key, _, err := crypto.GenerateEd25519Key(rand.NewChaCha8(seed))
	if err != nil {
		return fmt.Errorf("start liar: %w", err)
	}
	h, err := libp2p.New(m.r.Net.Fabric().NIC(addr, m.r.Line()).Transport(), libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/4001", addr)),
		libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Ping(false), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil))
	if err != nil {
		return fmt.Errorf("start liar: %w", err)
	}
	l := &liar{mixed: m, host: h, rng: rng}
	h.SetStreamHandler(wire.Protocol120, func(s network.Stream) { l.answer(s) })
	g, err := nodegossip.New(h, nodegossip.Options{Network: m.members[0].p.Node().Stats().DHT.Network})
	if err != nil {
		return fmt.Errorf("start liar: %w", err)
	}
	topic, err := g.Join(newsName, nil)
	if err != nil {
		return fmt.Errorf("start liar: %w", err)
	}
	m.background.Go(func() {
		defer h.Close()
		if err := g.Run(ctx); err != nil && ctx.Err() == nil {
			m.broken(nil, "a liar ends: %w", err)
		}
	})
	m.background.Go(func() { every(ctx, rng, lieEvery, func() { l.lie(ctx, topic) }) })
	return nil
}

// lie meets somebody and writes something.
func (l *liar) lie(ctx context.Context, topic *nodegossip.Topic) {
	up := l.mixed.up()
	if len(up) == 0 {
		return
	}
	if info, err := peer.AddrInfoFromString(one(l.rng, up).p.Addr()); err == nil {
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		_ = l.host.Connect(limited, *info) // it may be behind a NAT, or know him by now
		cancel()
	}
	_ = topic.Publish(ctx, fmt.Appendf(nil, "invalid %d", l.rng.Uint64())) // nobody need take it
}

// answer says yes to every question, and sends other bytes than those wanted.
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
			switch {
			case e.Cancel:
			case e.Have:
				said.Presences = append(said.Presences, wire.Presence{Cid: e.Cid, Have: true})
			default:
				said.Payloads = append(said.Payloads, wire.Payload{Prefix: e.Cid.Prefix(), Data: fmt.Appendf(nil, "not %s", e.Cid)})
			}
		}
		if !said.Empty() {
			l.say(s.Conn().RemotePeer(), said)
		}
	}
}

// say sends a message on a stream of its own.
func (l *liar) say(to peer.ID, said *wire.Message) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(context.Background(), "liar"), 10*time.Second)
	defer cancel()
	s, err := l.host.NewStream(ctx, to, wire.Protocol120)
	if err != nil {
		return
	}
	s.SetDeadline(time.Now().Add(30 * time.Second))
	if wire.NewWriter(s, wire.Protocol120).Write(said) != nil {
		s.Reset()
		return
	}
	s.Close()
}
