package scenario_test

import (
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
