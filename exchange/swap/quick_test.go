package swap

import (
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// TestQuick: a peer is quick by what was written to it, not by what failed at once.
func TestQuick(t *testing.T) {
	b, err := block.New([]byte("a block"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	for _, failed := range []bool{false, true} {
		m, now := New(Options{}), time.Unix(1e9, 0)
		m.Step(now, PeerUp{Peer: "ann"})
		for range 2 * quickSize / quantum {
			m.Step(now, Received{Peer: "ann", Entries: []Entry{{Cid: b.Cid()}}})
			for _, a := range m.Step(now, Looked{Peer: "ann", Blocks: []Sized{{Cid: b.Cid(), Size: quantum}}}) {
				if a, ok := a.(Serve); ok {
					m.Step(now, Served{Peer: "ann", Seq: a.Seq, Size: quantum, Failed: failed})
				}
			}
		}
		if quick := m.peers["ann"].ledger.quick; quick != map[bool]int{false: quickSize, true: 0}[failed] {
			t.Errorf("failed %v: %d bytes count", failed, quick)
		}
	}
}
