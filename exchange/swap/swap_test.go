package swap_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

const (
	ms   = time.Millisecond
	mbps = 1e6 / 8 // bytes/s
)

// took is how long the node needed, and fails the test if it did not get all.
func (s *sim) took(n *node, began time.Time) time.Duration {
	s.t.Helper()
	if len(n.got) != n.need {
		s.t.Fatalf("%s got %d of %d blocks; failed: %v; faults %v", n.id, len(n.got), n.need, n.failed, n.faults)
	}
	return n.doneAt.Sub(began)
}

func TestOneSeed(t *testing.T) {
	for _, c := range []struct{ n, size int }{{64, 256 << 10}, {16, 1 << 20}, {3000, 4 << 10}} {
		s := newSim(t, 1)
		s.check = c.n < 1000
		seed, get := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
		cids := s.blocks(c.n, c.size, seed)
		s.connect(seed, get)
		began := s.now
		get.want(1, cids...)
		s.run(time.Minute, get.done)
		limit := 50*ms + time.Duration(float64(c.n*c.size)/(100*mbps)*float64(time.Second))
		if took := s.took(get, began); took > limit*5/4 {
			t.Errorf("%d blocks of %d bytes took %v, limit %v", c.n, c.size, took, limit)
		}
		if d := get.m.Stats().DupBlocks; d > 0 {
			t.Errorf("%d duplicates from one seed", d)
		}
	}
}

func TestFourSeedsShareTheWork(t *testing.T) {
	s := newSim(t, 2)
	get := s.node(50*ms, 100*mbps, false)
	var seeds []*node
	for range 4 {
		seeds = append(seeds, s.node(50*ms, 25*mbps, false))
	}
	root, cids := s.blocks(1, 2000, seeds...), s.blocks(128, 256<<10, seeds...)
	for _, n := range seeds {
		s.connect(n, get)
	}
	began := s.now
	get.want(1, root...)
	s.run(time.Minute, get.done)
	get.want(1, cids...)
	s.run(time.Minute, get.done)
	limit := 100*ms + time.Duration(float64(128*256<<10)/(100*mbps)*float64(time.Second))
	took := s.took(get, began)
	st := get.m.Stats()
	t.Logf("%v, limit %v: %.2f×; dups %d", took, limit, float64(took)/float64(limit), st.DupBlocks)
	if took > limit*13/10 || st.DupBlocks > 1 {
		t.Errorf("%v, limit %v; %d duplicates", took, limit, st.DupBlocks)
	}
}

// TestSlowHolders: those who send without pause, but slowly, do not keep what a fast
// one could deliver, nor are they all that is asked.
func TestSlowHolders(t *testing.T) {
	for _, n := range []int{4, 12} {
		s := newSim(t, uint64(n))
		s.progress = true
		get, fast := s.node(50*ms, 50*mbps, false), s.node(90*ms, 50*mbps, false)
		holders := []*node{fast}
		for range n {
			holders = append(holders, s.node(20*ms, mbps/4, false))
		}
		root, leaves := s.blocks(1, 200, holders...), s.blocks(32, 256<<10, holders...)
		for _, n := range slices.Backward(holders) {
			s.connect(n, get)
		}
		began := s.now
		get.want(1, root...)
		s.run(time.Minute, get.done)
		get.want(1, leaves...)
		s.run(2*time.Minute, get.done)
		took := s.took(get, began)
		t.Logf("%d slow: %v, dups %d", n, took, get.m.Stats().DupBlocks)
		if took > 5*time.Second { // the fast one alone takes 1.4 s
			t.Errorf("%d slow ones: took %v", n, took)
		}
	}
}

