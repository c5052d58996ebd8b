package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

const (
	// loadsMax is how many things peers do at a time.
	loadsMax = 40
	// stormAnswerMax is how long anything may be without a byte of progress while all
	// goes wrong: three searches of a minute each, dials in eight rows, a silence.
	stormAnswerMax = 8 * time.Minute
	// manyBlocks are so many that an add stores some before it has all.
	manyBlocks = 1500
	crowdSize  = 6
	againMax   = 20 * time.Second // before who was refused tries again
)

// load has peers do things until ctx ends, and waits until all are answered.
func (m *mixed) load(ctx, calm context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	slots := make(chan struct{}, loadsMax)
	rngs := make([]*rand.Rand, len(loads))
	for i := range loads {
		rngs[i] = rand.New(rand.NewPCG(m.loadRands.Uint64(), uint64(i)))
	}
	for i, l := range loads {
		tasks.Go(func() {
			every(ctx, rngs[i], l.pause, func() {
				up := m.up()
				if len(up) == 0 {
					return
				}
				do := l.make(m, rngs[i], up)
				if do == nil {
					return
				}
				select {
				case slots <- struct{}{}:
					tasks.Go(func() { do(calm); <-slots })
				default: // enough is going on
				}
			})
		})
	}
}

// loads are what peers do, and how often. make chooses who does what.
var loads = []struct {
	pause time.Duration
	make  func(*mixed, *rand.Rand, []*member) func(context.Context)
}{
	{4 * time.Second, (*mixed).makeAdd},
	{1500 * time.Millisecond, (*mixed).makeFetch},
	{12 * time.Second, (*mixed).makeAsk},
	{5 * time.Second, (*mixed).makeFind},
	{3 * time.Second, (*mixed).makeNews},
	{15 * time.Second, (*mixed).makePin},
	{10 * time.Second, (*mixed).makeCollect},
}

func one[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

// makeAdd: a peer takes a file in, of few blocks or of many, at once or slowly.
func (m *mixed) makeAdd(rng *rand.Rand, up []*member) func(context.Context) {
	w := one(rng, up)
	f := file{seed: rng.Uint64(), size: 1 + rng.IntN(1+rng.IntN(m.size))}
	u := upload{profile: build.V1_2025}
	switch rng.IntN(8) {
	case 0, 1, 2, 3:
		u.profile.ChunkSize, u.profile.LinksMax = one(rng, []int{4 << 10, 32 << 10, 128 << 10}), one(rng, []int{4, 30, 174})
		u.takes = between(rng, 0, 20*time.Second)
	case 4:
		f.size = m.size
		u.profile.ChunkSize = max(1, m.size/manyBlocks)
		u.takes = between(rng, 10*time.Second, time.Minute)
	}
	return func(ctx context.Context) {
		change, done, ok := w.change(ctx)
		if !ok {
			return
		}
		defer done()
		n := w.p.Node()
		if n == nil {
			return
		}
		switch err := f.add(change, n, u); {
		case err == nil:
			w.keep(f)
			m.mu.Lock()
			m.files = append(m.files, f)
			m.counts.added++
			m.mu.Unlock()
		case change.Err() == nil:
			m.broken(w.p, "add %d bytes: %w", f.size, err)
		}
	}
}

// anyFile is one that somebody has added, nil if nobody has.
func (m *mixed) anyFile(rng *rand.Rand) *file {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.files) == 0 {
		return nil
	}
	f := one(rng, m.files)
	return &f
}

// makeFetch: a peer, or a crowd of them, reads a file, or parts of it.
func (m *mixed) makeFetch(rng *rand.Rand, up []*member) func(context.Context) {
	f := m.anyFile(rng)
	if f == nil {
		return nil
	}
	who := []*member{one(rng, up)}
	if rng.IntN(10) == 0 {
		for range crowdSize {
			who = append(who, one(rng, up))
		}
	}
	var parts []span
	if rng.IntN(3) == 0 {
		parts = f.randomSpans(rng)
	}
	again := []time.Duration{between(rng, time.Second, againMax), between(rng, time.Second, againMax)}
	return func(ctx context.Context) {
		m.setFetching(f.root, 1)
		defer m.setFetching(f.root, -1)
		var tasks sync.WaitGroup
		for _, w := range who {
			tasks.Go(func() { m.fetchAgain(ctx, w, *f, parts, again) })
		}
		tasks.Wait()
	}
}

// fetchAgain has a peer fetch a file, and once more a while after it was refused.
func (m *mixed) fetchAgain(ctx context.Context, w *member, f file, parts []span, again []time.Duration) {
	for _, pause := range append(again, 0) {
		n := w.p.Node()
		if n == nil {
			return
		}
		err := m.fetched(ctx, w, stormAnswerMax, fmt.Sprint("fetch ", f.root), func(ctx context.Context, moved func()) error { return f.read(ctx, n, parts, moved) })
		if err == nil || !pauseFor(ctx, pause) {
			return
		}
	}
}

// setFetching counts who fetches a file.
func (m *mixed) setFetching(root cid.Cid, by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fetching[root] += by; m.fetching[root] == 0 {
		delete(m.fetching, root)
	}
}

