// Package scenario holds what happens in simulated networks: one file each, with a
// topology, a population, a script, what must hold and what is measured.
//
// Scenarios are ordinary Go, in the network's own time: to wait is time.Sleep, and
// what peers do is what any program does with a node.Node. A scenario fails by
// returning an error, be it an invariant or a node's.
//
// Invariant: with the same seed, peers and parameters a scenario does the same; all
// its choices come from the network's Rand.
package scenario

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// Scenario is one of them.
type Scenario struct {
	Name   string
	Doc    string // one line
	Peers  int    // unless told otherwise
	Params []Param
	// Clients are what its peers can be instead of ours; see the parameter client.
	Clients []string
	// Daemons tells whether its peers can be real daemons.
	Daemons Daemons
	// TimeMax ends a run that does not end itself, in the network's time.
	TimeMax time.Duration
	Run     func(ctx context.Context, r *Run) error
}

// Daemons tells whether a scenario's peers can be daemons, which take orders by their
// control API alone.
type Daemons int

// What a script asks of daemons.
const (
	NoDaemons    Daemons = iota // more than the API has
	AnyDaemons                  // what they can do wherever they are
	LinedDaemons                // that their lines can be changed, too
)

// Param is a parameter of a scenario. Every one has a default.
type Param struct {
	Name    string
	Default string
	Doc     string
}

// lineParams are those of every scenario.
var lineParams = []Param{
	{"uplink", "50mbit", "of each peer; 0 is unlimited"},
	{"downlink", "50mbit", "of each peer; 0 is unlimited"},
	{"jitter", "5ms", "at most, of each packet"},
	{"loss", "0", "share of packets"},
}

// What keeps a network of thousands within a machine: it is connections that fill it.
var (
	rampParam  = Param{"ramp", "0s", "over which peers start"}
	connsParam = Param{"conns", "0", "connections that each keeps when it has three times as many; 0 is the node's own number"}
)

// All lists the scenarios.
func All() []Scenario {
	return []Scenario{bootstrap, churn, editors, fetchDAG, flashCrowd, flood, freeRide, gossip, idle, joiners, liars, mixedFaults, nat, partition, region, restart, slow}
}

// Find returns the scenario of that name, or an error that names the nearest.
func Find(name string) (Scenario, error) {
	var names []string
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("no scenario %q; did you mean %s?", name, Nearest(name, names))
}

// AllParams lists a scenario's parameters and those that all have.
func (s Scenario) AllParams() []Param { return slices.Concat(s.clientParam(), s.Params, lineParams) }

// Run is one run of a scenario.
type Run struct {
	Net     *sim.Network
	Peers   int
	Measure *measure.Recorder
	// Logf tells people what happens.
	Logf func(format string, args ...any)
	// Daemon starts a peer as a daemon; nil: peers are nodes in this process, or the
	// parameter client says what.
	Daemon func(context.Context, sim.Seat) (sim.Guest, error)

	values map[string]string
	err    error // of a parameter that was read
}

// NewRun prepares a run. Values that are not given have their defaults; an unknown
// one is an error.
func NewRun(s Scenario, n *sim.Network, peers int, values map[string]string) (*Run, error) {
	r := &Run{Net: n, Peers: peers, Measure: measure.New(), Logf: func(string, ...any) {}, values: make(map[string]string)}
	var names []string
	for _, p := range s.AllParams() {
		r.values[p.Name] = p.Default
		names = append(names, p.Name)
	}
	for name, v := range values {
		if _, known := r.values[name]; !known {
			return nil, fmt.Errorf("scenario %s has no parameter %q; did you mean %s?", s.Name, name, Nearest(name, names))
		}
		r.values[name] = v
	}
	if err := s.checkClient(r.values["client"]); err != nil {
		return nil, err
	}
	return r, nil
}

// Values are the parameters of the run.
func (r *Run) Values() map[string]string { return r.values }

// parse reads a parameter; its error is kept for Check.
func parse[T any](r *Run, name string, f func(string) (T, error)) T {
	v, err := f(r.values[name])
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("parameter %s: %w", name, err)
	}
	return v
}

// Text, Int, Share, Duration and Rate read parameters. Check tells whether all were
// well-formed.
func (r *Run) Text(name string) string { return r.values[name] }

// Int reads a number.
func (r *Run) Int(name string) int { return parse(r, name, strconv.Atoi) }

// Share reads a number from 0 to 1.
func (r *Run) Share(name string) float64 {
	return parse(r, name, func(s string) (float64, error) {
		v, err := strconv.ParseFloat(s, 64)
		if err == nil && (v < 0 || v > 1) {
			err = fmt.Errorf("%v is not between 0 and 1", v)
		}
		return v, err
	})
}

// Duration reads a duration, such as 50ms.
func (r *Run) Duration(name string) time.Duration { return parse(r, name, time.ParseDuration) }

// Rate reads bits per second, such as 20mbit.
func (r *Run) Rate(name string) int { return parse(r, name, ParseRate) }

// Check returns what was wrong with a parameter that was read.
func (r *Run) Check() error { return r.err }

// ParseRate reads bits per second: a number with kbit, mbit, gbit or nothing.
func ParseRate(s string) (int, error) {
	unit := 1
	for suffix, u := range map[string]int{"kbit": 1e3, "mbit": 1e6, "gbit": 1e9} {
		if rest, ok := strings.CutSuffix(strings.ToLower(s), suffix); ok {
			s, unit = rest, u
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v*float64(unit) <= 1e12) {
		return 0, fmt.Errorf("%q is not a rate such as 20mbit", s)
	}
	return int(v * float64(unit)), nil
}

// Line is what the parameters of all scenarios say of a peer's line.
func (r *Run) Line() fabric.Line {
	return fabric.Line{Up: r.Rate("uplink"), Down: r.Rate("downlink"), Jitter: r.Duration("jitter"), Loss: r.Share("loss")}
}

// Populate adds the run's peers, spread over the regions.
func (r *Run) Populate() error {
	line, conns := r.Line(), 0
	if _, known := r.values[connsParam.Name]; known {
		conns = r.Int(connsParam.Name)
	}
	if r.err != nil {
		return r.err
	}
	for i := range r.Peers {
		if _, err := r.Net.Add(sim.PeerOptions{Line: line, Region: i % sim.RegionCount, Conns: conns}); err != nil {
			return err
		}
	}
	return nil
}

// Start starts peers, whatever they are.
func (r *Run) Start(ctx context.Context, peers []*sim.Peer) error {
	return sim.Each(ctx, peers, r.start)
}

// startOver starts peers one after the other over a while: of thousands that start at
// once, all dials are under way at the same time.
func (r *Run) startOver(ctx context.Context, ramp time.Duration, peers []*sim.Peer) error {
	return sim.Each(ctx, peers, func(ctx context.Context, p *sim.Peer) error {
		time.Sleep(ramp * time.Duration(p.Number()) / time.Duration(r.Peers))
		return r.start(ctx, p)
	})
}

// Nearest is the name that was probably meant.
func Nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