// TestLiars: peers that break their word cost time, never the fetch.
func TestLiars(t *testing.T) {
	for name, l := range map[string]lie{"have then silent": haveSilent, "corrupt": corrupt, "mute": mute, "have then don't": haveThenDont} {
		for _, n := range []int{1, 4, 8} {
			t.Run(fmt.Sprintf("%d %s", n, name), func(t *testing.T) {
				s := newSim(t, uint64(n))
				get, seed := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
				cids := s.blocks(64, 256<<10, seed)
				for range n {
					x := s.node(40*ms, 100*mbps, false)
					x.lie = l
					s.connect(x, get)
				}
				s.connect(seed, get)
				began := s.now
				get.want(1, cids...)
				s.run(time.Minute, get.done)
				took := s.took(get, began)
				st := get.m.Stats()
				t.Logf("%v (clean 1.4s), dups %d, faults %v", took, st.DupBlocks, get.faults)
				if took > 5*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}

func TestMissingFails(t *testing.T) {
	for name, c := range map[string]struct {
		peers, providers, offline int
		search                    bool
		phase                     swap.Phase
	}{
		"nobody at all":        {phase: swap.PhaseNoPeers},
		"peers without it":     {peers: 3, phase: swap.PhaseNoProviders},
		"search finds nobody":  {peers: 3, search: true, phase: swap.PhaseNoProviders},
		"undialable":           {providers: 2, offline: 2, search: true, phase: swap.PhaseUndialable},
		"providers without it": {providers: 2, search: true, phase: swap.PhaseRefused},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 3)
			get := s.node(50*ms, 100*mbps, c.search)
			cids := s.blocks(1, 1000)
			for range c.peers {
				s.connect(get, s.node(50*ms, 100*mbps, false))
			}
			for i := range c.providers {
				p := s.node(50*ms, 100*mbps, false)
				p.offline = i < c.offline
				s.providers[cids[0]] = append(s.providers[cids[0]], p.id)
			}
			began := s.now
			get.want(1, cids...)
			s.run(time.Minute, get.done)
			if r, ok := get.failed[cids[0]]; !ok || r.Phase != c.phase || r.Providers != c.providers || r.Undialable != c.offline {
				t.Errorf("failed with %+v", get.failed)
			}
			if d := s.now.Sub(began); d > 10*time.Second {
				t.Errorf("took %v to fail", d)
			}
		})
	}
}

// TestLiarGivesNoHope: who says that he has everything, and has nothing, does not keep
// wants from being given up by answering now and then.
func TestLiarGivesNoHope(t *testing.T) {
	s := newSim(t, 9)
	get, liar := s.node(50*ms, 100*mbps, true), s.node(40*ms, 100*mbps, false)
	liar.lie = fickle
	cids := s.blocks(800, 1000)
	for range 3 {
		s.connect(get, s.node(50*ms, 100*mbps, false))
	}
	s.connect(get, liar)
	began := s.now
	get.want(1, cids...)
	s.run(30*time.Minute, get.done)
	took := s.now.Sub(began)
	t.Logf("%v, faults %v", took, get.faults)
	if len(get.failed) != len(cids) || took > 5*time.Minute {
		t.Errorf("%d of %d that nobody has were given up after %v", len(get.failed), len(cids), took)
	}
}

// TestSaysAndLacks: who says again and again that he has a block, and that he has it not when he is
// asked for it, does not keep it from being given up.
func TestSaysAndLacks(t *testing.T) {
	m, began := swap.New(swap.Options{}), time.Unix(1e9, 0)
	now, asked := began, 0
	c := newSim(t, 1).blocks(1, 100)[0]
	var say swap.Received
	var failed time.Time
	step := func(e swap.Event) {
		for _, a := range m.Step(now, e) {
			switch a := a.(type) {
			case swap.Fail:
				failed = now
			case swap.Send:
				for _, e := range a.Entries {
					if !e.Cancel && !e.Have {
						asked++
						say.DontHaves = append(say.DontHaves, c)
					}
				}
			}
		}
	}
	step(swap.PeerUp{Peer: "ann"})
	step(swap.Want{Session: 1, Cids: []cid.Cid{c}})
	for failed.IsZero() && now.Sub(began) < 10*time.Minute {
		now = now.Add(50 * ms)
		step(swap.Sent{Peer: "ann"})
		step(swap.Wake{})
		if said := say; len(said.DontHaves) > 0 {
			said.Peer, say = "ann", swap.Received{}
			step(said)
		}
		now = now.Add(50 * ms)
		step(swap.Sent{Peer: "ann"})
		step(swap.Received{Peer: "ann", Haves: []cid.Cid{c}})
	}
	if took := failed.Sub(began); failed.IsZero() || took > time.Minute {
		t.Errorf("asked %d times, given up after %v", asked, took)
	}
}

// TestHurry: of many wants some wait until others are given up. One that is asked for
// again does not.
func TestHurry(t *testing.T) {
	s := newSim(t, 10)
	get := s.node(50*ms, 100*mbps, true)
	s.connect(get, s.node(50*ms, 100*mbps, false))
	cids := s.blocks(800, 1000)
	last := cids[len(cids)-1]
	get.want(1, cids...)
	began := s.now
	s.after(time.Second, func() { get.step(swap.Want{Session: 1, Cids: []cid.Cid{last}}) })
	s.run(10*time.Minute, func() bool { _, failed := get.failed[last]; return failed })
	if took := s.now.Sub(began); took > 10*time.Second {
		t.Errorf("it was given up after %v, %d before it", took, len(get.failed))
	}
}

// TestOldestFirst: of what a peer says bit by bit that it has it not, that is given up first
// which was wanted first, in whatever order the peer says so.
func TestOldestFirst(t *testing.T) {
	s := newSim(t, 11)
	lacks, part := s.blocks(400, 1000), s.node(0, mbps, false)
	has := s.blocks(60, 1000, part)
	m, now := swap.New(swap.Options{Search: true}), time.Unix(1e9, 0)
	var gone []cid.Cid
	type find struct {
		cid cid.Cid
		end time.Time
	}
	var finds []find
	step := func(e swap.Event) {
		for _, a := range slices.Clone(m.Step(now, e)) {
			switch a := a.(type) {
			case swap.Fail:
				gone = append(gone, a.Cid)
			case swap.Find:
				finds = append(finds, find{a.Cid, now.Add(10 * time.Second)})
			case swap.Send:
				m.Step(now, swap.Sent{Peer: a.Peer})
			}
		}
	}
	step(swap.PeerUp{Peer: part.id})
	step(swap.Want{Session: 1, Cids: has})
	for _, c := range has {
		now = now.Add(ms)
		step(swap.Received{Peer: part.id, Blocks: []block.Block{part.has[c]}})
	}
	step(swap.Want{Session: 1, Cids: lacks})
	for half := range slices.Chunk(lacks, 200) {
		now = now.Add(50 * ms)
		no := slices.Clone(half)
		slices.Reverse(no)
		step(swap.Received{Peer: part.id, DontHaves: no})
	}
	for end := now.Add(10 * time.Minute); len(gone) < len(lacks) && now.Before(end); {
		now = now.Add(100 * ms)
		step(swap.Wake{})
		for len(finds) > 0 && !now.Before(finds[0].end) {
			c := finds[0].cid
			finds = finds[1:]
			step(swap.Found{Cid: c})
		}
	}
	if at := slices.Index(gone, lacks[0]); len(gone) != len(lacks) || at < 0 || at > 64 {
		t.Errorf("%d are given up, the oldest as number %d", len(gone), at)
	}
}

func TestProvidersAreDialed(t *testing.T) {
	s := newSim(t, 4)
	get := s.node(50*ms, 100*mbps, true)
	seed, dead := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
	dead.offline = true
	cids := s.blocks(50, 100<<10, seed)
	s.providers[cids[0]] = []peer.ID{dead.id, seed.id}
	get.want(1, cids...)
	s.run(time.Minute, get.done)
	s.took(get, s.now)
}

// TestLateSeed: a peer that connects while a want is hunting is asked.
func TestLateSeed(t *testing.T) {
	s := newSim(t, 5)
	get, seed := s.node(50*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
	cids := s.blocks(10, 1000, seed)
	get.want(1, cids...)
	s.after(1500*ms, func() { s.connect(get, seed) })
	s.run(time.Minute, get.done)
	s.took(get, s.now)
}

// TestOnlyRootProvided: the providers of a file's root have the leaves too, though
// nobody provides these, and the root itself came from a peer that has no more.
func TestOnlyRootProvided(t *testing.T) {
	for seed := range uint64(8) {
		s := newSim(t, seed)
		get, partial, full := s.node(50*ms, 100*mbps, true), s.node(5*ms, 100*mbps, false), s.node(50*ms, 100*mbps, false)
		root, leaves := s.blocks(1, 1000, partial, full), s.blocks(64, 4<<10, full)
		s.providers[root[0]] = []peer.ID{full.id}
		s.connect(get, partial)
		get.want(1, root...)
		s.run(time.Minute, get.done)
		began := s.now
		get.want(1, leaves...)
		s.run(time.Minute, get.done)
		if took := s.took(get, began); took > 5*time.Second {
			t.Errorf("seed %d: took %v", seed, took)
		}
	}
}

// TestKeptWants: who asks before we have the block is told when we do.
func TestKeptWants(t *testing.T) {
	s := newSim(t, 6)
	a, b := s.node(50*ms, 100*mbps, true), s.node(50*ms, 100*mbps, false)
	s.connect(a, b)
	later := s.node(50*ms, 100*mbps, false) // only holds the blocks until then
	cids := s.blocks(20, 5000, later)
	a.want(1, cids...)
	s.after(time.Second, func() {
		var held swap.Held
		for _, c := range cids {
			b.has[c] = later.has[c]
			held.Blocks = append(held.Blocks, swap.Sized{Cid: c, Size: 5000})
		}
		b.step(held)
	})
	s.run(time.Minute, a.done)
	s.took(a, s.now)
}

// TestRandom runs swarms with churn and liars under all invariants.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		a, b := swarm(t, seed), swarm(t, seed)
		if a != b {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

// swarm returns a digest of all that happened.
func swarm(t *testing.T, seed uint64) string {
	s := newSim(t, seed)
	var all, getters []*node
	for i := range 4 + s.rng.IntN(8) {
		n := s.node(time.Duration(1+s.rng.IntN(200))*ms, float64(1+s.rng.IntN(100))*mbps, s.rng.IntN(2) == 0)
		all = append(all, n)
		if i > 1 {
			n.lie = []lie{honest, honest, honest, haveSilent, corrupt, mute, haveThenDont}[s.rng.IntN(7)]
		}
	}
	root := all[0]
	cids := s.blocks(1+s.rng.IntN(60), 1<<s.rng.IntN(18), root)
	for _, c := range cids {
		s.providers[c] = []peer.ID{root.id}
	}
	for i, n := range all {
		for _, o := range all[:i] {
			if s.rng.IntN(3) > 0 || o == root {
				s.connect(n, o)
			}
		}
		if i > 0 && n.lie == honest {
			getters = append(getters, n)
			s.after(time.Duration(s.rng.IntN(2000))*ms, func() {
				n.want(1, cids...)
				if s.rng.IntN(2) == 0 {
					n.step(swap.Want{Session: 2, Cids: cids[:1]})
					n.step(swap.CloseSession{Session: 2})
				}
			})
		}
	}
	for range s.rng.IntN(10) { // churn that never takes the seed away for good
		s.after(time.Duration(s.rng.IntN(4000))*ms, func() {
			a, b := all[s.rng.IntN(len(all))], all[s.rng.IntN(len(all))]
			if a != b && a.links[b.id] {
				s.disconnect(a, b)
				s.after(500*ms, func() { s.connect(a, b) })
			}
		})
	}
	s.run(3*time.Minute, func() bool { return s.now.Sub(time.Unix(1e9, 0)) > 5*time.Second && doneAll(getters) })
	for _, n := range getters {
		if len(n.got) != n.need && !n.banned[root.id] {
			t.Errorf("seed %d: %s got %d of %d blocks by %v; failed %v; %+v", seed, n.id, len(n.got), n.need, s.now.Sub(time.Unix(1e9, 0)), len(n.failed), n.m.Table())
		}
	}
	return fmt.Sprintf("%x", s.trace.Sum(nil))
}

func doneAll(nodes []*node) bool {
	for _, n := range nodes {
		if n.need == 0 || !n.done() {
			return false
		}
	}
	return true
}

// TestBounded: a peer that asks for everything costs a bounded amount.
func TestBounded(t *testing.T) {
	s := newSim(t, 7)
	n, flood := s.node(50*ms, 100*mbps, false), s.node(50*ms, 1e12, false)
	s.connect(n, flood)
	cids := s.blocks(5000, 8)
	for _, dont := range []bool{false, true} {
		var e swap.Received
		for _, c := range cids {
			e.Entries = append(e.Entries, swap.Entry{Cid: c, SendDontHave: dont})
		}
		e.Peer = flood.id
		n.step(e)
		s.run(time.Second, func() bool { return false })
		if w := n.m.Table()[0].Wants; w > 1024 {
			t.Errorf("%d wants are kept", w)
		}
	}
	s.disconnect(n, flood)
	if len(n.m.Table()) != 0 {
		t.Error("the peer is not forgotten")
	}
}

// TestStuckReaders: peers that ask and do not read do not use up what may be
// sent to others.
func TestStuckReaders(t *testing.T) {
	m := swap.New(swap.Options{ServingSizeMax: 8 << 20})
	s := newSim(t, 8)
	big := s.blocks(1, 8)[0]
	now := s.now
	ask := func(p peer.ID) (served bool) {
		m.Step(now, swap.PeerUp{Peer: p})
		m.Step(now, swap.Received{Peer: p, Entries: []swap.Entry{{Cid: big}}})
		for _, a := range m.Step(now, swap.Looked{Peer: p, Blocks: []swap.Sized{{Cid: big, Size: 1 << 20}}}) {
			_, serve := a.(swap.Serve)
			served = served || serve
		}
		if err := m.Invariants(); err != nil {
			t.Fatal(err)
		}
		return served
	}
	for i := range 50 {
		ask(peer.ID(fmt.Sprintf("stuck%d", i)))
	}
	if ask("honest1") {
		t.Fatal("the limit does not hold")
	}
	for range 30 { // each two seconds the first of the line turn out to be stuck
		now = now.Add(2 * time.Second)
		for _, a := range m.Step(now, swap.Wake{}) {
			if a, ok := a.(swap.Serve); ok && a.Peer == "honest1" {
				return
			}
		}
	}
	t.Error("an honest peer is never served")
}

// BenchmarkStep is the cost of a want from question to delivery, with a
// thousand peers connected.
func BenchmarkStep(b *testing.B) {
	s := newSim(b, 9)
	s.check = false
	n := s.node(0, 1e12, false)
	for i := range 1000 {
		n.m.Step(s.now, swap.PeerUp{Peer: peer.ID(fmt.Sprint(i))})
	}
	cids := s.blocks(10000, 100, n)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%len(cids) == 0 {
			n.m.Step(s.now, swap.CloseSession{Session: uint64(i / len(cids))})
		}
		c := cids[i%len(cids)]
		n.m.Step(s.now, swap.Want{Session: uint64(i/len(cids)) + 1, Cids: []cid.Cid{c}})
		n.m.Step(s.now, swap.Received{Peer: "7", Blocks: []block.Block{n.has[c]}})
		i++
	}
}

// TestSlowSeedIsNotBanned: what a slow peer sends long after it was fetched from
// another was asked for all the same.
func TestSlowSeedIsNotBanned(t *testing.T) {
	s := newSim(t, 7)
	seed := s.node(50*ms, mbps, false)
	cids := s.blocks(32, 256<<10, seed)
	crowd := []*node{seed}
	for range 8 {
		n := s.node(50*ms, 10*mbps, false)
		for _, o := range crowd {
			s.connect(n, o)
		}
		crowd = append(crowd, n)
	}
	for _, n := range crowd[1:] {
		n.want(1, cids...)
	}
	for _, n := range crowd[1:] {
		s.run(10*time.Minute, n.done)
		s.took(n, s.now)
		if n.faults[swap.FaultJunk] > 0 {
			t.Errorf("honest peers are charged with %v", n.faults)
		}
	}
}

// TestCancelWhatWasAskedTwice: a question that still waits to be sent needs no cancel,
// but the one before it does.
func TestCancelWhatWasAskedTwice(t *testing.T) {
	m, now := swap.New(swap.Options{}), time.Unix(1e9, 0)
	b, err := block.New([]byte("a block"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	wants := []cid.Cid{b.Cid()}
	m.Step(now, swap.PeerUp{Peer: "ann"})
	m.Step(now, swap.Want{Session: 1, Cids: wants})
	for end := now.Add(3 * time.Second); now.Before(end); { // stalled, and asked again
		now = m.Next()
		m.Step(now, swap.Wake{})
	}
	m.Step(now, swap.Drop{Session: 1, Cids: wants})
	cancelled := false
	for _, a := range m.Step(now, swap.Sent{Peer: "ann"}) {
		if s, ok := a.(swap.Send); ok {
			cancelled = len(s.Entries) == 1 && s.Entries[0].Cancel && s.Entries[0].Cid == b.Cid()
		}
	}
	if !cancelled {
		t.Error("the first question was not cancelled")
	}
}

// TestUnsentIsMadeUpFor: when a message may be lost, the peer is told all that is
// wanted of it, be it nothing: or it would keep what a lost cancel was about.
func TestUnsentIsMadeUpFor(t *testing.T) {
	for _, sent := range []swap.Sent{{Peer: "ann", Failed: true}, {Peer: "ann", Broken: true}} {
		for _, dropped := range []int{1, 3} {
			t.Run(fmt.Sprintf("failed %v, %d of 3 dropped", sent.Failed, dropped), func(t *testing.T) {
				last := lastSend(t, sent, dropped)
				if !last.Full || (dropped == 3) != (len(last.Entries) == 0) {
					t.Fatalf("the last message is %+v", last)
				}
				for _, e := range last.Entries {
					if e.Cancel {
						t.Errorf("it has %+v", e)
					}
				}
			})
		}
	}
}

// lastSend is the last message to a peer that was asked for three blocks, of which
// some were dropped, and what that message came to.
func lastSend(t *testing.T, sent swap.Sent, dropped int) (last swap.Send) {
	m, now := swap.New(swap.Options{}), time.Unix(1e9, 0)
	cids := newSim(t, 1).blocks(3, 100)
	m.Step(now, swap.PeerUp{Peer: "ann"})
	m.Step(now, swap.Want{Session: 1, Cids: cids})
	m.Step(now, swap.Sent{Peer: "ann"})
	now = now.Add(100 * ms)
	m.Step(now, swap.Drop{Session: 1, Cids: cids[:dropped]}) // the message that says so is under way
	look := func(actions []swap.Action) {
		for _, a := range actions {
			if s, ok := a.(swap.Send); ok {
				last = s
			}
		}
	}
	look(m.Step(now, sent))
	for end := now.Add(5 * time.Second); !m.Next().IsZero() && m.Next().Before(end); {
		now = m.Next()
		look(m.Step(now, swap.Wake{}))
	}
	return last
}

// TestCrowd: a seed whose uplink is no better than that of those who ask serves few at a
// time, and each another block, so that they can serve each other.
func TestCrowd(t *testing.T) {
	s := newSim(t, 3)
	s.check = false
	const peers, size = 24, 256 << 10
	seed := s.node(50*ms, 10*mbps, false)
	cids := s.blocks(32, size, seed)
	crowd := []*node{seed}
	for range peers {
		n := s.node(50*ms, 10*mbps, false)
		for _, o := range crowd {
			s.connect(n, o)
		}
		crowd = append(crowd, n)
	}
	began := s.now
	for _, n := range crowd[1:] {
		n.want(1, cids...)
	}
	dups := int64(0)
	for _, n := range crowd[1:] {
		s.run(10*time.Minute, n.done)
		s.took(n, began)
		dups += n.m.Stats().DupBytes
	}
	all := float64(len(cids) * size)
	bound := time.Duration(all / (10 * mbps) * float64(time.Second))
	copies := float64(seed.m.Stats().BytesOut) / all
	share := float64(dups) / all / peers
	// All at once, it is 19 times the bound, 19 copies, and 92 %.
	if s.now.Sub(began) > 3*bound || copies > 3 || share > 0.5 {
		t.Errorf("took %v, the bound being %v; %.1f copies from the seed, %.1f %% twice", s.now.Sub(began), bound, copies, 100*share)
	}
}

// TestPace: what a limit allows is sent to peers in turn; one that is near is not in that turn.
func TestPace(t *testing.T) {
	s := newSim(t, 9)
	seed, nigh := s.node(20*ms, 100*mbps, false), s.node(20*ms, 100*mbps, false)
	const n, size = 32, 64 << 10
	cids := s.blocks(n, size, seed)
	seed.pace.Set(mbps)
	s.connect(seed, nigh)
	seed.step(swap.PeerUp{Peer: nigh.id, Near: true})
	far := []*node{s.node(20*ms, 100*mbps, false), s.node(20*ms, 100*mbps, false)}
	s.connect(seed, far[0])
	s.connect(seed, far[1])
	began := s.now
	nigh.want(1, cids...)
	far[0].want(1, cids[:n/2]...)
	far[1].want(1, cids[n/2:]...)
	s.run(time.Minute, func() bool { return doneAll([]*node{nigh, far[0], far[1]}) })
	bound := time.Duration(n * size / mbps * float64(time.Second))
	if took := s.took(nigh, began); took > bound/10 {
		t.Errorf("the peer that is near had all after %v, at the limit it takes %v", took, bound)
	}
	for _, f := range far {
		if took := s.took(f, began); took > bound*11/10 || took < bound*8/10 {
			t.Errorf("%s had all after %v, the limit allows %v", f.id, took, bound)
		}
	}
}

// TestAppetite: of many peers no more is asked for than a limit lets pass soon, or two blocks,
// but of those that are near.
func TestAppetite(t *testing.T) {
	for _, near := range []bool{false, true} {
		s := newSim(t, 10)
		get := s.node(20*ms, 100*mbps, false)
		get.eager.Set(mbps)
		var seeds []*node
		for range 8 {
			seeds = append(seeds, s.node(20*ms, 10*mbps, false))
		}
		root, cids := s.blocks(1, 100, seeds...), s.blocks(64, 256<<10, seeds...)
		for _, seed := range seeds {
			s.connect(seed, get)
			get.step(swap.PeerUp{Peer: seed.id, Near: near})
		}
		get.want(1, root...)
		s.run(time.Minute, get.done)
		get.want(1, cids...)
		most := 0
		s.run(time.Minute, func() bool {
			asked := 0
			for _, p := range get.m.Table() {
				asked += p.Asked
			}
			most = max(most, asked)
			return get.done()
		})
		s.took(get, s.now)
		if bounded := most <= 2*256<<10; bounded == near {
			t.Errorf("near %v: %d bytes were asked for at a time", near, most)
		}
	}
}
