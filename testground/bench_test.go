package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

func TestBench(t *testing.T) {
	c := newConsole(t, childCommand)
	file := filepath.Join(t.TempDir(), "exchange.md")
	if err := os.WriteFile(file, []byte("# Exchange\n\nBy hand.\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	c.do(t, exitOK, "bench", "-seeds", "1", "-only", "chain of 64", "-out", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"By hand.", "\n## The exchange\n", "`go run ./testground bench -seeds 1 -only \"chain of 64\"`", "| chain of 64, 100 ms | 0.10 |", "| ≤ 1.50 | yes |"} {
		if !strings.Contains(string(b), what) {
			t.Errorf("%q is not in\n%s", what, b)
		}
	}
	c.do(t, exitUsage, "bench", "-only", "nothing of the kind")
	c.do(t, exitUsage, "bench", "-seeds", "2..1")
	c.do(t, exitUsage, "bench", "more")
}

// TestTrialLine: medians and the worst, against the limit and the goal.
func TestTrialLine(t *testing.T) {
	run := func(s float64) measure.Run {
		return measure.Run{
			Measures: []measure.Summary{{Name: "fetch_time_s", Count: 1, Max: s}, {Name: "duplicate_share", Count: 1, Max: 0.5}},
			Bounds:   []measure.Bound{{Series: "fetch_time_s", Label: "the lines allow", Value: 2}},
		}
	}
	than := &other{name: "without", series: "fetch_time_s"}
	bounded, beside, least := trial{name: "it"}, trial{name: "it", than: than}, trial{name: "it", least: true}
	for _, t := range []*trial{&bounded, &beside, &least} {
		t.series, t.goal, t.rivals = "fetch_time_s", 1.5, []string{"boxo"}
	}
	for want, c := range map[string]struct {
		trial trial
		lines bool
		runs  map[string][]measure.Run
	}{
		"| it | 2.00 | 3.00 (8.00) | 1.50 (4.00) | ≤ 1.50 | yes | 6.00 (6.00) | 2.00 | 50.0 (50.0) |": {bounded, true, map[string][]measure.Run{scenario.Ours: {run(8), run(2), run(3)}, "boxo": {run(6)}}},
		"| it | 2.00 | 4.00 (4.00) | 2.00 (2.00) | ≤ 1.50 | no | – | – | 50.0 (50.0) |":               {bounded, true, map[string][]measure.Run{scenario.Ours: {run(4)}}},
		"| it | 0 | – | – | ≤ 1.50 | – | – | – | – |":                                                 {bounded, true, nil},
		"| it | the lines allow | 2.00 | 3.00 (3.00) | 1.50 (1.50) | ≤ 1.50 | yes | 6.00 (6.00) |":    {bounded, false, map[string][]measure.Run{scenario.Ours: {run(3)}, "boxo": {run(6)}}},
		"| it | without | 4.00 | 6.00 (8.00) | 1.50 (2.00) | ≤ 1.50 | yes | – |":                      {beside, false, map[string][]measure.Run{scenario.Ours: {run(8), run(5), run(6)}, reference: {run(9), run(4), run(1)}}},
		"| it | the lines allow | 2.00 | 5.00 (2.00) | 2.50 (1.00) | ≥ 1.50 | yes | – |":              {least, false, map[string][]measure.Run{scenario.Ours: {run(8), run(2), run(5)}}},
	} {
		ch := chapter{lines: c.lines}
		if c.lines {
			ch.more = []row{{"came twice, %", "duplicate_share", most, 100, false}}
		}
		if got := ch.line(c.trial, c.runs); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
