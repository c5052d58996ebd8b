package machine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/machine"
	"github.com/p2pnode/p2pnode/testground/measure"
)

// small is each scenario at a size at which it takes few milliseconds.
var small = map[string]map[string]string{
	"churn":       {"minutes": "1", "adds": "3", "size": "200000", "block": "50000"},
	"flash-crowd": {"size": "500000", "block": "50000"},
	"free-riders": {"size": "500000", "block": "50000"},
	"many-wants":  {"wants": "200"},
	"partition":   {"cut": "40s", "size": "300000", "block": "50000"},
	"slow-peers":  {"size": "3000000", "block": "100000"},
}

const smallPeers = 8

func find(t testing.TB, name string) machine.Scenario {
	t.Helper()
	s, found := machine.Find(name)
	if !found {
		t.Fatalf("no scenario %q", name)
	}
	return s
}

// TestScenarios plays each as it comes, with three seeds.
func TestScenarios(t *testing.T) {
	for _, s := range machine.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			for seed := range uint64(3) {
				res, err := s.Run(seed, s.Peers, nil)
				if err != nil {
					t.Error(err)
				}
				if res.Tally.Delivered == 0 || len(res.Measures) == 0 {
					t.Errorf("seed %d: %d blocks delivered, %d measures", seed, res.Tally.Delivered, len(res.Measures))
				}
			}
		})
	}
}

// TestVariants plays stories that parameters tell.
func TestVariants(t *testing.T) {
	for _, c := range []struct {
		name   string
		params map[string]string
	}{
		{"partition", map[string]string{"way": "drop"}},
		{"partition", map[string]string{"cut": "10s"}}, // mended before anybody notices
		{"free-riders", map[string]string{"manner": "greedy"}},
		{"free-riders", map[string]string{"manner": "boaster"}},
		{"free-riders", map[string]string{"manner": "corrupt"}},
		{"flash-crowd", map[string]string{"loss": "0.01", "drop": "0.01", "jitter": "50ms"}},
		{"many-wants", map[string]string{"drop": "0.02"}},
		{"flash-crowd", map[string]string{"skew": "24h", "drift": "50000"}},
		{"flash-crowd", map[string]string{"uplink": "0", "downlink": "0"}},
		{"churn", map[string]string{"leave": "1", "away": "5s", "drop": "0.005"}},
	} {
		var words []string
		for name, v := range c.params {
			words = append(words, name+"="+v)
		}
		t.Run(c.name+" "+strings.Join(words, " "), func(t *testing.T) {
			for seed := range uint64(2) {
				if _, err := find(t, c.name).Run(seed, 24, c.params); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSameSeed: a run follows from its seed.
func TestSameSeed(t *testing.T) {
	seen := make(map[string]uint64)
	for seed := range uint64(100) {
		for _, s := range machine.Scenarios() {
			a, err := s.Run(seed, smallPeers, small[s.Name])
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.Run(seed, smallPeers, small[s.Name])
			if err != nil {
				t.Fatal(err)
			}
			if a.Trace != b.Trace || a.Events != b.Events || a.Time != b.Time || a.Stats != b.Stats {
				t.Fatalf("%s, seed %d: two runs differ:\n%+v\n%+v", s.Name, seed, a, b)
			}
			if other, twice := seen[a.Trace]; twice {
				t.Errorf("%s: seeds %d and %d give the same trace", s.Name, seed, other)
			}
			seen[a.Trace] = seed
		}
	}
}

// follower counts what it is told.
type follower struct{ values, bounds int }

func (f *follower) Value(string, measure.Point) { f.values++ }
func (f *follower) Graph(measure.Graph)         {}
func (f *follower) Bound(measure.Bound)         { f.bounds++ }

// TestOnlookers: whoever looks on sees all, and changes nothing.
func TestOnlookers(t *testing.T) {
	s := find(t, "flash-crowd")
	alone, err := s.Run(3, 20, small[s.Name])
	if err != nil {
		t.Fatal(err)
	}
	var f follower
	ticks, last := 0, time.Duration(-1)
	seen, err := s.RunWith(machine.RunOptions{Seed: 3, Peers: 20, Params: small[s.Name], Follow: &f, Tick: func(w *machine.World) {
		if ticks++; w.Now() <= last || len(w.Up()) != 20 {
			t.Errorf("at %v, after %v, %d are up", w.Now(), last, len(w.Up()))
		}
		last = w.Now()
	}})
	if err != nil || seen.Trace != alone.Trace || seen.Events != alone.Events {
		t.Errorf("alone %.16s, seen %.16s, %v", alone.Trace, seen.Trace, err)
	}
	values := 0
	for _, m := range seen.Measures {
		values += m.Count
	}
	if f.values != values || f.bounds != 1 || ticks < 1 || ticks > int(seen.Time/time.Second) {
		t.Errorf("heard %+v of %d values, %d ticks in %v", f, values, ticks, seen.Time)
	}
}

// TestOver: a run whose time is over ends, whatever it does at that moment.
func TestOver(t *testing.T) {
	for _, s := range machine.Scenarios() {
		res, err := s.RunWith(machine.RunOptions{Seed: 1, TimeMax: 1500 * time.Millisecond})
		var over *machine.OverError
		if !errors.As(err, &over) || over.Max != 1500*time.Millisecond || res.Time < time.Second || res.Time > over.Max {
			t.Errorf("%s ends at %v: %v", s.Name, res.Time, err)
		}
	}
	if _, found := machine.Find("flash-crwd"); found {
		t.Error("found what there is not")
	}
}

// TestBadInput: what cannot be run says why.
func TestBadInput(t *testing.T) {
	s := find(t, "flash-crowd")
	for _, c := range []struct {
		peers  int
		params map[string]string
		says   string
	}{
		{1, nil, "2 at least"},
		{4, map[string]string{"uplnk": "1mbit"}, "no parameter"},
		{4, map[string]string{"uplink": "fast"}, "not a rate"},
		{4, map[string]string{"uplink": "-1mbit"}, "not a rate"},
		{4, map[string]string{"loss": "2"}, "between 0 and 1"},
		{4, map[string]string{"loss": "NaN"}, "between 0 and 1"},
		{4, map[string]string{"jitter": "-1s"}, "negative"},
		{4, map[string]string{"size": "many"}, "invalid syntax"},
		{4, map[string]string{"block": "0"}, "blocks of 0 bytes"},
	} {
		if _, err := s.Run(1, c.peers, c.params); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d peers, %v: got %v, want %q", c.peers, c.params, err, c.says)
		}
	}
}
