package swap_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/exchange/swap"
)

// TestLoss: blocks that a peer has sent get lost on the way, while others of the
// same peer arrive. Nobody else has them.
func TestLoss(t *testing.T) {
	for _, c := range []struct {
		n    int
		loss float64
		most time.Duration // without loss it takes 10 s and 2.5 s
	}{{6000, 0.04, 30 * time.Second}, {1500, 0.3, 45 * time.Second}} {
		t.Run(fmt.Sprint(c.loss), func(t *testing.T) {
			for seed := range uint64(4) {
				s := newSim(t, seed)
				s.check = seed == 0 && c.n < 2000
				get, lossy, other := s.node(50*ms, 100*mbps, false), s.node(50*ms, 20*mbps, false), s.node(20*ms, 100*mbps, false)
				lossy.loss = c.loss
				cids := s.blocks(c.n, 4<<10, lossy)
				s.connect(other, get)
				s.connect(lossy, get)
				began := s.now
				get.want(1, cids...)
				s.run(2*time.Minute, get.done)
				took := s.took(get, began)
				st := get.m.Stats()
				t.Logf("seed %d: %v, %d wants out for %d blocks, %d dups", seed, took, st.WantsOut, c.n, st.DupBlocks)
				if took > c.most {
					t.Errorf("seed %d: %d blocks took %v", seed, c.n, took)
				}
			}
		})
	}
}

// TestBurstLoss: several hundred blocks are lost at a time, as when a receiver
// resets streams, while others go on to arrive.
func TestBurstLoss(t *testing.T) {
	s := newSim(t, 1)
	get, lossy, other := s.node(time.Millisecond, 100*mbps, false), s.node(time.Millisecond, 20*mbps, false), s.node(20*ms, 100*mbps, false)
	cids := s.blocks(3000, 4<<10, lossy)
	for i, c := range cids[500:1300] {
		lossy.lost[c] = i % 2 // of each second block, the first copy
	}
	s.connect(other, get)
	s.connect(lossy, get)
	began := s.now
	get.want(1, cids...)
	s.run(2*time.Minute, get.done)
	took := s.took(get, began)
	st := get.m.Stats()
	t.Logf("%v, %d wants out, %d dups", took, st.WantsOut, st.DupBlocks)
	if took > 12*time.Second { // 5 s without loss
		t.Errorf("took %v", took)
	}
}

// TestLossBesideSeed: what one peer loses is fetched from another that has it.
func TestLossBesideSeed(t *testing.T) {
	s := newSim(t, 1)
	get, lossy, seed := s.node(50*ms, 100*mbps, false), s.node(20*ms, 100*mbps, false), s.node(50*ms, 10*mbps, false)
	lossy.loss = 0.04
	cids := s.blocks(1000, 4<<10, lossy, seed)
	s.connect(lossy, get)
	s.connect(seed, get)
	began := s.now
	get.want(1, cids...)
	s.run(time.Minute, get.done)
	if took := s.took(get, began); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestNeverSent: a peer that answers nothing at all, or everything but a few
// blocks, costs time, but not for ever.
func TestNeverSent(t *testing.T) {
	for name, n := range map[string]int{"all lost": 0, "some lost": 100} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 2)
			get, peer := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
			s.connect(get, peer)
			missing := s.blocks(40, 4<<10, peer)
			for _, c := range missing {
				peer.lost[c] = 1000
			}
			began := s.now
			get.want(1, append(s.blocks(n, 4<<10, peer), missing...)...)
			s.run(5*time.Minute, get.done)
			if len(get.got) != n || len(get.failed) != len(missing) {
				t.Errorf("got %d, failed %d", len(get.got), len(get.failed))
			}
			for _, c := range missing {
				if p := get.failed[c].Phase; p != swap.PhaseStalled {
					t.Errorf("failed as %q", p)
				}
			}
			t.Logf("%v, %d wants out", s.now.Sub(began), get.m.Stats().WantsOut)
			if took := s.now.Sub(began); took > 3*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestMutePeer: the only peer answers nothing at all. That is known soon, and
// later than a peer that comes back after a long silence is given up.
func TestMutePeer(t *testing.T) {
	for seed := range uint64(8) {
		for _, n := range []int{1, 32} {
			s := newSim(t, seed)
			get, peer := s.node(50*ms, 100*mbps, n == 1), s.node(50*ms, 100*mbps, false)
			peer.lie = mute
			s.connect(get, peer)
			began := s.now
			get.want(1, s.blocks(n, 4<<10)...)
			s.run(5*time.Minute, get.done)
			if took := s.now.Sub(began); took > 40*time.Second || len(get.failed) != n {
				t.Errorf("seed %d: %d of %d wants failed after %v", seed, len(get.failed), n, took)
			}
		}
		s := newSim(t, seed)
		get, peer := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
		s.connect(get, peer)
		cids := s.blocks(100, 4<<10, peer)
		began := s.now
		get.want(1, cids...)
		peer.lie = mute
		s.after(22*time.Second, func() { peer.lie = honest })
		s.run(5*time.Minute, get.done)
		if len(get.got) != len(cids) {
			t.Errorf("seed %d: got %d of %d after %v from a peer that was silent for 22 s", seed, len(get.got), len(cids), s.now.Sub(began))
		}
	}
}
