package scenario_test

import (
	"testing"
	"testing/synctest"

	"github.com/p2pnode/p2pnode/testground/measure"
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
			if m := over(t, sim.QUIC, c.name, c.peers, c.values); len(m.Names()) == 0 {
				t.Error("nothing was measured")
			}
		})
	}
}

// over runs a scenario over a medium, in virtual time.
func over(t *testing.T, medium sim.Medium, name string, peers int, values map[string]string) (measured *measure.Recorder) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := scenario.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		n := sim.New(sim.Config{Seed: 1, Medium: medium})
		r, err := scenario.NewRun(s, n, peers, values)
		if err != nil {
			t.Fatal(err)
		}
		measured = r.Measure
		if err := s.Run(t.Context(), r); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return measured
}

// TestAgreement: where lines are good and not full, the model of connections and the
// real thing say the same.
func TestAgreement(t *testing.T) {
	values := map[string]string{"degree": "6", "messages": "10"}
	a := over(t, sim.Mem, "gossip", 16, values).Summarize("delivery_time_s")
	b := over(t, sim.QUIC, "gossip", 16, values).Summarize("delivery_time_s")
	t.Logf("%+v, %+v", a, b)
	for _, pair := range [][2]float64{{a.P50, b.P50}, {a.P90, b.P90}, {a.Max, b.Max}} {
		if ratio := pair[1] / pair[0]; ratio < 0.75 || ratio > 1.33 {
			t.Errorf("delivery after %v, over QUIC %v", pair[0], pair[1])
		}
	}
}
