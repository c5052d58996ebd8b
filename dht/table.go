package dht

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	snapshotInterval = 30 * time.Second
	snapshotFirst    = 2 * time.Second // for nodes that do not live long
	// snapshotPeersMax and snapshotAddrsMax bound the snapshot, to some 100 KiB. A table
	// has 20 peers at each distance: 180 of a network of 5,000, 350 of a million. One that
	// was cut short would leave the node without neighbours, or blind to a part of the
	// network, until the first refresh.
	snapshotPeersMax = 512
	snapshotAddrsMax = 8
	snapshotSizeMax  = 1 << 20 // bytes that are read back
	// snapshotAgeMax is for how long a peer that was not seen again is kept.
	snapshotAgeMax  = 30 * 24 * time.Hour
	snapshotVersion = 1
	// recallAgeMax is for how long a peer is taken into the table unseen.
	recallAgeMax = time.Hour
)

// SnapshotError is a routing-table snapshot that cannot be used.
type SnapshotError struct{ What string }

func (e *SnapshotError) Error() string {
	return "read routing-table snapshot: " + e.What
}

// snapshot is the routing table as it is saved, as JSON.
type snapshot struct {
	Version   int
	Refreshed int64 `json:",omitempty"` // Unix seconds
	Peers     []knownPeer
}

// knownPeer is a peer that was once in the table.
type knownPeer struct {
	peer.AddrInfo
	Seen time.Time
}

// MarshalJSON keeps AddrInfo's own from hiding Seen.
func (p knownPeer) MarshalJSON() ([]byte, error) {
	return json.Marshal(knownPeerJSON{p.ID, addrStrings(p.Addrs), p.Seen.Unix()})
}

// UnmarshalJSON passes over addresses of kinds that are not known here.
func (p *knownPeer) UnmarshalJSON(b []byte) error {
	var raw knownPeerJSON
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*p = knownPeer{peer.AddrInfo{ID: raw.ID}, time.Unix(raw.Seen, 0)}
	for _, s := range raw.Addrs[:min(len(raw.Addrs), snapshotAddrsMax)] {
		if a, err := ma.NewMultiaddr(s); err == nil {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return nil
}

type knownPeerJSON struct {
	ID    peer.ID
	Addrs []string
	Seen  int64 // Unix seconds
}

func addrStrings(addrs []ma.Multiaddr) []string {
	s := make([]string, 0, min(len(addrs), snapshotAddrsMax))
	for _, a := range addrs[:min(len(addrs), snapshotAddrsMax)] {
		s = append(s, a.String())
	}
	return s
}

func decodeSnapshot(b []byte) (snapshot, error) {
	var s snapshot
	if len(b) > snapshotSizeMax {
		return s, &SnapshotError{fmt.Sprintf("%d bytes, more than %d", len(b), snapshotSizeMax)}
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return snapshot{}, &SnapshotError{err.Error()}
	}
	if s.Version != snapshotVersion {
		return snapshot{}, &SnapshotError{fmt.Sprintf("version %d is not known", s.Version)}
	}
	s.Peers = slices.DeleteFunc(s.Peers, func(p knownPeer) bool {
		return p.ID.Validate() != nil || len(p.Addrs) == 0
	})
	s.Peers = s.Peers[:min(len(s.Peers), snapshotPeersMax)]
	return s, nil
}

// merge puts the peers of now before those of old, newest first, within bounds.
func merge(now, old []knownPeer, at time.Time) []knownPeer {
	seen := make(map[peer.ID]bool, len(now))
	all := make([]knownPeer, 0, len(now)+len(old))
	for _, p := range slices.Concat(now, old) {
		if !seen[p.ID] && len(p.Addrs) > 0 && at.Sub(p.Seen) < snapshotAgeMax {
			seen[p.ID] = true
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b knownPeer) int { return cmp.Compare(b.Seen.Unix(), a.Seen.Unix()) })
	return all[:min(len(all), snapshotPeersMax)]
}

// snapshots is where the routing table is kept between runs.
type snapshots struct {
	store ds.Batching
	key   ds.Key
}

// load returns no peers when there is no snapshot yet.
func (s *snapshots) load(ctx context.Context) (snapshot, error) {
	b, err := s.store.Get(ctx, s.key)
	if errors.Is(err, ds.ErrNotFound) {
		return snapshot{}, nil
	}
	if err != nil {
		return snapshot{}, err
	}
	return decodeSnapshot(b)
}

func (s *snapshots) save(ctx context.Context, snap snapshot) error {
	b, err := json.Marshal(snap)
	if err != nil {
		return err
	}
	if err := s.store.Put(ctx, s.key, b); err != nil {
		return err
	}
	return s.store.Sync(ctx, s.key)
}

// saveTable saves the routing table when it has changed, and when ctx ends.
func (d *DHT) saveTable(ctx context.Context, c *core) {
	var saved []peer.ID
	var refreshed int64
	save := func() {
		table := tablePeers(c)
		ids := make([]peer.ID, len(table))
		for i, p := range table {
			ids[i] = p.ID
		}
		slices.Sort(ids)
		// An empty table says nothing about the network, only about this moment.
		last := d.refreshed.Load()
		if len(ids) == 0 || slices.Equal(ids, saved) && last == refreshed {
			return
		}
		ctx := context.WithoutCancel(ctx)
		old, err := d.snapshots.load(ctx)
		if err != nil {
			d.log.Warn("replace routing-table snapshot", "error", err)
		}
		peers := merge(table, old.Peers, time.Now())
		if err := d.snapshots.save(ctx, snapshot{snapshotVersion, last, peers}); err != nil {
			d.log.Warn("save routing table", "error", err)
			return
		}
		saved, refreshed = ids, last
	}
	timer := time.NewTimer(min(snapshotFirst, d.o.SnapshotInterval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			save()
			return
		case <-timer.C:
			save()
			timer.Reset(d.o.SnapshotInterval)
		}
	}
}

// recall takes those who were there a short while ago into the table. Whoever of
// them is gone falls out again when it is first asked in vain.
func (d *DHT) recall(c *core, known []knownPeer) {
	for _, p := range known {
		if p.ID == d.host.ID() || time.Since(p.Seen) > recallAgeMax {
			continue
		}
		d.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.AddressTTL)
		_, _ = c.RoutingTable().TryAddPeer(p.ID, false, true) // a full bucket needs no more
	}
}

func tablePeers(c *core) []knownPeer {
	now := time.Now()
	var peers []knownPeer
	for _, p := range c.RoutingTable().ListPeers() {
		if info := c.Host().Peerstore().PeerInfo(p); len(info.Addrs) > 0 {
			peers = append(peers, knownPeer{info, now})
		}
	}
	return peers
}
