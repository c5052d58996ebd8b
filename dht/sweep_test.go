package dht_test

import (
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/dht"
)

// TestRecordsAreSentAgain lets a peer join after a CID was provided: only the
// sweep can bring it the record.
func TestRecordsAreSentAgain(t *testing.T) {
	interval := 2 * time.Second
	store := newStore()
	owner := start(t, dht.Options{ReprovideInterval: interval, Store: store})
	swarm(t, 2, dht.Options{Bootstrap: []peerInfo{owner.info()}})
	c := cidOf(t, "kept alive")
	if err := owner.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return owner.Stats().Provided == 1 })
	late := start(t, dht.Options{Bootstrap: []peerInfo{owner.info()}})
	until(t, "record", func() bool { return late.HasRecord(t.Context(), c.Hash()) })

	// The schedule is saved on stopping, although the reprovider cancels its
	// context first; and what was provided before is known after a restart.
	owner.stop()
	if _, err := store.Get(t.Context(), dsKey("/sweep/p2pnode/avg_prefix_len")); err != nil {
		t.Errorf("read the saved schedule: %v", err)
	}
	again := start(t, dht.Options{ReprovideInterval: interval, Store: store, Bootstrap: []peerInfo{late.info()}})
	last := start(t, dht.Options{Bootstrap: []peerInfo{late.info()}})
	until(t, "record after a restart", func() bool { return last.HasRecord(t.Context(), c.Hash()) })
	if s := again.Stats(); s.Provided != 1 || s.Pending != 0 {
		t.Errorf("after the restart: %+v", s)
	}
}

// TestGrownNetworkTakesThinRecords provides while there is one peer, and lets
// others come.
func TestGrownNetworkTakesThinRecords(t *testing.T) {
	owner := start(t, dht.Options{})
	swarm(t, 1, dht.Options{Bootstrap: []peerInfo{owner.info()}})
	c := cidOf(t, "thin")
	if err := owner.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// Twice if the backlog, which is read once at the start, has it as well.
	until(t, "provide", func() bool { return owner.Stats().ProvidesDone > 0 })
	owner.ProvideThin(t.Context()) // in the same network: nothing to do
	if n := owner.Stats().Pending; n != 0 {
		t.Errorf("%d pending although nothing has grown", n)
	}
	late := swarm(t, 4, dht.Options{Bootstrap: []peerInfo{owner.info()}})
	until(t, "growth", func() bool { return owner.Stats().TableSize == 5 })
	owner.ProvideThin(t.Context())
	for _, n := range late {
		until(t, "record", func() bool { return n.HasRecord(t.Context(), c.Hash()) })
	}
}
