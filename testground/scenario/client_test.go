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

// TestConns: with conns peers keep fewer connections, whatever they are, and nothing is
// left of the connection manager that would have kept more.
func TestConns(t *testing.T) {
	for _, client := range []string{"p2pnode", "gossipsub"} {
		sum := func(conns string) (sum int) {
			s, err := scenario.Find("gossip")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				n := sim.New(sim.Config{Seed: 1})
				r, err := scenario.NewRun(s, n, 60, map[string]string{"client": client, "conns": conns, "degree": "30", "messages": "1"})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Run(t.Context(), r); err != nil {
					t.Error(err)
				}
				for _, p := range n.Peers() {
					sum += len(p.Connected())
				}
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			})
			return sum
		}
		if few, all := sum("2"), sum("0"); 4*few > 3*all {
			t.Errorf("%s: %d connections with conns=2, %d without", client, few, all)
		}
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
