package report

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"github.com/p2pnode/p2pnode/testground/measure"
)

const (
	columnsMax = 160 // times that are told apart in a plot
	bandAlpha  = 0.18
)

// clock is the unit of a time axis.
type clock struct {
	name    string
	seconds float64
}

// clockOf chooses the unit for what lasts so long.
func clockOf(runs []Run) clock {
	last := 0.0
	for _, r := range runs {
		last = max(last, r.TimeS)
	}
	if last >= 20*60 {
		return clock{"minutes of the network", 60}
	}
	return clock{"seconds of the network", 1}
}

// columns gathers points in order of time by when they are, at most columnsMax of
// them.
func columns(points []measure.Point) [][]measure.Point {
	if len(points) == 0 {
		return nil
	}
	var exact [][]measure.Point
	for i, p := range points {
		if i == 0 || p.At != points[i-1].At {
			exact = append(exact, nil)
		}
		exact[len(exact)-1] = append(exact[len(exact)-1], p)
	}
	if len(exact) <= columnsMax {
		return exact
	}
	first, last := points[0].At, points[len(points)-1].At
	merged := make([][]measure.Point, columnsMax)
	for _, p := range points {
		i := min(columnsMax-1, int(float64(p.At-first)/float64(last-first)*columnsMax))
		merged[i] = append(merged[i], p)
	}
	return slices.DeleteFunc(merged, func(c []measure.Point) bool { return len(c) == 0 })
}

// drawBand draws a counter over time: the median of the peers, and between which
// values four fifths of them are.
func drawBand(name string, runs []Run) (figure, error) {
	title, unit := titleOf(name)
	unitOfTime := clockOf(runs)
	p := newPlot(unitOfTime.name, unit)
	for i, r := range runs {
		var low, middle, high plotter.XYs
		for _, c := range columns(r.Values.Points(name)) {
			values, at := valuesOf(c), c[len(c)-1].At.Seconds()/unitOfTime.seconds
			quantile := func(share float64) plotter.XY {
				return plotter.XY{X: at, Y: values[min(len(values)-1, int(share*float64(len(values))))]}
			}
			low, middle, high = append(low, quantile(0.1)), append(middle, quantile(0.5)), append(high, quantile(0.9))
		}
		if len(middle) == 0 {
			continue
		}
		slices.Reverse(high)
		band, err := plotter.NewPolygon(append(low, high...))
		if err != nil {
			return figure{}, fmt.Errorf("draw %s: %w", name, err)
		}
		band.Color, band.LineStyle = mark{series(i).number, bandAlpha}, draw.LineStyle{}
		line, err := plotter.NewLine(middle)
		if err != nil {
			return figure{}, fmt.Errorf("draw %s: %w", name, err)
		}
		line.LineStyle = draw.LineStyle{Color: series(i), Width: lineWidth}
		p.Add(band, line)
	}
	fromZero(p)
	svg, err := render(p, width, height, title+" over time")
	return figure{Title: title, Caption: "median of the peers, and p10 to p90", SVG: svg}, err
}

// drawLines draws a value of the whole network over time.
func drawLines(name string, runs []Run) (figure, error) {
	title, unit := titleOf(name)
	unitOfTime := clockOf(runs)
	p := newPlot(unitOfTime.name, unit)
	for i, r := range runs {
		var xys plotter.XYs
		for _, c := range columns(r.Values.Points(name)) {
			last := c[len(c)-1]
			xys = append(xys, plotter.XY{X: last.At.Seconds() / unitOfTime.seconds, Y: last.Value})
		}
		if len(xys) == 0 {
			continue
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return figure{}, fmt.Errorf("draw %s: %w", name, err)
		}
		line.StepStyle = plotter.PostStep
		line.LineStyle = draw.LineStyle{Color: series(i), Width: lineWidth}
		p.Add(line)
	}
	fromZero(p)
	svg, err := render(p, width, height, title+" over time")
	return figure{Title: title, Caption: "of the whole network", SVG: svg}, err
}

// fromZero has the axis begin at zero, so that heights can be compared.
func fromZero(p *plot.Plot) {
	p.Y.Min = min(0, p.Y.Min)
	if p.Y.Max <= p.Y.Min {
		p.Y.Max = p.Y.Min + 1
	}
	p.Y.Max *= headroom
}
