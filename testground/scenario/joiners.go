package scenario

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// joiners: peers come one by one for what one has, and leave when they have it.
var joiners = Scenario{
	Name: "joiners", Doc: "peers come one by one for a file, and leave when they have it", Peers: 17,
	TimeMax: 2 * time.Hour,
	Params: []Param{
		{"size", "8388608", "bytes of the file"},
		{"chunk", "262144", "bytes of a block of it"},
		{"every", "3s", "between two who come"},
		{"weak", "0.25", "uplink of every second who comes, of the others'"},
		{"degree", "8", "peers that each connects to, if so many are there"},
		{"way", "pin", "how it is fetched: read, from the beginning to the end, or pin, all of it"},
		rttParam,
	},
	Run: runJoiners,
}

func runJoiners(ctx context.Context, r *Run) error {
	size, every, weak, degree := r.Int("size"), r.Duration("every"), r.Share("weak"), r.Int("degree")
	if err := r.populateAt(r.Duration("rtt")); err != nil {
		return err
	}
	line, peers := r.Line(), r.Net.Peers()
	seed := peers[0]
	r.Net.Warm(peers)
	if err := r.start(ctx, seed); err != nil {
		return err
	}
	c, err := r.addChunks(ctx, seed, size, r.Int("chunk"))
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	j := joining{r: r, here: []*sim.Peer{seed}}
	err = sim.Each(ctx, peers[1:], func(ctx context.Context, p *sim.Peer) error {
		time.Sleep(every * time.Duration(p.Number()-1))
		mine := line
		if p.Number()%2 == 0 {
			mine.Up = int(weak * float64(line.Up))
			p.SetLine(mine)
		}
		return j.stay(ctx, p, c, mine, degree)
	})
	if err != nil {
		return err
	}
	if line.Up > 0 {
		for _, s := range j.stays {
			share := s.share(j.stays, line.Up, size).Seconds()
			r.Measure.Add("times_its_share", s.until, s.number, (s.until-s.since).Seconds()/share)
		}
		r.Measure.AddBound(measure.Bound{Series: "times_its_share", Label: "its share of the lines of those who were there", Value: 1})
	}
	return r.Check()
}

// joining is who is there.
type joining struct {
	r *Run

	mu    sync.Mutex // guards the following
	here  []*sim.Peer
	stays []stay
}

// stay is for how long a peer was there, in the network's time.
type stay struct {
	number       int
	line         fabric.Line
	since, until time.Duration
}

// stay has a peer come, fetch, and leave.
func (j *joining) stay(ctx context.Context, p *sim.Peer, c content, line fabric.Line, degree int) error {
	r := j.r
	if err := r.start(ctx, p); err != nil {
		return err
	}
	for _, o := range j.meet(p, degree) {
		if err := p.Connect(ctx, o); err != nil && o.Runs() { // it may be leaving
			return err
		}
	}
	since := r.Net.Age()
	fetch := r.fetch
	if r.Text("way") == "pin" {
		fetch = r.fetchPinned
	}
	if err := fetch(ctx, p, c, "completion_time_s"); err != nil {
		return err
	}
	j.leave(p, stay{p.Number(), line, since, r.Net.Age()})
	return p.Stop()
}

// meet picks some who are there, of whom the one that has it all is always one.
func (j *joining) meet(p *sim.Peer, degree int) (list []*sim.Peer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, i := range j.r.Net.Rand().Perm(len(j.here)) {
		if len(list) < degree || i == 0 {
			list = append(list, j.here[i])
		}
	}
	j.here = append(j.here, p)
	return list
}

func (j *joining) leave(p *sim.Peer, s stay) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, o := range j.here {
		if o == p {
			j.here = append(j.here[:i:i], j.here[i+1:]...)
			break
		}
	}
	j.stays = append(j.stays, s)
}

// share is how long the peer needs if at each moment all uplinks of those who are there are
// shared equally by those who fetch. It gets nothing by its own uplink, and no more than its
// downlink takes. The one that has it all has an uplink of up bits/s.
//
// It is what fluid could do that nobody need save up for: a peer may be faster, at the cost of
// others, and that a block must be whole before it is passed on is not in it.
func (s stay) share(all []stay, up, size int) time.Duration {
	left, at := float64(size)*8, s.since
	for {
		fetching, others := 1, float64(up)
		next := time.Duration(math.MaxInt64) // when somebody comes or goes
		for _, o := range all {
			if o.number != s.number && o.since <= at && at < o.until {
				fetching++
				others += float64(o.line.Up)
			}
			for _, change := range []time.Duration{o.since, o.until} {
				if change > at {
					next = min(next, change)
				}
			}
		}
		rate := min(others, (others+float64(s.line.Up))/float64(fetching))
		if s.line.Down > 0 {
			rate = min(rate, float64(s.line.Down))
		}
		if need := time.Duration(left / rate * float64(time.Second)); need <= next-at {
			return at + need - s.since
		}
		left -= rate * (next - at).Seconds()
		at = next
	}
}
