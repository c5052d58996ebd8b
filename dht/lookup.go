package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

const (
	// providersMax is how many providers of one CID are looked for. It bounds what
	// liars can make a lookup remember.
	providersMax = 1024
	// addressLookupsMax is how many providers without addresses are looked up for
	// one CID, and addressLookupsRunning how many of them at once.
	addressLookupsMax     = 16
	addressLookupsRunning = 4
	addressLookupTimeout  = 15 * time.Second
)

// ErrNotFound is the error of FindPeer and GetValue when everyone was asked.
var ErrNotFound = errors.New("not found in the DHT")

// FindProviders looks for peers that have c and yields each of them once, as
// soon as it is heard of, never this node itself. It ends when the lookup does;
// breaking out of the loop ends the lookup.
//
// Records outlive the addresses that came with them, so a provider may come
// without: its addresses are looked for, and it is yielded without only if there
// are none. An error comes last: ErrNoPeers if there was nobody to ask, or the
// context's.
func (d *DHT) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		lookup, cancel := context.WithCancel(ctx)
		found := make(chan peer.AddrInfo)
		var err error
		go func() {
			defer close(found)
			err = d.findProviders(lookup, c, found)
		}()
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
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(peer.AddrInfo{}, fmt.Errorf("find providers of %s: %w", c, err))
		}
	}
}

// findProviders sends providers to found until the lookup and the lookups for
// missing addresses are over.
func (d *DHT) findProviders(ctx context.Context, c cid.Cid, found chan<- peer.AddrInfo) error {
	if !c.Defined() {
		return errors.New("undefined CID")
	}
	d.counts.lookups.Add(1)
	ctx, k, leave, err := d.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	d.awaitJoin(ctx, k)
	alone := k.RoutingTable().Size() == 0
	send := func(p peer.AddrInfo) {
		select {
		case found <- p:
		case <-ctx.Done():
		}
	}
	// One who is heard of without addresses may be heard of again with them.
	seen := providerSet{state: make(map[peer.ID]bool)}
	var searches sync.WaitGroup
	slots := make(chan struct{}, addressLookupsRunning)
	for p := range k.FindProvidersAsync(ctx, c, providersMax) {
		if p.ID == d.host.ID() {
			continue
		}
		if len(p.Addrs) == 0 {
			p = k.Host().Peerstore().PeerInfo(p.ID)
		}
		alone = false
		switch {
		case len(p.Addrs) > 0:
			if seen.claim(p.ID) {
				send(p)
			}
		case seen.note(p.ID):
			searches.Go(func() {
				p := searchAddrs(ctx, k, p, slots)
				if len(p.Addrs) > 0 && seen.claim(p.ID) {
					send(p)
				}
			})
		}
	}
	searches.Wait()
	for _, p := range seen.unclaimed() {
		send(peer.AddrInfo{ID: p})
	}
	if alone && ctx.Err() == nil {
		return ErrNoPeers
	}
	return nil
}

// searchAddrs looks a provider's addresses up, when a slot is free.
func searchAddrs(ctx context.Context, k *core, p peer.AddrInfo, slots chan struct{}) peer.AddrInfo {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return p
	}
	defer func() { <-slots }()
	ctx, cancel := context.WithTimeout(ctx, addressLookupTimeout)
	defer cancel()
	if found, err := k.FindPeer(ctx, p.ID); err == nil {
		return found
	}
	return p
}

// providerSet remembers which providers a lookup has heard of.
type providerSet struct {
	mu    sync.Mutex // guards the following
	state map[peer.ID]bool
	bare  int
}

// claim is true for the one who may yield p.
func (s *providerSet) claim(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state[p] {
		return false
	}
	s.state[p] = true
	return true
}

// note is true if the addresses of p, heard of for the first time, should be
// searched for.
func (s *providerSet) note(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.state[p]; known {
		return false
	}
	s.state[p] = false
	s.bare++
	return s.bare <= addressLookupsMax
}

// unclaimed lists those of whom nobody knew an address.
func (s *providerSet) unclaimed() []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []peer.ID
	for p, claimed := range s.state {
		if !claimed {
			all = append(all, p)
		}
	}
	return all
}

// FindPeer returns the addresses of a peer. Of a connected peer that has not
// said yet where it listens, they are the far ends of its connections.
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	var found peer.AddrInfo
	err := d.lookup(ctx, func(ctx context.Context, c *core) (err error) {
		if found, err = c.FindPeer(ctx, id); err != nil || len(found.Addrs) > 0 {
			return err
		}
		for _, conn := range d.host.Network().ConnsToPeer(id) {
			found.Addrs = append(found.Addrs, conn.RemoteMultiaddr())
		}
		if len(found.Addrs) == 0 {
			return ErrNotFound
		}
		return nil
	})
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, err)
	}
	return found, nil
}

// GetValue returns the best signed record under a key such as "/ipns/NAME" or
// "/pk/ID", where NAME and ID are binary.
func (d *DHT) GetValue(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	err := d.lookup(ctx, func(ctx context.Context, c *core) (err error) {
		value, err = c.GetValue(ctx, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get value %q: %w", key, err)
	}
	return value, nil
}

// PutValue stores a signed record with the peers nearest to its key. It refuses
// one that does not validate, or that is older than what is there.
func (d *DHT) PutValue(ctx context.Context, key string, value []byte) error {
	err := d.lookup(ctx, func(ctx context.Context, c *core) error {
		return c.PutValue(ctx, key, value)
	})
	if err != nil {
		return fmt.Errorf("put value %q: %w", key, err)
	}
	return nil
}

// lookup runs f through the gate and translates its error.
func (d *DHT) lookup(ctx context.Context, f func(context.Context, *core) error) error {
	d.counts.lookups.Add(1)
	ctx, c, leave, err := d.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	d.awaitJoin(ctx, c)
	err = f(ctx, c)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, kbucket.ErrLookupFailure):
		return ErrNoPeers
	case errors.Is(err, routing.ErrNotFound) && c.RoutingTable().Size() == 0:
		return ErrNoPeers
	case errors.Is(err, routing.ErrNotFound):
		return ErrNotFound
	default:
		return err
	}
}

// WaitPeers returns once there is somebody to ask, or with the error of ctx. It
// returns ErrNoPeers at once when the DHT is not running.
func (d *DHT) WaitPeers(ctx context.Context) error {
	ctx, c, leave, err := d.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return waitPeers(ctx, c)
}
