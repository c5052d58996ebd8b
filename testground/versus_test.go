package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// TestVersus: each contest is run by ours and by others, and shown as one table, in
// its place in the file.
func TestVersus(t *testing.T) {
	c := newConsole(t, childCommand)
	file := filepath.Join(t.TempDir(), "networks.md")
	if err := os.WriteFile(file, []byte("# Networks\n\nBy hand.\n\n## gossip, 6 peers, messages 2\n\nold\n\n## other\n\nkept\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	c.do(t, exitOK, "versus", "flash-crowd", "-peers", "6", "-seeds", "1..2", "-set", "size=1048576", "-out", file)
	c.do(t, exitOK, "versus", "find", "-peers", "6", "-seeds", "1", "-out", file)
	for range 2 { // the second takes the place of the first
		c.do(t, exitOK, "versus", "gossip", "-peers", "6", "-seeds", "1", "-set", "messages=2", "-out", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for what, times := range map[string]int{
		"# Networks\n\nBy hand.\n\n## gossip": 1, "old": 0, "## other\n\nkept\n": 1,
		"| median of seeds 1..2 (worst) | p2pnode | boxo | boxo-pin | bound | p2pnode ÷ boxo | p2pnode ÷ boxo-pin |\n|---|--:|--:|--:|--:|--:|--:|\n": 1,
		"| p2pnode | kad-dht | p2pnode ÷ kad-dht |\n": 1, "| p2pnode | gossipsub | bound | p2pnode ÷ gossipsub |\n": 1,
		"| sent by the seed, copies | ": 1, "| messages a find | ": 1, "| hops, mean | ": 1,
		"go run ./testground versus gossip -peers 6 -seeds 1 -set messages=2": 1,
		"uplink 10mbit": 1,
	} {
		if got := strings.Count(text, what); got != times {
			t.Errorf("%q is there %d times, want %d, in\n%s", what, got, times, text)
		}
	}
}

// TestVersusMistakes: what cannot be run is refused, and what fails is told.
func TestVersusMistakes(t *testing.T) {
	c := newConsole(t, childCommand)
	c.do(t, exitUsage, "versus")
	c.says(t, "flash-crowd, find, gossip")
	c.do(t, exitUsage, "versus", "flashcrowd")
	c.says(t, "did you mean flash-crowd?")
	c.do(t, exitUsage, "versus", "gossip", "-set", "client=gossipsub")
	c.do(t, exitUsage, "versus", "gossip", "-set", "sise=1")
	c.says(t, "did you mean size?")
	c.do(t, exitUsage, "versus", "gossip", "-seeds", "5..1")
	c.do(t, exitUsage, "versus", "gossip", "more")
	c.do(t, exitFailed, "versus", "flash-crowd", "-peers", "4", "-seeds", "1", "-set", "uplink=much")
	c.says(t, "Failed: p2pnode, seed 1", "| runs that failed | 1 of 1 | 1 of 1 | 1 of 1 | | | |", "– |")
}

func TestRow(t *testing.T) {
	run := measure.Run{
		Measures: []measure.Summary{{Name: "a_s", Count: 3, P50: 2, Max: 4}},
		Bounds:   []measure.Bound{{Series: "a_s", Value: 1}},
	}
	w := row{"a, ms", "a_s", most, 1e3, true}
	if v, ok := w.value(run); v != 4000 || !ok {
		t.Errorf("got %v, %v", v, ok)
	}
	if v, ok := w.boundOf(run); v != 1000 || !ok {
		t.Errorf("got a bound of %v, %v", v, ok)
	}
	w.series = "b"
	if _, ok := w.value(run); ok {
		t.Error("has a figure of what was not measured")
	}
	for v, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.5: "0.50", 12.34: "12.3", 1234.5: "1234"} {
		if got := short3(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}
