package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// mixedFaults: whatever may go wrong does, at random and at once, while peers add,
// fetch, look for and publish things. Then all is mended, and everything must be
// there again.
//
//	mixed.go   the run
//	member.go  a peer and what it must not lose
//	file.go    what is added, and compared
//	load.go    what peers do meanwhile
//	storm.go   what goes wrong
//	liar.go    peers that mean harm
//	calm.go    what must hold in the end
var mixedFaults = Scenario{
	Name: "mixed-faults", Doc: "churn, crashes, partitions, bad lines, NATs and liars at once; then all is found again", Peers: 30,
	TimeMax: 2 * time.Hour,
	Params: []Param{
		{"minutes", "4", "of faults"},
		{"pause", "5s", "between two faults, on average"},
		{"natted", "0.15", "share of the peers that take no connections"},
		{"skew", "2h", "by which clocks are wrong, at most, if the program has the patched runtime"},
		{"liars", "2", "peers that answer with wrong bytes and write invalid messages"},
		{"bitswap", "0.5", "share of the peers that speak bitswap alone"},
		{"size", "600000", "bytes of a file, at most"},
	},
	Run: runMixed,
}

func runMixed(ctx context.Context, r *Run) error {
	m, err := newMixed(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	m.give = cancel
	defer m.background.Wait()
	defer cancel()
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.storm(ctx)
	if err := m.failed(ctx); err != nil {
		return err
	}
	m.heal(ctx)
	m.calm(ctx)
	return m.failed(ctx)
}

// mixed is one run.
type mixed struct {
	r                    *Run
	minutes, pause, skew time.Duration
	natted, bitswap      float64
	liars, size          int
	members              []*member // all, whether they have joined or not
	newsRand, cutRand    *rand.Rand
	faultRand, loadRands *rand.Rand
	background           sync.WaitGroup
	give                 context.CancelFunc // ends the run: something does not hold

	mu       sync.Mutex // guards the following
	err      error      // the first that was found not to hold
	files    []file
	fetching map[cid.Cid]int
	news     map[uint64]*message
	lastNews uint64
	counts   mixedCounts
}

// mixedCounts say what has happened, for people.
type mixedCounts struct {
	left, crashed, lost, joined, cuts, lines, clocks int
	added, came, refused, collected                  int
}

func newMixed(r *Run) (*mixed, error) {
	m := &mixed{
		r: r, minutes: time.Duration(r.Int("minutes")) * time.Minute, pause: r.Duration("pause"), skew: r.Duration("skew"),
		natted: r.Share("natted"), bitswap: r.Share("bitswap"), liars: r.Int("liars"), size: r.Int("size"),
		news: make(map[uint64]*message), fetching: make(map[cid.Cid]int),
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	switch {
	case m.minutes <= 0 || m.pause <= 0 || m.skew < 0:
		return nil, errors.New("parameters minutes, pause and skew: want more than 0")
	case m.liars < 0 || m.liars > liarsMax:
		return nil, fmt.Errorf("parameter liars: %d, want 0 to %d", m.liars, liarsMax)
	case m.size < 1:
		return nil, errors.New("parameter size: want 1 byte at least")
	}
	// Each activity has choices of its own, for they run beside each other.
	for _, to := range []**rand.Rand{&m.newsRand, &m.cutRand, &m.faultRand, &m.loadRands} {
		*to = rand.New(rand.NewPCG(r.Net.Rand().Uint64(), r.Net.Rand().Uint64()))
	}
	return m, nil
}

// stableCount is how many peers everyone joins by; they take connections.
const stableCount = 3

// begin starts most of the peers; the others join later.
func (m *mixed) begin(ctx context.Context) error {
	if err := m.r.Populate(); err != nil {
		return err
	}
	peers := m.r.Net.Peers()
	rng := m.r.Net.Rand()
	for i, p := range peers {
		w := &member{mixed: m, p: p, home: m.r.Line()}
		if i >= stableCount {
			w.home.NoInbound = rng.Float64() < m.natted
		}
		if rng.IntN(4) == 0 { // not everyone has a good line
			w.home.Up, w.home.Down = 2e6+rng.IntN(8e6), 4e6+rng.IntN(16e6)
		}
		p.SetNoSwarm(rng.Float64() < m.bitswap)
		if rng.IntN(2) == 0 {
			if err := m.setClock(w, rng); err != nil {
				return err
			}
		}
		w.p.SetLine(w.home)
		w.p.SetBootstrap(peers[:min(stableCount, len(peers))])
		m.members = append(m.members, w)
	}
	first := max(2, len(peers)*4/5)
	m.r.Net.Warm(peers[:first])
	err := sim.Each(ctx, peers[:first], func(ctx context.Context, p *sim.Peer) error { return m.members[p.Number()].start(ctx) })
	if err != nil {
		return err
	}
	if err := m.connect(ctx, peers[:first]); err != nil {
		return err
	}
	for i := range m.liars {
		if err := m.startLiar(ctx, i); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	m.r.Logf("%d peers run, %d liars are among them", first, m.liars)
	return nil
}

// setClock sets a peer's clock wrong, if that can be done.
func (m *mixed) setClock(w *member, rng *rand.Rand) error {
	by := time.Duration((2*rng.Float64() - 1) * float64(m.skew))
	if !det.Exact {
		return nil
	}
	m.count(func(c *mixedCounts) { c.clocks++ })
	return w.p.SetSkew(by)
}

// connect gives each peer some others, as far as they take connections.
func (m *mixed) connect(ctx context.Context, peers []*sim.Peer) error {
	var pairs []sim.Pair
	for _, pair := range m.r.Net.Regular(peers, 4) {
		if m.members[pair.B.Number()].home.NoInbound {
			pair.A, pair.B = pair.B, pair.A
		}
		if !m.members[pair.B.Number()].home.NoInbound {
			pairs = append(pairs, pair)
		}
	}
	return m.r.Net.Connect(ctx, pairs)
}

// broken notes that something does not hold, and ends the run.
func (m *mixed) broken(p *sim.Peer, format string, args ...any) {
	where := ""
	if p != nil {
		where = ", " + p.String()
	}
	m.mu.Lock()
	if m.err == nil {
		m.err = fmt.Errorf("mixed-faults, at %.1f s%s: %w", m.r.Net.Age().Seconds(), where, fmt.Errorf(format, args...))
	}
	m.mu.Unlock()
	m.give()
}

// failed is what does not hold, nil so far.
func (m *mixed) failed(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	return ctx.Err()
}

func (m *mixed) count(f func(*mixedCounts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.counts)
}

// pauseFor waits, and tells whether the run goes on.
func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// between is a random time, from some on.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)+1))
}

// every does something again and again, after random pauses.
func every(ctx context.Context, rng *rand.Rand, mean time.Duration, do func()) {
	for pauseFor(ctx, between(rng, mean/5, mean*9/5)) {
		do()
	}
}
