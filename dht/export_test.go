package dht

import (
	"context"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"
)

// SnapshotPeersMax is how many peers a snapshot holds.
const SnapshotPeersMax = snapshotPeersMax

// Prefix is the protocol prefix of a network.
func Prefix(name string) (protocol.ID, error) {
	n, err := parseNetwork(name)
	return n.prefix(), err
}

// DecodeSnapshot returns how many peers a snapshot holds.
func DecodeSnapshot(b []byte) (int, error) {
	s, err := decodeSnapshot(b)
	return len(s.Peers), err
}

// DecodeEntry decodes a finished entry of the journal and encodes it again.
func DecodeEntry(b []byte) ([]byte, error) {
	e, err := decodeDone("key", b)
	if err != nil {
		return nil, err
	}
	return encodeDone(e), nil
}

// Journal is the journal on a store.
type Journal struct{ *journal }

// NewJournal opens the journal on a store.
func NewJournal(s datastore.Batching) Journal { return Journal{newJournal(s)} }

// Keys is the journal as the reprovider sees it.
func (j Journal) Keys() keystore.Keystore { return journalKeys(j) }

// Add journals hashes as work to do.
func (j Journal) Add(ctx context.Context, h ...multihash.Multihash) error { return j.add(ctx, h) }

// Remove forgets hashes.
func (j Journal) Remove(ctx context.Context, h ...multihash.Multihash) error {
	return j.remove(ctx, h)
}

// Finish notes hashes as provided.
func (j Journal) Finish(ctx context.Context, h ...multihash.Multihash) error {
	entries := make([]entry, len(h))
	for i := range h {
		entries[i] = entry{hash: h[i], at: time.Unix(1, 0), reach: 2}
	}
	return j.finish(ctx, entries)
}

// Sizes counts what is provided and what waits.
func (j Journal) Sizes() (done, todo int) { return j.sizes() }

// Load counts what the store holds.
func (j Journal) Load(ctx context.Context) error { return j.load(ctx) }

// Backoff is the wait before an attempt.
func Backoff(attempt int, least, most time.Duration) time.Duration {
	return backoff(attempt, least, most)
}

// OutageOver tells after which of these numbers of connected peers an outage is over, -1 if
// it is not.
func OutageOver(peers ...int) int {
	o := outage{lowest: peers[0]}
	for i, n := range peers {
		if o.over(n) {
			return i
		}
	}
	return -1
}

// HasRecord tells whether this node keeps a provider record for a hash.
func (d *DHT) HasRecord(ctx context.Context, h multihash.Multihash) bool {
	c, _ := d.gate.peek()
	if c == nil {
		return false
	}
	providers, err := c.ProviderStore().GetProviders(ctx, h)
	return err == nil && len(providers) > 0
}

// ProvideThin does at once what the backlog does now and then.
func (d *DHT) ProvideThin(ctx context.Context) {
	c, _ := d.gate.peek()
	d.provideThin(ctx, c, 0)
}
