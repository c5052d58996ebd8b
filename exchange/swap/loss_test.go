package swap_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

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

// TestManyBehindOneMutePeer: of many wants that nobody answers, the last is given up soon
// after the first.
func TestManyBehindOneMutePeer(t *testing.T) {
	s := newSim(t, 1)
	get, seed := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
	seed.lie = mute
	cids := s.blocks(900, 400, seed)
	s.connect(seed, get)
	began := s.now
	get.want(1, cids...)
	s.run(30*time.Minute, func() bool { return len(get.failed) == len(cids) })
	if took := s.now.Sub(began); len(get.failed) < len(cids) || took > 3*time.Minute {
		t.Errorf("%d of %d are given up after %v", len(get.failed), len(cids), took)
	}
}

// TestComingBackIsNoHope: who promises a block and does not send it can put its refusal off,
// but not for ever by coming back.
func TestComingBackIsNoHope(t *testing.T) {
	s := newSim(t, 1)
	get, stays, returns := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
	stays.lie, returns.lie = haveSilent, haveSilent
	cids := s.blocks(1, 400, stays, returns)
	s.connect(stays, get)
	s.connect(returns, get)
	began := s.now
	get.want(1, cids...)
	for i := range 60 {
		s.after(time.Duration(10*i+8)*time.Second, func() { s.disconnect(returns, get) })
		s.after(time.Duration(10*i+9)*time.Second, func() { s.connect(returns, get) })
	}
	s.run(10*time.Minute, func() bool { return len(get.failed) == 1 })
	if took := s.now.Sub(began); len(get.failed) != 1 || took > 100*time.Second {
		t.Errorf("%d of 1 is given up after %v", len(get.failed), took)
	}
}

// TestSlowSearches: in a network in which searches are slow, what nobody has is refused in
// time, also if somebody has promised it: that he is waited for does not add to the searches.
func TestSlowSearches(t *testing.T) {
	for _, promised := range []bool{false, true} {
		s := newSim(t, 1)
		s.searchTime = 40 * time.Second
		get, peer := s.node(50*ms, 100*mbps, true), s.node(50*ms, 100*mbps, false)
		var cids []cid.Cid
		if promised {
			peer.lie = haveSilent
			cids = s.blocks(1, 400, peer)
		} else {
			cids = s.blocks(1, 400)
		}
		s.connect(peer, get)
		began := s.now
		get.want(1, cids...)
		s.run(10*time.Minute, func() bool { return len(get.failed) == 1 })
		if took := s.now.Sub(began); len(get.failed) != 1 || took > 90*time.Second || took < 2*s.searchTime {
			t.Errorf("promised %v: %d of 1 is refused after %v", promised, len(get.failed), took)
		}
	}
}
