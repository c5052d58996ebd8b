package scenario

import (
	"context"
	"runtime"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// What must hold once nothing is wrong any more.
const (
	// healTime is how long the network has: connections are noticed dead within
	// half a minute, and whoever has failed to provide again and again tries once
	// more within three.
	healTime = 4 * time.Minute
	// againTime is how long it may take to send a record again that few took.
	againTime = 30 * time.Second
	// calmAnswerMax is how long a fetch may be without progress then, calmRefuseMax is
	// how soon a refusal must come.
	calmAnswerMax = time.Minute
	calmRefuseMax = 2 * time.Minute
	// calmFetches is how many files each peer looks for and fetches.
	calmFetches = 3
	// calmAsks is how many things each asks for that nobody has.
	calmAsks = 4

	// Of what a process holds for each peer, beside files.
	heapPeerMax      = 8 << 20 // bytes
	goroutinePeerMax = 400
	// streamsMax is how many streams a connection may have when nothing happens.
	streamsMax = 16
)

// heal mends everything, starts everyone, and gives them time.
func (m *mixed) heal(ctx context.Context) {
	m.mend()
	for _, w := range m.members {
		w.p.SetLine(w.home)
	}
	err := sim.Each(ctx, m.r.Net.Peers()[:len(m.members)], func(ctx context.Context, p *sim.Peer) error {
		if w := m.members[p.Number()]; w.p.Node() == nil {
			return w.start(ctx)
		}
		return nil
	})
	if err != nil {
		m.broken(nil, "start all: %w", err)
	}
	m.r.Logf("all is mended")
	pauseFor(ctx, healTime)
}

// calm checks what must hold.
func (m *mixed) calm(ctx context.Context) {
	for _, check := range []func(context.Context){m.checkKept, m.checkFound, m.checkRefused, m.checkNews, m.checkQuiet, m.checkCosts} {
		if m.failed(ctx) != nil {
			return
		}
		check(ctx)
	}
}

// each does something for every member.
func (m *mixed) each(ctx context.Context, f func(context.Context, *member)) {
	_ = sim.Each(ctx, m.r.Net.Peers()[:len(m.members)], func(ctx context.Context, p *sim.Peer) error { // f tells of its errors
		f(ctx, m.members[p.Number()])
		return nil
	})
}

// checkKept: whoever has acknowledged a file has it, whatever is collected, and still
// tells the network so.
func (m *mixed) checkKept(ctx context.Context) {
	kept := 0
	for _, w := range m.members {
		kept += len(w.keeps())
	}
	m.each(ctx, func(ctx context.Context, w *member) {
		n, files := w.p.Node(), w.keeps()
		if _, err := n.GC(ctx, node.GCOptions{}); err != nil {
			m.broken(w.p, "%w", err)
		}
		pins := 0
		for _, err := range n.Pins(ctx) {
			if err != nil {
				m.broken(w.p, "%w", err)
				return
			}
			pins++
		}
		if pins < len(files) {
			m.broken(w.p, "%d pins of %d files that it has acknowledged", pins, len(files))
		}
		for _, f := range files {
			if err := f.readLocal(ctx, n.Local()); err != nil {
				m.broken(w.p, "it has lost %s: %w", f.root, err)
			}
		}
		s := n.Stats().DHT
		for began := time.Now(); s.Pending > 0 && time.Since(began) < againTime && pauseFor(ctx, time.Second); {
			s = n.Stats().DHT
		}
		if s.Pending > 0 {
			m.broken(w.p, "%d of %d files are not provided %v after all is mended", s.Pending, len(files), healTime+againTime)
		}
		if s.Provided < len(files) {
			m.broken(w.p, "it provides %d of %d files that it has acknowledged", s.Provided, len(files))
		}
	})
	m.r.Logf("%d copies of files are kept", kept)
}

// holders says who has each file, of those that take connections.
func (m *mixed) holders() ([]file, map[file][]*member) {
	var files []file
	by := make(map[file][]*member)
	for _, w := range m.members {
		if w.home.NoInbound {
			continue
		}
		for _, f := range w.keeps() {
			if by[f] == nil {
				files = append(files, f)
			}
			by[f] = append(by[f], w)
		}
	}
	return files, by
}

// checkFound: everyone finds whatever somebody has, and gets it.
func (m *mixed) checkFound(ctx context.Context) {
	files, by := m.holders()
	if len(files) == 0 {
		return
	}
	targets := make([][]file, len(m.members))
	parts := make(map[cid.Cid][]span)
	for i, f := range files {
		if i%2 == 0 {
			parts[f.root] = f.randomSpans(m.loadRands)
		}
	}
	for i := range targets {
		for range calmFetches {
			targets[i] = append(targets[i], one(m.loadRands, files))
		}
	}
	// And each is looked for by somebody.
	for i, f := range files {
		targets[i%len(targets)] = append(targets[i%len(targets)], f)
	}
	m.each(ctx, func(ctx context.Context, w *member) {
		for _, f := range targets[w.p.Number()] {
			m.findOne(ctx, w, f, by[f])
			err := m.fetched(ctx, w, calmAnswerMax, "fetch "+f.root.String(), func(ctx context.Context, moved func()) error { return f.read(ctx, w.p.Node(), parts[f.root], moved) })
			if err != nil {
				m.broken(w.p, "what %s has was not to be had: %w", by[f][0], err)
				return
			}
		}
	})
	m.r.Logf("everyone has found what others have")
}

// findOne looks for one of those who have a file.
func (m *mixed) findOne(ctx context.Context, w *member, f file, by []*member) {
	limited, cancel := context.WithTimeout(ctx, findTimeMax)
	defer cancel()
	for _, h := range by {
		if h == w {
			return // nobody finds himself
		}
	}
	began := time.Now()
	var last error
	for info, err := range w.p.Node().FindProviders(limited, f.root) {
		last = err
		for _, h := range by {
			if info.ID == h.p.ID() {
				m.r.Measure.Add("find_time_s", m.r.Net.Age(), w.p.Number(), time.Since(began).Seconds())
				return
			}
		}
	}
	m.broken(w.p, "nobody who has %s is found, %s to begin with, after %v: %v", f.root, by[0], time.Since(began), last)
}

// checkRefused: what nobody has is refused soon.
func (m *mixed) checkRefused(ctx context.Context) {
	for range calmAsks {
		c := nobodyHas(m.loadRands)
		m.each(ctx, func(ctx context.Context, w *member) { m.askInVain(ctx, w, c, calmRefuseMax) })
	}
}

// quietTime is how long peers have to forget what was wanted of them.
const quietTime = time.Minute

// checkQuiet: when nobody wants anything, nobody works, waits, or owes.
func (m *mixed) checkQuiet(ctx context.Context) {
	if !pauseFor(ctx, quietTime) {
		return
	}
	for _, w := range m.members {
		s := w.p.Node().Stats()
		x, d := s.Exchange, s.DHT
		if x.Sessions > 0 || x.Wants > 0 || x.Waiting > 0 || x.UnsavedBlocks > 0 {
			m.broken(w.p, "nobody fetches, and the exchange has %d sessions, %d wants, %d waits and %d blocks to store", x.Sessions, x.Wants, x.Waiting, x.UnsavedBlocks)
		}
		if d.LookupsRunning > 0 {
			m.broken(w.p, "nobody looks for anything, and %d lookups run", d.LookupsRunning)
		}
		for _, t := range x.Table {
			if t.Asked > 0 || t.Wants > 0 || t.Queued > 0 {
				m.broken(w.p, "nobody fetches, and of %s %d bytes are wanted; it wants %d blocks, %d bytes are to be sent to it", t.Peer, t.Asked, t.Wants, t.Queued)
			}
		}
		if m.liars == 0 && x.JunkBytes > 0 {
			m.broken(w.p, "nobody lies, and it got %d bytes that it had not asked for", x.JunkBytes)
		}
	}
}

// checkCosts: what a peer costs is bounded.
func (m *mixed) checkCosts(ctx context.Context) {
	held := 0
	for _, w := range m.members {
		for _, f := range w.keeps() {
			held += f.size
		}
		conns, streams := 0, 0
		if nic, counts := w.p.NIC().(interface{ Open() (conns, streams int) }); counts {
			conns, streams = nic.Open()
		}
		at, n := m.r.Net.Age(), w.p.Number()
		m.r.Measure.Add("open_connections", at, n, float64(conns))
		m.r.Measure.Add("open_streams", at, n, float64(streams))
		if others := len(m.members) + m.liars; conns > 2*others {
			m.broken(w.p, "%d connections to %d others", conns, others)
		}
		if streams > streamsMax*max(conns, 1) {
			m.broken(w.p, "%d streams on %d connections, and nothing happens", streams, conns)
		}
	}
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	peers := len(m.members)
	heap, goroutines := (int(mem.HeapAlloc)-2*held)/peers, runtime.NumGoroutine()/peers
	m.r.Measure.Add("heap_peer_bytes", m.r.Net.Age(), -1, float64(heap))
	m.r.Measure.Add("goroutines_peer", m.r.Net.Age(), -1, float64(goroutines))
	if heap > heapPeerMax {
		m.broken(nil, "%d bytes of memory for each peer, more than %d", heap, heapPeerMax)
	}
	if goroutines > goroutinePeerMax {
		m.broken(nil, "%d goroutines for each peer, more than %d", goroutines, goroutinePeerMax)
	}
}
