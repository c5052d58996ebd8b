package scenario_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// TestSmall runs every scenario with few peers.
func TestSmall(t *testing.T) {
	for _, s := range scenario.All() {
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := sim.New(sim.Config{Seed: 1})
				r, err := scenario.NewRun(s, n, 12, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Run(t.Context(), r); err != nil {
					t.Error(err)
				}
				if err := n.Close(); err != nil {
					t.Error(err)
				}
				if len(r.Measure.Names()) == 0 {
					t.Error("nothing was measured")
				}
			})
		})
	}
}

// TestVariants runs scenarios with parameters that change what happens in them.
func TestVariants(t *testing.T) {
	for _, v := range []struct {
		scenario string
		peers    int
		values   map[string]string
		series   string // that must have been measured
	}{
		{"fetch", 3, map[string]string{"wire": "bitswap", "shape": "small", "count": "300", "size": "300000"}, "fetch_time_s"},
		{"fetch", 2, map[string]string{"from": "boxo-pin", "shape": "chain", "count": "8", "rtt": "100ms"}, "round_trips_per_level"},
		{"flash-crowd", 7, map[string]string{"other": "boxo-pin", "way": "pin", "chunk": "65536", "size": "1000000"}, "other_completion_time_s"},
		{"flash-crowd", 7, map[string]string{"from": "boxo-pin", "way": "pin", "chunk": "65536", "size": "1000000"}, "completion_time_s"},
		{"flood", 6, map[string]string{"conns": "20", "seconds": "3"}, "wants_kept_per_flooder"},
		{"free-riders", 9, map[string]string{"way": "pin", "rtt": "50ms", "chunk": "65536", "size": "1000000"}, "riders_times_givers"},
		{"fetch", 8, map[string]string{"idle": "6", "size": "1000000"}, "wants_per_block"},
	} {
		r, err := play(t, v.scenario, v.peers, v.values)
		if err != nil {
			t.Errorf("%s with %v: %v", v.scenario, v.values, err)
		}
		if !slices.Contains(r.Measure.Names(), v.series) {
			t.Errorf("%s with %v: no %s was measured", v.scenario, v.values, v.series)
		}
	}
	for _, wrong := range []struct {
		scenario string
		values   map[string]string
	}{
		{"fetch", map[string]string{"wire": "none"}}, {"fetch", map[string]string{"from": "bittorrent"}},
		{"fetch", map[string]string{"idle": "3"}}, {"fetch", map[string]string{"uplinks": "1mbit"}},
		{"flash-crowd", map[string]string{"other": "nobody"}}, {"flood", map[string]string{"wants": "1000000"}},
		{"liars", map[string]string{"kind": "white"}}, {"liars", map[string]string{"liars": "3"}},
	} {
		if _, err := play(t, wrong.scenario, 4, wrong.values); err == nil {
			t.Errorf("%s took %v", wrong.scenario, wrong.values)
		}
	}
}

// TestLiars: with liars of every kind all comes, those that send what is wrong are found
// out, and nobody else is taken for a liar. The file is larger than what may come with the nodes, so
// that more than the first peer is asked for leaves.
func TestLiars(t *testing.T) {
	for _, kind := range []string{"silent", "busy", "corrupt", "mute", "drip", "bomb"} {
		for _, wire := range []string{"both", "bitswap"} {
			r, err := play(t, "liars", 7, map[string]string{"liars": "4", "kind": kind, "wire": wire, "size": "12000000"})
			if err != nil {
				t.Errorf("%s, %s: %v", kind, wire, err)
				continue
			}
			if n := r.Measure.Summarize("honest_reported").Max; n != 0 {
				t.Errorf("%s, %s: %v honest peers were reported", kind, wire, n)
			}
			if n := r.Measure.Summarize("liars_reported").Max; n == 0 && kind == "corrupt" {
				t.Errorf("%s, %s: nobody was reported", kind, wire)
			}
		}
	}
}

// play runs a scenario, and ends its network.
func play(t *testing.T, name string, peers int, values map[string]string) (r *scenario.Run, err error) {
	t.Helper()
	s, err := scenario.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := sim.New(sim.Config{Seed: 1})
		if r, err = scenario.NewRun(s, n, peers, values); err != nil {
			t.Fatal(err)
		}
		err = s.Run(t.Context(), r)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, err
}

func TestMistakes(t *testing.T) {
	if _, err := scenario.Find("bootsrap"); err == nil || !strings.Contains(err.Error(), "bootstrap") {
		t.Errorf("got %v", err)
	}
	s := scenario.All()[0]
	if _, err := scenario.NewRun(s, nil, 5, map[string]string{"uplnk": "1"}); err == nil || !strings.Contains(err.Error(), "uplink") {
		t.Errorf("got %v", err)
	}
	r, err := scenario.NewRun(s, nil, 5, map[string]string{"uplink": "much", "loss": "2"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Line(); r.Check() == nil {
		t.Error("took a rate of much")
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "20mbit": 20e6, "1.5Gbit": 15e8, "300": 300, "-1": -1, "x": -1, "1e30": -1, "NaN": -1} {
		got, err := scenario.ParseRate(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
}
