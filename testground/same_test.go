package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

func TestSame(t *testing.T) {
	summary := func(count int, mean float64) measure.Summary {
		return measure.Summary{Name: "find_time_s", Count: count, Mean: mean}
	}
	run := func(label, hash string, all ...measure.Summary) report.Run {
		return report.Run{Label: label, Run: measure.Run{Exact: hash != "", Hash: hash, Measures: all}}
	}
	for _, m := range []struct {
		a, b report.Run
		want string // of the error, or of what is said
	}{
		{run("run 1", "ab"), run("run 2", "ab"), "2 runs, all the same: hash ab"},
		{run("run 1", "ab"), run("run 2", "cd"), "run 1 and run 2 are not the same: their hashes are ab and cd"},
		{run("run 1", "ab"), run("run 2", ""), "one is exact"},
		{run("run 1", "", summary(100, 2)), run("run 2", "", summary(105, 2.3)), "alike: of all 1 series, counts within 5 % or 2 of the first run's, means within 15 %"},
		{run("run 1", "", summary(3, -2)), run("run 2", "", summary(1, -2.2)), "alike"},
		{run("run 1", "", summary(100, 0)), run("run 2", "", summary(100, 0)), "alike"},
		{run("run 1", "", summary(100, 2)), run("run 2", "", summary(106, 2)), "the count of find_time_s is 100, then 106"},
		{run("run 1", "", summary(100, 2)), run("run 2", "", summary(100, 1.6)), "the mean of find_time_s is 2, then 1.6"},
		{run("run 1", "", summary(100, 2)), run("run 2", ""), "is 100, then 0"},
		{run("run 1", ""), run("run 2", "", summary(3, 1)), "is 0, then 3"},
	} {
		c := newConsole(t, childCommand)
		err := c.same([]report.Run{m.a, m.b})
		if got := fmt.Sprint(c.out.String(), err); !strings.Contains(got, m.want) {
			t.Errorf("says %q, want %q", got, m.want)
		}
	}
}

// TestTimes: one seed runs several times, and is compared.
func TestTimes(t *testing.T) {
	c := newConsole(t, childCommand)
	c.do(t, exitOK, strings.Fields("run flash-crowd -floor machine -peers 10 -set size=100000 -times 3 -jobs 2")...)
	c.says(t, "3 runs, all the same: hash ")
	c.do(t, exitOK, strings.Fields("run gossip -peers 12 -set messages=10 -times 2")...)
	c.says(t, "2 runs, alike: of all ")
	c.do(t, exitFailed, strings.Fields("run gossip -peers 5 -limit 1s -times 2")...)
	c.says(t, "run 2: ")
	if strings.Contains(c.out.String(), "alike") {
		t.Errorf("failed runs are compared:\n%s", c.out.String())
	}
}

func TestVariants(t *testing.T) {
	j, err := findOn(floorNode, "gossip")
	if err != nil {
		t.Fatal(err)
	}
	j.seed, j.exact = 7, true
	for _, m := range []struct {
		many many
		want string
	}{
		{many{jobs: 1}, ""},
		{many{jobs: 1, times: 2}, "run 1: 7 0, run 2: 7 0"},
		{many{jobs: 1, seeds: "18446744073709551614..18446744073709551615"}, "seed 18446744073709551614: 18446744073709551614 0, seed 18446744073709551615: 18446744073709551615 0"},
		{many{jobs: 1, schedules: "3..4"}, "schedule 3: 7 3, schedule 4: 7 4"},
	} {
		all, err := m.many.variants(j)
		if err != nil {
			t.Error(err)
		}
		var got []string
		for _, v := range all {
			got = append(got, fmt.Sprintf("%s: %d %d", v.label, v.seed, v.schedule))
		}
		if strings.Join(got, ", ") != m.want {
			t.Errorf("got %q, want %q", got, m.want)
		}
	}
	c := newConsole(t, childCommand)
	for _, m := range []struct{ args, want string }{
		{"run gossip -times 1", "2 to 10000"},
		{"run gossip -times -3", "2 to 10000"},
		{"run gossip -times 2 -seeds 1..2", "want one of them"},
		{"run gossip -schedules 1..2", "needs -det"},
		{"run gossip -det -schedules x", "-schedules"},
		{"run gossip -times 2 -jobs 0", "-jobs"},
	} {
		c.do(t, exitUsage, strings.Fields(m.args)...)
		c.says(t, m.want)
	}
}
