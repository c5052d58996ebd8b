package machine

import (
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
)

// churn: peers come and go, with clocks that are wrong, while others add and fetch.
var churn = Scenario{
	Name: "churn", Doc: "peers stop, crash and come back while all add and fetch", Peers: 60,
	TimeMax: 4 * time.Hour,
	Params: append([]Param{
		{"minutes", "10", "of churn"},
		{"leave", "0.2", "share of the peers that go each minute; half of them crash, and a quarter lose their disk"},
		{"away", "40s", "for which they are gone, on average"},
		{"adds", "12", "files that are added each minute, each to be fetched by three"},
		{"size", "2097152", "bytes of the file"},
		{"skew", "10m", "by which clocks are wrong, at most"},
		{"drift", "2000", "by which clocks go wrong, at most, in parts per million"},
	}, contentParams[1:]...),
	Play: playChurn,
}

// churning is what a run knows of who has what.
type churning struct {
	r             *Run
	fetches       []*Fetch
	came, refused int
	away          time.Duration
}

func playChurn(r *Run) error {
	c := &churning{r: r, away: r.duration("away")}
	leave, adds, size := r.share("leave"), r.int("adds"), r.int("size")
	r.populate(nil)
	if err := r.connect(r.int("degree")); err != nil || r.err != nil {
		return err
	}
	w := r.World
	for range r.int("minutes") {
		for range int(leave*float64(r.Peers) + 0.5) {
			w.After(c.moment(), c.leave)
		}
		for range adds {
			w.After(c.moment(), func() { c.add(size) })
		}
		if err := r.wait(time.Minute); err != nil {
			return err
		}
	}
	if err := r.until("all fetches to end", 30*time.Minute, c.over); err != nil {
		return err
	}
	at := w.Now()
	r.Measure.Add("came", at, -1, float64(c.came))
	r.Measure.Add("refused", at, -1, float64(c.refused))
	if c.came < 4*c.refused {
		return fmt.Errorf("churn: %d of %d fetches were refused", c.refused, c.came+c.refused)
	}
	return nil
}

// moment is some time of the next minute.
func (c *churning) moment() time.Duration {
	return time.Duration(c.r.World.rng.Int64N(int64(time.Minute)))
}

// leave takes a peer away: in order, by a crash, or by one that costs its disk. It
// comes back, perhaps before others have noticed, and connects to those it knew.
func (c *churning) leave() {
	w := c.r.World
	p, way := w.peers[w.rng.IntN(len(w.peers))], w.rng.IntN(4)
	if !p.up {
		return
	}
	if way < 2 {
		p.Stop()
	} else {
		p.Crash()
	}
	w.After(time.Duration(w.rng.ExpFloat64()*float64(c.away)), func() {
		p.Start(way != 3)
		c.r.reconnect(p)
	})
}

// add has one peer add a file, and three others fetch it.
func (c *churning) add(size int) {
	w := c.r.World
	up := w.Up()
	owner := up[w.rng.IntN(len(up))]
	file, err := c.r.add(owner, size)
	if err != nil {
		w.Fail(err)
		return
	}
	cids := file.Cids()
	for range 3 {
		p := up[w.rng.IntN(len(up))]
		if p != owner {
			c.fetch(p, owner, cids)
		}
	}
}

func (c *churning) fetch(p, owner *Peer, cids []cid.Cid) {
	f := ExchangeOf(p).Fetch(cids, 10*time.Minute, func(f *Fetch) {
		if f.OK() {
			c.came++
			c.r.measured("fetch_time_s", f)
			c.r.World.Provide(p, cids[0])
			return
		}
		c.refused++
		c.r.measured("refusal_time_s", f)
	})
	c.fetches = append(c.fetches, f)
}

// over tells whether nothing more will come of all fetches.
func (c *churning) over() bool {
	for len(c.fetches) > 0 && c.fetches[0].Over() {
		c.fetches = c.fetches[1:]
	}
	return len(c.fetches) == 0
}
