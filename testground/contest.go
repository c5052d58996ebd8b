package main

import (
	"slices"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// contest is a script that our peers run, and other software's after them.
type contest struct {
	name, doc string
	scenario  string
	peers     int
	values    map[string]string // unless told otherwise
	rows      []row
}

// row is a figure of a run that a table shows.
type row struct {
	title  string // with the unit last
	series string
	figure func(measure.Summary) float64
	// scale is what the figure is multiplied by to have the unit.
	scale float64
	// bound tells that the series has a bound, shown as a column of its own figure.
	bound bool
}

// Figures of a run.
func most(s measure.Summary) float64   { return s.Max }
func middle(s measure.Summary) float64 { return s.P50 }
func late99(s measure.Summary) float64 { return s.P99 }
func mean(s measure.Summary) float64   { return s.Mean }

func contests() []contest {
	return []contest{
		{
			name: "flash-crowd", doc: "one peer has a file, all others want it at once",
			scenario: "flash-crowd", peers: 64, values: map[string]string{"uplink": "10mbit"},
			rows: []row{
				{"the last peer has it, s", "completion_time_s", most, 1, true},
				{"half of the peers have it, s", "completion_time_s", middle, 1, false},
				{"the last, times the bound", "times_the_bound", most, 1, false},
				{"sent by the seed, copies", "seed_copies", most, 1, false},
				{"blocks that were there already, %", "duplicate_share", most, 100, false},
				{"control, kB a peer", "control_bytes_per_peer", most, 1e-3, false},
				{"messages a peer", "messages_per_peer", most, 1, false},
			},
		},
		{
			name: "find", doc: "everyone provides, everyone finds",
			scenario: "bootstrap", peers: 100, values: map[string]string{"join": "warm"},
			rows: []row{
				{"find, p50, ms", "find_time_s", middle, 1e3, false},
				{"find, p99, ms", "find_time_s", late99, 1e3, false},
				{"find, the slowest, ms", "find_time_s", most, 1e3, false},
				{"messages a find", "find_messages", most, 1, false},
				{"kB a find", "find_bytes", most, 1e-3, false},
				{"provide, p50, s", "provide_time_s", middle, 1, false},
				{"provide, the slowest, s", "provide_time_s", most, 1, false},
				{"messages a provide", "provide_messages", most, 1, false},
				{"kB a provide", "provide_bytes", most, 1e-3, false},
				{"connections a peer, mean", "connections", mean, 1, false},
			},
		},
		{
			name: "gossip", doc: "messages to all, from random peers",
			scenario: "gossip", peers: 100,
			rows: []row{
				{"delivery, p50, ms", "delivery_time_s", middle, 1e3, false},
				{"delivery, p99, ms", "delivery_time_s", late99, 1e3, true},
				{"delivery, the slowest, ms", "delivery_time_s", most, 1e3, false},
				{"hops, mean", "hops", mean, 1, true},
				{"hops, most", "hops", most, 1, false},
				{"sent for a delivery, copies", "sent_copies_per_delivery", most, 1, false},
				{"came again for a delivery, copies", "duplicates_per_delivery", most, 1, false},
				{"messages a delivery", "messages_per_delivery", most, 1, false},
			},
		},
	}
}

// findContest returns the contest of that name, or an error that names the nearest.
func findContest(name string) (contest, error) {
	var names []string
	for _, c := range contests() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return contest{}, usageError{&unknownError{"contest", name, scenario.Nearest(name, names)}}
}

// value is the row's figure of a run, if the run has it.
func (w row) value(run measure.Run) (float64, bool) {
	i := slices.IndexFunc(run.Measures, func(s measure.Summary) bool { return s.Name == w.series && s.Count > 0 })
	if i < 0 {
		return 0, false
	}
	return w.figure(run.Measures[i]) * w.scale, true
}

// boundOf is what the row's figure cannot be better than, as a run has noted it.
func (w row) boundOf(run measure.Run) (float64, bool) {
	i := slices.IndexFunc(run.Bounds, func(b measure.Bound) bool { return b.Series == w.series })
	if !w.bound || i < 0 {
		return 0, false
	}
	return run.Bounds[i].Value * w.scale, true
}
