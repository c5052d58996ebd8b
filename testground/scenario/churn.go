package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// churn: peers come and go while others add and fetch.
var churn = Scenario{
	Name: "churn", Doc: "peers stop, crash and come back while all provide and find", Peers: 60,
	TimeMax: 4 * time.Hour, Daemons: AnyDaemons,
	Params: []Param{
		{"minutes", "10", "of churn"},
		{"leave", "0.05", "share of the peers that go each minute; half of them crash, and a quarter lose their disk"},
		{"away", "2m", "for which they are gone"},
		{"size", "20000", "bytes of what is added"},
	},
	Run: runChurn,
}

func runChurn(ctx context.Context, r *Run) error {
	minutes, leave, away, size := r.Int("minutes"), r.Share("leave"), r.Duration("away"), r.Int("size")
	if err := r.Populate(); err != nil {
		return err
	}
	peers := r.Net.Peers()
	if err := r.connected(ctx, peers, 4); err != nil {
		return err
	}
	c := &churning{r: r, held: make(map[*sim.Peer][]content)}
	sampling, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { r.sample(sampling, 10*time.Second) })
	defer tasks.Wait()
	defer stop()
	var back sync.WaitGroup
	defer back.Wait()
	for range minutes {
		began := time.Now()
		for _, i := range r.Net.Rand().Perm(len(peers))[:int(leave*float64(len(peers))+0.5)] {
			p, way := peers[i], r.Net.Rand().IntN(4)
			if !p.Runs() {
				continue
			}
			if err := c.leave(p, way); err != nil {
				return err
			}
			back.Go(func() {
				time.Sleep(away)
				if err := r.start(ctx, p); err != nil {
					c.note(err)
				}
			})
		}
		for range 5 {
			if err := c.addAndFetch(ctx, size); err != nil {
				return err
			}
		}
		time.Sleep(time.Minute - min(time.Minute, time.Since(began)))
	}
	back.Wait()
	r.Logf("%d fetches came, %d were refused", c.came, c.refused)
	if c.err == nil && c.came < 4*c.refused {
		c.note(fmt.Errorf("churn: %d of %d fetches were refused", c.refused, c.came+c.refused))
	}
	return c.err
}

// churning is what a run knows of who has what.
type churning struct {
	r             *Run
	came, refused int

	mu   sync.Mutex // guards the following
	err  error
	held map[*sim.Peer][]content
}

func (c *churning) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// leave takes a peer away: in order, by a crash, or by one that costs its disk.
func (c *churning) leave(p *sim.Peer, way int) error {
	switch way {
	case 0, 1:
		return p.Stop()
	case 2:
		return p.Crash(false)
	default:
		delete(c.held, p)
		return p.Crash(true)
	}
}

// addAndFetch has one peer add, and another fetch what a third that runs has added.
func (c *churning) addAndFetch(ctx context.Context, size int) error {
	up := c.r.Net.Up()
	rng := c.r.Net.Rand()
	owner := up[rng.IntN(len(up))]
	added, err := c.r.add(ctx, owner, size)
	if err != nil {
		return err
	}
	c.held[owner] = append(c.held[owner], added)
	time.Sleep(5 * time.Second)
	var of []content
	for _, p := range c.r.Net.Up() {
		of = append(of, c.held[p]...)
	}
	if len(of) == 0 {
		return nil
	}
	up = c.r.Net.Up()
	came, err := c.r.answered(ctx, up[rng.IntN(len(up))], of[rng.IntN(len(of))], 2*time.Minute)
	if came {
		c.came++
	} else if err == nil {
		c.refused++
	}
	return err
}
