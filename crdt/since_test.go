package crdt_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func idsOf(r *replica) []commit.ID {
	var ids []commit.ID
	for _, h := range r.heads() {
		ids = append(ids, h.ID)
	}
	return ids
}

// Whoever is sent what is there since their landmarks lacks nothing, and is sent not much that
// they have.
func TestSinceLandmarks(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	r := group(t, 4)
	sent, wasted := 0, 0
	for range 60 {
		a, b := r[rng.IntN(len(r))], r[rng.IntN(len(r))]
		for range rng.IntN(9) {
			a.edit(func(tx *crdt.Tx) { tx.Counter("n").Add(1) })
		}
		ids := a.Since(idsOf(a), b.Landmarks(256))
		twice := 0
		var blocks []block.Block
		for _, id := range ids {
			if b.Has(id) {
				twice++
			}
			blocks = append(blocks, a.blocks[id])
		}
		fresh := len(b.receive(blocks, a.heads()...).Applied)
		for _, h := range a.heads() {
			if !b.Has(h.ID) {
				t.Fatalf("%d commits did not bring head %s", len(ids), h.ID)
			}
		}
		if fresh+twice != len(ids) {
			t.Fatalf("of %d commits %d were there and %d applied", len(ids), twice, fresh)
		}
		sent, wasted = sent+fresh, wasted+twice
	}
	if wasted > sent {
		t.Errorf("%d commits were sent in vain, %d not", wasted, sent)
	}
	if got := r[0].Since(nil, nil); len(got) != 0 {
		t.Errorf("nothing since nothing: got %d", len(got))
	}
	if got := r[0].Since(idsOf(r[0]), nil); len(got) != r[0].Len() || got[0] != r[0].ID() {
		t.Errorf("all: got %d of %d", len(got), r[0].Len())
	}
	if got := r[0].Landmarks(3); len(got) > 3 || !slices.Contains(idsOf(r[0]), got[0]) {
		t.Errorf("landmarks: got %v", got)
	}
}
