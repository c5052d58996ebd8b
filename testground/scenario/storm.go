package scenario

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

const (
	awayMax = 90 * time.Second // of a peer
	cutMax  = 100 * time.Second
	badMax  = 2 * time.Minute // of a line
	// ambushMax is how long the keeper of a file lets others read it before he goes,
	// and ambushRate his line until then.
	ambushMax  = 3 * time.Second
	ambushRate = 500e3 // bits/s
	// groupsMax is into how many parts the network may fall.
	groupsMax = 3
)

// storm has everything go wrong for a while. When it returns, all that peers have
// begun is answered, but nothing is mended.
func (m *mixed) storm(ctx context.Context) {
	raging, stop := context.WithTimeout(ctx, m.minutes)
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() { m.load(raging, ctx) })
	tasks.Go(func() { m.sampleStorm(raging) })
	tasks.Go(func() {
		every(raging, m.cutRand, 10*m.pause, func() { m.cut(raging, m.cutRand) })
	})
	var faults sync.WaitGroup
	every(raging, m.faultRand, m.pause, func() {
		if f := m.fault(m.faultRand); f != nil {
			faults.Go(func() { f(ctx, raging) })
		}
	})
	faults.Wait()
	tasks.Wait()
	c := m.counts
	m.r.Logf("%d left, %d crashed, %d lost their disk, %d joined, %d cuts, %d bad lines, %d clocks set", c.left, c.crashed, c.lost, c.joined, c.cuts, c.lines, c.clocks)
	m.r.Logf("%d files added, %d fetches came, %d were refused, %d collections", c.added, c.came, c.refused, c.collected)
}

// fault is something that goes wrong for a time, or until raging ends.
type fault func(ctx, raging context.Context)

func (m *mixed) fault(rng *rand.Rand) fault {
	switch rng.IntN(11) {
	case 0, 1, 2, 3:
		return m.makeLeave(rng)
	case 4:
		return m.makeJoin()
	case 5:
		return m.makeClockJump(rng)
	case 6, 7:
		return m.makeAmbush(rng)
	default:
		return m.makeBadLine(rng)
	}
}

// makeLeave: a peer goes and comes back.
func (m *mixed) makeLeave(rng *rand.Rand) fault {
	up := m.up()
	if 2*len(up) <= len(m.members) {
		return nil
	}
	if busy := m.serving(up); len(busy) > 0 && rng.IntN(3) > 0 {
		up = busy // it is worse to lose one who is in the middle of something
	}
	w, way, away := one(rng, up), leaving(rng.IntN(3)), between(rng, 100*time.Millisecond, awayMax)
	return func(ctx, raging context.Context) { m.goAway(ctx, raging, w, way, away) }
}

// goAway takes a peer away for a while, unless it is moving already.
func (m *mixed) goAway(ctx, raging context.Context, w *member, way leaving, away time.Duration) {
	if !w.claim(true) {
		return
	}
	defer w.unclaim()
	if err := w.leave(way); err != nil {
		m.broken(w.p, "leave: %w", err)
	}
	m.count(func(c *mixedCounts) {
		switch way {
		case inOrder:
			c.left++
		case byCrash:
			c.crashed++
		case diskLost:
			c.lost++
		}
	})
	if !pauseFor(raging, away) {
		return // heal starts it
	}
	if err := w.start(ctx); err != nil && ctx.Err() == nil {
		m.broken(w.p, "come back: %w", err)
	}
}

// makeAmbush: somebody who keeps a file goes while it is fetched from him, slowly.
func (m *mixed) makeAmbush(rng *rand.Rand) fault {
	up := m.up()
	keeper, reader := one(rng, up), one(rng, up)
	files := keeper.keeps()
	if len(files) == 0 || keeper == reader || 2*len(up) <= len(m.members) {
		return nil
	}
	f, way := one(rng, files), leaving(rng.IntN(3))
	if rng.IntN(2) == 0 { // the more blocks, the more is on its way when he goes
		f = slices.MaxFunc(files, func(a, b file) int { return a.size/a.chunk - b.size/b.chunk })
	}
	wait, away := between(rng, 50*time.Millisecond, ambushMax), between(rng, time.Second, awayMax)
	return func(ctx, raging context.Context) {
		line := keeper.home
		line.Up = ambushRate
		keeper.p.SetLine(line)
		var fetch sync.WaitGroup
		defer fetch.Wait()
		fetch.Go(func() { m.fetchAgain(ctx, reader, f, nil, nil) })
		pauseFor(raging, wait)
		m.goAway(ctx, raging, keeper, way, away)
		keeper.p.SetLine(keeper.home)
	}
}

// makeJoin: somebody new comes, who knows but the first peers.
func (m *mixed) makeJoin() fault {
	for _, w := range m.members {
		if w.p.NIC() == nil && w.claim(false) { // it has never run
			return func(ctx, _ context.Context) {
				defer w.unclaim()
				if err := w.start(ctx); err != nil && ctx.Err() == nil {
					m.broken(w.p, "join: %w", err)
				}
				m.count(func(c *mixedCounts) { c.joined++ })
			}
		}
	}
	return nil
}

// makeClockJump: somebody sets a clock, rightly or not.
func (m *mixed) makeClockJump(rng *rand.Rand) fault {
	w := one(rng, m.members)
	if err := m.setClock(w, rng); err != nil {
		m.broken(w.p, "%w", err)
	}
	return nil
}

// makeBadLine: a line becomes slow, lossy, far, or lets nobody in.
func (m *mixed) makeBadLine(rng *rand.Rand) fault {
	w, l := one(rng, m.members), fabric.Line{}
	l = w.home
	switch rng.IntN(4) {
	case 0:
		l.Up, l.Down = 500e3+rng.IntN(2e6), 1e6+rng.IntN(4e6)
	case 1:
		l.Loss = 0.1 * rng.Float64()
	case 2:
		l.Jitter = between(rng, 0, 400*time.Millisecond)
	case 3:
		l.NoInbound = true
	}
	bad := between(rng, time.Second, badMax)
	return func(_, raging context.Context) {
		m.count(func(c *mixedCounts) { c.lines++ })
		w.p.SetLine(l)
		pauseFor(raging, bad)
		w.p.SetLine(w.home)
	}
}

// cut has the network fall into parts for a while.
func (m *mixed) cut(ctx context.Context, rng *rand.Rand) {
	parts := 2 + rng.IntN(groupsMax-1)
	for _, w := range m.members {
		if nic := w.p.NIC(); nic != nil {
			nic.SetGroup(rng.IntN(parts))
		}
	}
	for a := range parts {
		for b := range a {
			m.r.Net.Fabric().SetCut(a, b, one(rng, []fabric.Cut{fabric.Hold, fabric.Drop}))
		}
	}
	m.count(func(c *mixedCounts) { c.cuts++ })
	pauseFor(ctx, between(rng, time.Second, cutMax))
	m.mend()
}

// mend joins all parts of the network.
func (m *mixed) mend() {
	for a := range groupsMax {
		for b := range a {
			m.r.Net.Fabric().SetCut(a, b, fabric.Open)
		}
	}
}

// sampleStorm notes how the peers do.
func (m *mixed) sampleStorm(ctx context.Context) {
	m.r.sample(ctx, 10*time.Second)
}
