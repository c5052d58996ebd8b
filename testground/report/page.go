package report

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// page is what the template draws.
type page struct {
	Title, Doc string
	Style      template.CSS
	Runs       []runView
	Figures    []figure
	Table      table
	Messages   table
	Side       bool // several runs, side by side
}

// runView is a run in words.
type runView struct {
	measure.Run
	Label    string
	Color    int // number of the colour, from 1
	Facts    []fact
	Params   []fact
	Versions []fact
}

type fact struct{ Name, Value string }

// table has a row for each series.
type table struct {
	Head []string
	Rows [][]string
}

func newPage(runs []Run) (page, error) {
	p := page{Title: runs[0].Scenario, Doc: runs[0].Doc, Style: template.CSS(styleText), Side: len(runs) > 1}
	for i, r := range runs {
		if r.Scenario != runs[0].Scenario {
			p.Title, p.Doc = "Runs side by side", ""
		}
		v := runView{Run: r.Run, Label: r.Label, Color: i + 1, Params: facts(r.Params), Versions: facts(r.Versions)}
		v.Facts = []fact{
			{"peers", fmt.Sprint(r.Peers)},
			{"seed", fmt.Sprint(r.Seed)},
			{"of the network", duration(r.TimeS)},
			{"of the clock", duration(r.WallS)},
			{"faster than real", fmt.Sprintf("%.3g×", r.TimeS/max(r.WallS, 1e-3))},
			{"processor", duration(r.CPUS)},
			{"memory at most", number(r.PeakMB) + " MB"},
		}
		if r.Dropped > 0 {
			v.Facts = append(v.Facts, fact{"values dropped", fmt.Sprint(r.Dropped)})
		}
		p.Runs = append(p.Runs, v)
	}
	p.Messages = messageTable(runs)
	if p.Side {
		p.Table = compareTable(runs)
	} else {
		p.Table = summaryTable(runs[0].Values.Summaries())
	}
	var err error
	p.Figures, err = figures(runs)
	return p, err
}

// messageTable has a column for each run and a row for each type of message.
func messageTable(runs []Run) table {
	type kind struct{ protocol, name string }
	t := table{Head: []string{"protocol", "type"}}
	counts := make(map[kind][]int64)
	for i, r := range runs {
		t.Head = append(t.Head, cmp.Or(r.Label, "sent"))
		for _, c := range r.Messages {
			k := kind{c.Protocol, c.Type}
			if counts[k] == nil {
				counts[k] = make([]int64, len(runs))
			}
			counts[k][i] = c.Count
		}
	}
	byName := func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.name, b.name))
	}
	for _, k := range slices.SortedFunc(maps.Keys(counts), byName) {
		row := []string{k.protocol, k.name}
		for _, n := range counts[k] {
			row = append(row, fmt.Sprint(n))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func facts(m map[string]string) []fact {
	var all []fact
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fact{name, m[name]})
	}
	return all
}

func summaryTable(all []measure.Summary) table {
	t := table{Head: []string{"series", "count", "min", "p50", "p90", "p99", "max", "mean"}}
	for _, s := range all {
		row := []string{s.Name, number(float64(s.Count))}
		for _, v := range []float64{s.Min, s.P50, s.P90, s.P99, s.Max, s.Mean} {
			row = append(row, number(v))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// compareTable has median and p99 of each run, and with two runs how they differ.
func compareTable(runs []Run) table {
	t := table{Head: []string{"series"}}
	for _, r := range runs {
		t.Head = append(t.Head, r.Label+" p50", r.Label+" p99")
	}
	if len(runs) == 2 {
		t.Head = append(t.Head, "p50 differs", "p99 differs")
	}
	for _, c := range Compare(runs...) {
		row := []string{c.Name}
		for _, s := range c.Of {
			row = append(row, cell(s, s.P50), cell(s, s.P99))
		}
		if len(runs) == 2 {
			row = append(row, c.change(func(s measure.Summary) float64 { return s.P50 }), c.change(func(s measure.Summary) float64 { return s.P99 }))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func cell(s measure.Summary, v float64) string {
	if s.Count == 0 {
		return "–"
	}
	return number(v)
}
