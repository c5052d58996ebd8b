package scenario_test

import (
	"testing"
	"testing/synctest"

	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// TestQUIC runs scenarios with few peers that talk real QUIC, some over bad lines.
func TestQUIC(t *testing.T) {
	for _, c := range []struct {
		name   string
		peers  int
		values map[string]string
	}{
		{"bootstrap", 10, nil},
		{"gossip", 10, map[string]string{"degree": "4", "messages": "5", "loss": "0.01"}},
		{"flash-crowd", 6, map[string]string{"size": "1000000"}},
		{"partition", 10, nil},
		{"partition", 8, map[string]string{"way": "drop"}},
		{"region-failure", 10, nil},
		{"nat-majority", 10, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := scenario.Find(c.name)
				if err != nil {
					t.Fatal(err)
				}
				n := sim.New(sim.Config{Seed: 1, Medium: sim.QUIC})
				r, err := scenario.NewRun(s, n, c.peers, c.values)
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
