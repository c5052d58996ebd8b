package scenario_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// TestClients runs every scenario that other software can run with each of them.
func TestClients(t *testing.T) {
	ran := 0
	for _, s := range scenario.All() {
		for _, client := range s.Clients {
			ran++
			t.Run(s.Name+" "+client, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := sim.New(sim.Config{Seed: 1})
					r, err := scenario.NewRun(s, n, 6, map[string]string{"client": client})
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Run(t.Context(), r); err != nil {
						t.Error(err)
					}
					for _, p := range n.Peers() {
						if p.Node() != nil || p.Guest() == nil {
							t.Errorf("%s is one of ours", p)
						}
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
	if ran < 8 {
		t.Errorf("%d runs", ran)
	}
}

// TestClientMistakes: a client that there is none of, or that cannot do it, is refused
// before anything runs.
func TestClientMistakes(t *testing.T) {
	for name, clients := range map[string]map[string]string{
		"gossip": {"gosipsub": "gossipsub", "boxo": "no client", "": "no client"},
		"churn":  {"boxo": "parameter"},
	} {
		s, err := scenario.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for client, hint := range clients {
			_, err := scenario.NewRun(s, nil, 6, map[string]string{"client": client})
			if err == nil || !strings.Contains(err.Error(), hint) {
				t.Errorf("%s with %q: %v", name, client, err)
			}
		}
	}
}
