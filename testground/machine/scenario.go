package machine

import (
	"errors"
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/testground/measure"
)

// Scenario is what happens in a world, and what must hold.
type Scenario struct {
	Name   string
	Doc    string // one line
	Peers  int    // unless told otherwise
	Params []Param
	// TimeMax ends a run that does not end itself, in the world's time.
	TimeMax time.Duration
	Play    func(*Run) error
}

// Scenarios lists the scenarios of this floor. Where one has the name of a scenario
// of whole nodes, it tells the same story.
func Scenarios() []Scenario {
	return []Scenario{churn, flashCrowd, freeRide, manyWants, partition, slow}
}

// Find returns the scenario of that name, and whether this floor has it.
func Find(name string) (s Scenario, found bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// Result is what came of a run. The same seed, peers and parameters give the same.
type Result struct {
	Scenario string            `json:"scenario"`
	Seed     uint64            `json:"seed"`
	Peers    int               `json:"peers"`
	Params   map[string]string `json:"params"`
	Time     time.Duration     `json:"time_ns"` // of the world
	Events   int64             `json:"events"`
	Tally    Tally             `json:"tally"`
	Stats    swap.Stats        `json:"stats"`
	Trace    string            `json:"trace"` // SHA-256 of all that was decided
	Measures []measure.Summary `json:"measures"`
	Recorder *measure.Recorder `json:"-"`
}

// RunOptions say what is run. Peers and parameters that are not given are the
// scenario's own.
type RunOptions struct {
	Seed   uint64
	Peers  int
	Params map[string]string
	// TimeMax ends the run, in the world's time. Default the scenario's.
	TimeMax time.Duration
	// Follow gets whatever is measured, as it is measured. Nil: nobody does.
	Follow measure.Follower
	// Tick is called about once a second of the world. It must not change it.
	Tick func(*World)
}

// Run plays the scenario. The Result holds whatever was measured, even if there is
// an error.
func (s Scenario) Run(seed uint64, peers int, params map[string]string) (Result, error) {
	return s.RunWith(RunOptions{Seed: seed, Peers: peers, Params: params})
}

// RunWith plays the scenario while others look on. That they do changes nothing.
func (s Scenario) RunWith(o RunOptions) (Result, error) {
	if o.Peers == 0 {
		o.Peers = s.Peers
	}
	if o.Peers < 2 {
		return Result{}, fmt.Errorf("run %s: %d peers; want 2 at least", s.Name, o.Peers)
	}
	values, err := s.Values(o.Params)
	if err != nil {
		return Result{}, err
	}
	r := &Run{World: New(Options{Seed: o.Seed, Tick: o.Tick}), Peers: o.Peers, Measure: measure.New(), values: values, max: s.TimeMax}
	if o.Follow != nil {
		r.Measure.Follow(o.Follow)
	}
	if o.TimeMax > 0 {
		r.max = o.TimeMax
	}
	err = s.Play(r)
	if r.err != nil {
		return Result{}, r.err // a parameter was not understood: nothing else means anything
	}
	if err == nil {
		err = r.finish()
	}
	tally, stats := r.World.Sums()
	if err != nil {
		err = fmt.Errorf("%s, %d peers, seed %d: %w", s.Name, o.Peers, o.Seed, err)
	}
	return Result{
		Scenario: s.Name, Seed: o.Seed, Peers: o.Peers, Params: values, Time: r.World.Now(), Events: r.World.Events(),
		Tally: tally, Stats: stats, Trace: r.World.Trace(), Measures: r.Measure.Summaries(), Recorder: r.Measure,
	}, err
}

// OverError tells that a run has not ended when its time was over.
type OverError struct{ Max time.Duration }

func (e *OverError) Error() string {
	return fmt.Sprintf("it has not ended after %v of the world", e.Max)
}

// Run is one run of a scenario.
type Run struct {
	World   *World
	Peers   int
	Measure *measure.Recorder

	values map[string]string
	err    error // of a parameter that was read
	max    time.Duration
	edges  [][2]*Peer // who knows whom
}

const (
	// settleTime is how long it may take until nothing happens any more.
	settleTime = 15 * time.Minute
	// A run in which machines do more than this is busy with itself: steps for each
	// block that was answered, for each peer that came or went, and for each second
	// and peer that waits. Wants that hunt look around ten times a second, each for
	// itself; that is most of it.
	stepsPerBlockMax   = 40
	stepsPerMeetingMax = 12
	stepsPerSecondMax  = 64
)

// finish lets the world fall silent, and looks whether all that must hold does.
func (r *Run) finish() error {
	w := r.World
	if err := w.Settle(settleTime); err != nil {
		return err
	}
	return r.busy()
}

// busy tells whether machines did more than what had to be done.
func (r *Run) busy() error {
	t, s := r.World.Sums()
	waited := 0.0
	for _, p := range r.World.peers {
		waited += ExchangeOf(p).Waited().Seconds()
	}
	blocks := t.Delivered + t.Failed + s.DupBlocks
	most := stepsPerBlockMax*blocks + stepsPerMeetingMax*t.Meetings + int64(stepsPerSecondMax*waited)
	at := r.World.Now()
	r.Measure.Add("steps_per_block", at, -1, float64(t.Steps-t.Arriving)/float64(max(blocks, 1)))
	r.Measure.Add("duplicate_share", at, -1, float64(s.DupBytes)/float64(max(s.BytesIn, 1)))
	if t.Steps-t.Arriving > most {
		return fmt.Errorf("busy: %d steps for %d blocks, %d meetings and %.0f s of waiting; want %d at most", t.Steps, blocks, t.Meetings, waited, most)
	}
	return nil
}

// until lets time pass until done, and fails if that takes more than d.
func (r *Run) until(what string, d time.Duration, done func() bool) error {
	d = min(d, r.max-r.World.now)
	if err := r.World.Run(d, done); err != nil {
		return err
	}
	switch {
	case done():
		return nil
	case r.World.now >= r.max:
		return fmt.Errorf("%s: %w", what, &OverError{r.max})
	default:
		return fmt.Errorf("%s: not after %v", what, d)
	}
}

// wait lets time pass.
func (r *Run) wait(d time.Duration) error {
	if left := r.max - r.World.now; d > left {
		return errors.Join(r.World.Run(left, nil), &OverError{r.max})
	}
	return r.World.Run(d, nil)
}

// line is what the parameters say of every peer's line.
func (r *Run) line() Line {
	return Line{Up: r.rate("uplink"), Down: r.rate("downlink"), Jitter: r.duration("jitter"), Loss: r.share("loss"), Drop: r.share("drop")}
}

// populate adds the peers, over all regions, with clocks that are as wrong as skew
// allows.
func (r *Run) populate(manner func(number int) Manner) []*Peer {
	w, line, skew, drift := r.World, r.line(), r.duration("skew"), r.int("drift")
	for i := range r.Peers {
		o := PeerOptions{Line: line, Region: i % Regions}
		if skew > 0 {
			o.Clock.Offset = time.Duration(w.rng.Int64N(int64(2*skew))) - skew
		}
		if drift > 0 {
			o.Clock.Drift = w.rng.Int64N(int64(2*drift)) - int64(drift)
		}
		m := Honest
		if manner != nil {
			m = manner(i)
		}
		w.Add(o, NewExchange(m))
	}
	return w.Peers()
}

// connect connects each peer to degree others, at least, and lets them settle.
func (r *Run) connect(degree int) error {
	w := r.World
	n := len(w.peers)
	for i, p := range w.peers {
		for k := range (degree + 1) / 2 {
			o := w.peers[(i+1)%n] // a ring, so that nobody is cut off
			if k > 0 {
				o = w.peers[w.rng.IntN(n)]
			}
			if o != p && w.Connect(p, o) {
				r.edges = append(r.edges, [2]*Peer{p, o})
			}
		}
	}
	return r.wait(time.Second)
}

// reconnect connects a peer to those that it knew, if they are there.
func (r *Run) reconnect(p *Peer) {
	for _, e := range r.edges {
		if e[0] == p || e[1] == p {
			r.World.Connect(e[0], e[1])
		}
	}
}

// measured notes how long a fetch took.
func (r *Run) measured(series string, f *Fetch) {
	if f.Ended {
		r.Measure.Add(series, r.World.now, f.x.p.number, f.Took.Seconds())
	}
}
