package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// reference is where the runs are that a trial is compared with, beside those of clients.
const reference = ""

// figures are those of the runs that a row shows, the least first.
func figures(runs []measure.Run, w row) (list []float64) {
	for _, run := range runs {
		if v, ok := w.value(run); ok {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}

// median is that of figures in order.
func median(list []float64) float64 { return list[len(list)/2] }

// spread is the median of some figures, and the last.
func spread(list []float64) string {
	if len(list) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s)", short3(median(list)), short3(list[len(list)-1]))
}

// columns are the titles of a table.
func (c chapter) columns() []string {
	list := []string{"what", "compared with", "that", "p2pnode", "times that", "goal", "reached", "boxo"}
	if c.lines {
		list = []string{"what", "the lines allow, s", "p2pnode, s", "times that", "goal", "reached", "boxo, s", "boxo ÷ p2pnode"}
	}
	for _, w := range c.more {
		list = append(list, w.title)
	}
	return list
}

// rule is the line below the titles: texts begin at the left, numbers end at the right.
func (c chapter) rule() string {
	var rule strings.Builder
	for _, title := range c.columns() {
		switch title {
		case "what", "compared with", "reached":
			rule.WriteString("---|")
		default:
			rule.WriteString("--:|")
		}
	}
	return rule.String()
}

// line is the row of a trial.
func (c chapter) line(t trial, runs map[string][]measure.Run) string {
	of := row{series: t.series, figure: most, scale: 1, bound: true}
	took := figures(runs[scenario.Ours], of)
	if t.least {
		slices.Reverse(took) // the worst is the last
	}
	label, limit := t.limit(runs)
	goal, ratio, reached := "≤ "+short3(t.goal), "–", "–"
	if t.least {
		goal = "≥ " + short3(t.goal)
	}
	if len(took) > 0 && limit > 0 {
		ratio = short3(median(took)/limit) + " (" + short3(took[len(took)-1]/limit) + ")"
		if reached = "no"; t.least && median(took) >= t.goal*limit || !t.least && median(took) <= t.goal*limit {
			reached = "yes"
		}
	}
	rival, factor := "–", "–"
	for _, client := range t.rivals {
		if theirs := figures(runs[client], of); len(theirs) > 0 && len(took) > 0 {
			rival = spread(theirs)
			factor = short3(median(theirs) / median(took))
		}
	}
	list := []string{t.name, label, short3(limit), spread(took), ratio, goal, reached, rival}
	if c.lines {
		list = []string{t.name, short3(limit), spread(took), ratio, goal, reached, rival, factor}
	}
	for _, w := range c.more {
		list = append(list, spread(figures(runs[scenario.Ours], w)))
	}
	return "| " + strings.Join(list, " | ") + " |"
}

// limit is what a trial's figure is compared with, and what that is; 0 if there is none.
func (t trial) limit(runs map[string][]measure.Run) (label string, limit float64) {
	if t.than != nil {
		theirs := figures(runs[reference], row{series: t.than.series, figure: most, scale: 1})
		if len(theirs) > 0 {
			limit = median(theirs)
		}
		return t.than.name, limit
	}
	for _, run := range runs[scenario.Ours] {
		for _, b := range run.Bounds {
			if b.Series == t.series {
				label, limit = b.Label, b.Value
			}
		}
	}
	return label, limit
}
