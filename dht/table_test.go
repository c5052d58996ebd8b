package dht_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/dht"
)

func TestRestartNeedsNoBootstrapper(t *testing.T) {
	others := swarm(t, 8, dht.Options{})
	store := newStore()
	first := start(t, dht.Options{Store: store, Bootstrap: []peerInfo{others[0].info()}})
	until(t, "table", func() bool { return first.Stats().TableSize >= 4 })
	key := first.host.Peerstore().PrivKey(first.host.ID())
	first.stop()
	others[0].stop() // whom it knew first is gone

	begin := time.Now()
	again := startWith(t, dht.Options{Store: store}, libp2p.Identity(key))
	until(t, "peer", func() bool { return again.Stats().TableSize > 0 })
	took := time.Since(begin)
	t.Logf("first peer %v after the restart", took)
	if took > 2*time.Second {
		t.Errorf("no peer within 2 s")
	}
}

// TestRestartRemembersTheTable: after a short break nobody needs to be asked for
// the table, and whoever is gone falls out by being asked.
func TestRestartRemembersTheTable(t *testing.T) {
	others := swarm(t, 6, dht.Options{})
	store := newStore()
	first := start(t, dht.Options{Store: store, Bootstrap: []peerInfo{others[0].info()}})
	until(t, "table", func() bool { return first.Stats().TableSize == 6 })
	first.stop()
	for _, n := range others {
		n.stop()
	}
	again := start(t, dht.Options{Store: store})
	until(t, "table from the snapshot", func() bool { return again.Stats().TableSize == 6 })
	if found := again.find(t, cidOf(t, "nobody has it")); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	until(t, "empty table", func() bool { return again.Stats().TableSize == 0 })
}

func TestSnapshotIsBounded(t *testing.T) {
	type known struct {
		ID    peer.ID
		Addrs []string
		Seen  int64
	}
	snapshot := struct {
		Version int
		Peers   []known
	}{Version: 1}
	for range 2 * dht.SnapshotPeersMax {
		_, public, err := crypto.GenerateEd25519Key(nil)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		snapshot.Peers = append(snapshot.Peers, known{id, []string{"/ip4/127.0.0.1/tcp/1", "nonsense"}, 1})
	}
	b, err := json.Marshal(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := dht.DecodeSnapshot(b); n != dht.SnapshotPeersMax || err != nil {
		t.Errorf("%d peers, %v", n, err)
	}
	snapshot.Version = 2
	if b, err = json.Marshal(snapshot); err != nil {
		t.Fatal(err)
	}
	snapshotErr := (*dht.SnapshotError)(nil)
	if _, err := dht.DecodeSnapshot(b); !errors.As(err, &snapshotErr) {
		t.Errorf("newer version: %v", err)
	}
	if _, err := dht.DecodeSnapshot(make([]byte, 2<<20)); !errors.As(err, &snapshotErr) {
		t.Errorf("too large: %v", err)
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"Version":1,"Peers":[{"ID":"12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5","Addrs":["/ip4/127.0.0.1/tcp/1"],"Seen":1}]}`))
	f.Add([]byte(`{"Version":1,"Peers":[{"ID":"x"}]}`))
	f.Add([]byte(`{"Version":9}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := dht.DecodeSnapshot(b)
		snapshotErr := (*dht.SnapshotError)(nil)
		if err != nil && !errors.As(err, &snapshotErr) || n > dht.SnapshotPeersMax {
			t.Fatalf("%d peers, %v", n, err)
		}
	})
}

// TestDamagedSnapshotIsNoObstacle starts a node whose snapshot is not one.
func TestDamagedSnapshotIsNoObstacle(t *testing.T) {
	store := newStore()
	if err := store.Put(t.Context(), dsKey("/table/p2pnode"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	other := start(t, dht.Options{})
	n := start(t, dht.Options{Store: store, Bootstrap: []peerInfo{other.info()}})
	until(t, "peer", func() bool { return n.Stats().TableSize == 1 })
	n.stop()
	b, err := store.Get(t.Context(), dsKey("/table/p2pnode"))
	if err != nil {
		t.Fatal(err)
	}
	if peers, err := dht.DecodeSnapshot(b); peers != 1 || err != nil {
		t.Errorf("%d peers were saved, %v", peers, err)
	}
}
