package rival

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	mh "github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// Kad is go-libp2p-kad-dht with its defaults, as a server: nobody in a simulated
// network tells a peer that it can be reached. It is in the same DHT as our nodes.
type Kad struct {
	host host.Host
	dht  *kad.IpfsDHT
}

// OpenKad seats a DHT alone.
func OpenKad(ctx context.Context, s sim.Seat) (*Kad, error) {
	h, err := newHost(s)
	if err != nil {
		return nil, err
	}
	k, err := newKad(ctx, h, s)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return k, nil
}

func newKad(ctx context.Context, h host.Host, s sim.Seat) (*Kad, error) {
	o := []kad.Option{kad.Mode(kad.ModeServer), kad.ProtocolPrefix(s.DHT)}
	if len(s.Bootstrap) > 0 {
		o = append(o, kad.BootstrapPeers(s.Bootstrap...))
	}
	if len(s.Table) > 0 {
		// It has a table, but nowhere to keep when that was refreshed, and would
		// begin by asking everyone.
		o = append(o, kad.DisableAutoRefresh())
	}
	d, err := kad.New(h, o...)
	if err != nil {
		return nil, fmt.Errorf("open kad-dht: %w", err)
	}
	for _, p := range s.Table {
		h.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
		if _, err := d.RoutingTable().TryAddPeer(p.ID, true, false); err != nil {
			continue // its bucket is full
		}
	}
	k := &Kad{h, d}
	if err := k.join(ctx, s.Bootstrap); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return k, nil
}

// join connects to peers that are known to all, of which one is enough.
func (k *Kad) join(ctx context.Context, peers []peer.AddrInfo) error {
	var errs []error
	for _, p := range peers {
		if err := k.host.Connect(ctx, p); err != nil {
			errs = append(errs, err)
		}
	}
	if len(peers) > 0 && len(errs) == len(peers) {
		return fmt.Errorf("join: %w", errors.Join(errs...))
	}
	return k.dht.Bootstrap(ctx)
}

// Host is what it talks over.
func (k *Kad) Host() host.Host { return k.host }

// Close ends the DHT and its host.
func (k *Kad) Close() error { return errors.Join(k.dht.Close(), k.host.Close()) }

// Table is how many peers are in the routing table.
func (k *Kad) Table() int { return k.dht.RoutingTable().Size() }

// Provide tells the network that this peer has some bytes, and returns when it has
// been told.
func (k *Kad) Provide(ctx context.Context, data []byte) (cid.Cid, error) {
	sum, err := mh.Sum(data, mh.SHA2_256, -1)
	if err != nil {
		return cid.Undef, fmt.Errorf("hash: %w", err)
	}
	c := cid.NewCidV1(cid.Raw, sum)
	return c, k.dht.Provide(ctx, c, true)
}

// FindProviders yields the peers that say they have c, as they are found.
func (k *Kad) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		found := k.dht.FindProvidersAsync(ctx, c, 0)
		defer func() {
			cancel()
			for range found { // until the lookup has ended
			}
		}()
		for p := range found {
			if !yield(p, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(peer.AddrInfo{}, err)
		}
	}
}
