// Package report draws runs of scenarios: one self-contained HTML page with plots,
// for one run, or for several side by side. The page needs no network, no script and
// no file beside it, and follows the reader's choice of light or dark.
//
// It is not a judge: it shows what package measure has kept, and leaves out no series;
// what must hold is for the scenarios.
//
// Invariant: the page is a function of the runs; the same values draw the same page,
// and it is well-formed XML whatever names and errors it shows.
//
// Plots are gonum's (gonum.org/v1/plot).
package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// RunsMax is how many runs stand side by side: as many as there are colours that are
// told apart.
const RunsMax = 8

// picturesMax is up to how many runs each has heat maps and topologies of its own.
const picturesMax = 3

// Run is one run and every value of it.
type Run struct {
	measure.Run
	Label  string // short; where several runs are shown
	Doc    string // of the scenario
	Values *measure.Recorder
}

var (
	//go:embed page.html
	pageText string
	//go:embed style.css
	styleText string
)

// Write draws a page: of one run, or of several side by side.
func Write(w io.Writer, runs ...Run) error {
	if len(runs) == 0 || len(runs) > RunsMax {
		return fmt.Errorf("draw report: %d runs, want 1 to %d", len(runs), RunsMax)
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("draw report: %w", err)
	}
	p, err := newPage(runs)
	if err != nil {
		return fmt.Errorf("draw report: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("draw report: %w", err)
	}
	return nil
}

// figure is a plot and what stands beside it.
type figure struct {
	Title   string
	Caption string
	SVG     template.HTML
	Scale   *scale // of a heat map
	Wide    bool
}

// scale is what the colours of a heat map mean.
type scale struct{ Low, High string }

// figures draws all that can be drawn of the runs.
func figures(runs []Run) ([]figure, error) {
	var all []figure
	var errs []error
	add := func(f figure, err error) {
		if err != nil {
			errs = append(errs, err)
		} else if f.SVG != "" {
			all = append(all, f)
		}
	}
	kinds := kindsOf(runs)
	for _, k := range []kind{events, counts, sampled, network} {
		for _, name := range namesOf(kinds, k) {
			switch k {
			case events:
				add(drawCDF(name, runs))
			case counts:
				add(drawHistogram(name, runs))
			case sampled:
				add(drawBand(name, runs))
			case network:
				add(drawLines(name, runs))
			}
		}
	}
	if len(runs) > picturesMax {
		return all, errors.Join(errs...)
	}
	for _, name := range namesOf(kinds, sampled) {
		for i := range runs {
			add(drawHeat(name, runs, i))
		}
	}
	for i := range runs {
		for _, g := range runs[i].Values.Graphs() {
			add(drawGraph(g, runs, i))
		}
	}
	return all, errors.Join(errs...)
}