// serving are those of the members who keep something that is being fetched.
func (m *mixed) serving(of []*member) []*member {
	m.mu.Lock()
	fetching := maps.Clone(m.fetching)
	m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(of), func(w *member) bool {
		return !slices.ContainsFunc(w.keeps(), func(f file) bool { return fetching[f.root] > 0 })
	})
}

// errNoAnswer is the cause when something has been without progress for too long.
var errNoAnswer = errors.New("no answer")

// fetched judges a fetch: it must come right or be refused, and never be without
// progress for longer than most.
func (m *mixed) fetched(ctx context.Context, w *member, most time.Duration, what string, f func(ctx context.Context, moved func()) error) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(most, func() { cancel(errNoAnswer) })
	defer patience.Stop()
	began, n := time.Now(), w.p.Node()
	err := f(limited, func() { patience.Reset(most) })
	took := time.Since(began)
	var wrong *wrongError
	switch {
	case err == nil:
		m.r.Measure.Add("fetch_time_s", m.r.Net.Age(), w.p.Number(), took.Seconds())
		m.count(func(c *mixedCounts) { c.came++ })
	case ctx.Err() != nil: // the run is over, or the peer gone
	case errors.As(err, &wrong):
		m.broken(w.p, "%s: %w", what, err)
	case errors.Is(context.Cause(limited), errNoAnswer):
		m.broken(w.p, "%s: no answer for %v: %w", what, most, err)
	case !refusal(err) && n != nil && n == w.p.Node():
		m.broken(w.p, "%s: neither an answer nor a refusal: %w", what, err)
	default:
		m.r.Measure.Add("refused_time_s", m.r.Net.Age(), w.p.Number(), took.Seconds())
		m.count(func(c *mixedCounts) { c.refused++ })
	}
	return err
}

// refusal tells whether an error says that there is none who has it.
func refusal(err error) bool { return errors.Is(err, block.ErrNotFound) }

// makeAsk: a peer asks for what nobody has.
func (m *mixed) makeAsk(rng *rand.Rand, up []*member) func(context.Context) {
	w, c := one(rng, up), nobodyHas(rng)
	return func(ctx context.Context) { m.askInVain(ctx, w, c, stormAnswerMax) }
}

func nobodyHas(rng *rand.Rand) cid.Cid {
	f := file{seed: rng.Uint64(), size: 100}
	b, err := block.New(f.bytes(), block.Prefix{Codec: cid.Raw})
	if err != nil {
		panic(err) // a hundred bytes have a name
	}
	return b.Cid()
}

func (m *mixed) askInVain(ctx context.Context, w *member, c cid.Cid, most time.Duration) {
	n := w.p.Node()
	if n == nil {
		return
	}
	err := m.fetched(ctx, w, most, "ask for what nobody has", func(ctx context.Context, _ func()) error {
		_, err := n.Session(ctx).Get(ctx, c)
		return err
	})
	if err == nil {
		m.broken(w.p, "it got %s, which nobody has", c)
	}
}

// makeFind: a peer looks for the providers of something.
func (m *mixed) makeFind(rng *rand.Rand, up []*member) func(context.Context) {
	w, f := one(rng, up), m.anyFile(rng)
	if f == nil {
		return nil
	}
	return func(ctx context.Context) {
		n := w.p.Node()
		if n == nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, stormAnswerMax)
		defer cancel()
		for _, err := range n.FindProviders(limited, f.root) {
			if limited.Err() != nil && ctx.Err() == nil {
				m.broken(w.p, "find %s: no answer within %v: %w", f.root, stormAnswerMax, err)
			}
		}
	}
}

// makePin: a peer keeps what another has.
func (m *mixed) makePin(rng *rand.Rand, up []*member) func(context.Context) {
	w, f := one(rng, up), m.anyFile(rng)
	if f == nil {
		return nil
	}
	return func(ctx context.Context) {
		change, done, ok := w.change(ctx)
		if !ok {
			return
		}
		defer done()
		n := w.p.Node()
		if n == nil {
			return
		}
		err := m.fetched(change, w, stormAnswerMax, fmt.Sprint("pin ", f.root), func(ctx context.Context, moved func()) error {
			seen := int64(0)
			_, err := n.Pin(ctx, unixfs.Path{Root: f.root}, "copy", func(t node.PinProgress) {
				if t.Bytes > seen {
					seen = t.Bytes
					moved()
				}
			})
			return err
		})
		if err == nil {
			w.keep(*f)
		}
	}
}

// makeCollect: a peer collects garbage, most often one that is just adding.
func (m *mixed) makeCollect(rng *rand.Rand, up []*member) func(context.Context) {
	w := one(rng, up)
	if rng.IntN(3) > 0 {
		for _, o := range up {
			if o.busy() {
				w = o
			}
		}
	}
	return func(ctx context.Context) {
		change, done, ok := w.change(ctx)
		if !ok {
			return
		}
		defer done()
		n := w.p.Node()
		if n == nil {
			return
		}
		switch _, err := n.GC(change, node.GCOptions{}); {
		case err == nil:
			m.count(func(c *mixedCounts) { c.collected++ })
		case change.Err() == nil && !errors.Is(err, node.ErrCollecting):
			m.broken(w.p, "%w", err)
		}
	}
}
