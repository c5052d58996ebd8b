package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	ds "github.com/ipfs/go-datastore"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

const bucketSize = 20 // peers at each distance, as in Kademlia

// remember gives a peer that starts for the first time the routing table that it
// would have kept from a run before: the snapshot that package dht reads.
func (p *Peer) remember(ctx context.Context) error {
	key := ds.NewKey("/table").ChildString(networkName)
	if has, err := p.state.Has(ctx, key); len(p.o.Table) == 0 || has || err != nil {
		return err
	}
	type known struct {
		ID    string
		Addrs []string
		Seen  int64
	}
	now := time.Now().Unix()
	snapshot := struct {
		Version   int
		Refreshed int64
		Peers     []known
	}{Version: 1, Refreshed: now}
	for _, o := range p.o.Table {
		snapshot.Peers = append(snapshot.Peers, known{o.id.String(), []string{o.listen()}, now})
	}
	b, err := json.Marshal(snapshot)
	if err != nil {
		return fmt.Errorf("encode routing table: %w", err)
	}
	return p.state.Put(ctx, key, b)
}

// Warm gives peers the routing tables that they would have if they had run for
// long: up to 20 others at each distance. Call it before they start.
func (n *Network) Warm(peers []*Peer) {
	keys := make([]keyspace.Key, len(peers))
	for i, p := range peers {
		keys[i] = keyspace.Of([]byte(p.id))
	}
	for i, p := range peers {
		var buckets [257][]*Peer
		for _, j := range n.rng.Perm(len(peers)) {
			if j == i {
				continue
			}
			if b := &buckets[keyspace.CommonPrefixLen(keys[i], keys[j])]; len(*b) < bucketSize {
				*b = append(*b, peers[j])
			}
		}
		p.o.Table = slices.Concat(buckets[:]...)
		// The nearest first: a snapshot has an end, and they matter most.
		slices.SortStableFunc(p.o.Table, func(a, b *Peer) int {
			return -cmp.Compare(keyspace.CommonPrefixLen(keys[i], keyspace.Of([]byte(a.id))), keyspace.CommonPrefixLen(keys[i], keyspace.Of([]byte(b.id))))
		})
	}
}
