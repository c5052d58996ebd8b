package report

import (
	"fmt"
	"maps"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/p2pnode/p2pnode/testground/measure"
)

const (
	quantilesMax = 400  // points of a distribution that are drawn
	headroom     = 1.05 // above what is highest
	spreadMax    = 30.0 // of the values, from which on their axis is logarithmic
)

func valuesOf(points []measure.Point) []float64 {
	values := make([]float64, len(points))
	for i, p := range points {
		values[i] = p.Value
	}
	slices.Sort(values)
	return values
}

// drawCDF draws which share of all values is below a value.
func drawCDF(name string, runs []Run) (figure, error) {
	title, unit := titleOf(name)
	p := newPlot(unit, "share")
	p.Y.Min, p.Y.Max = 0, 1
	logarithmic, count := true, 0
	for i, r := range runs {
		values := valuesOf(r.Values.Points(name))
		if len(values) == 0 {
			continue
		}
		count += len(values)
		median := values[len(values)/2]
		logarithmic = logarithmic && values[0] > 0 && values[len(values)-1] > spreadMax*median
		line, err := plotter.NewLine(cumulated(values))
		if err != nil {
			return figure{}, fmt.Errorf("draw %s: %w", name, err)
		}
		line.StepStyle = plotter.PostStep
		line.LineStyle = draw.LineStyle{Color: series(i), Width: lineWidth}
		p.Add(line)
	}
	caption := fmt.Sprintf("share of %s values that are at most this", number(float64(count)))
	if labels := addBounds(name, runs, p, func(v float64) float64 { return v }); labels != "" {
		caption += "; dashed: " + labels
	}
	switch {
	case logarithmic && p.X.Min > 0 && p.X.Max > p.X.Min:
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
		caption += "; logarithmic"
	case p.X.Min > 0 && p.X.Min < p.X.Max/2:
		p.X.Min = 0
	}
	p.Y.Min, p.Y.Max = 0, 1
	svg, err := render(p, width, height, "distribution of "+title)
	return figure{Title: title, Caption: caption, SVG: svg}, err
}

// cumulated are the quantiles of sorted values, with the ends exact.
func cumulated(values []float64) plotter.XYs {
	n := len(values)
	xys := plotter.XYs{{X: values[0], Y: 0}}
	for k := range min(n, quantilesMax) {
		i := (k+1)*n/min(n, quantilesMax) - 1
		xys = append(xys, plotter.XY{X: values[i], Y: float64(i+1) / float64(n)})
	}
	return xys
}

// decades are ticks of a logarithmic axis, 1, 2 and 5 of each.
type decades struct{}

func (decades) Ticks(low, high float64) []plot.Tick {
	var all []plot.Tick
	for decade := 1e-9; decade <= 1e15; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			v := decade * m
			if v < low*0.999 || v > high*1.001 {
				continue
			}
			label := number(v)
			if m != 1 && high/low > 1000 {
				label = ""
			}
			all = append(all, plot.Tick{Value: v, Label: label})
		}
	}
	return all
}

// drawHistogram draws how often each whole number occurs, the runs' bars beside one
// another.
func drawHistogram(name string, runs []Run) (figure, error) {
	title, unit := titleOf(name)
	p := newPlot(unit, "share")
	shares := make([]map[float64]float64, len(runs))
	all := make(map[float64]bool)
	for i, r := range runs {
		shares[i] = r.Values.Shares(name)
		for v := range shares[i] {
			all[v] = true
		}
	}
	numbers := slices.Sorted(maps.Keys(all))
	barWidth := vg.Length(min(36, 0.6*width/float64((len(numbers)+1)*len(runs))))
	labels := make([]string, len(numbers))
	for i := range runs {
		heights := make(plotter.Values, len(numbers))
		for j, v := range numbers {
			heights[j], labels[j] = shares[i][v], number(v)
		}
		bars, err := plotter.NewBarChart(heights, barWidth)
		if err != nil {
			return figure{}, fmt.Errorf("draw %s: %w", name, err)
		}
		bars.Color, bars.LineStyle = series(i), draw.LineStyle{}
		bars.Offset = barWidth * vg.Length(float64(i)-float64(len(runs)-1)/2)
		p.Add(bars)
	}
	p.NominalX(labels...)
	p.X.Tick.Length, p.X.Tick.LineStyle.Width, p.X.Width = 4, 0, thin
	p.X.Min, p.X.Max = -0.6, float64(len(numbers))-0.4
	p.Y.Min, p.Y.Max = 0, p.Y.Max*headroom
	caption := "share of all values"
	place := func(v float64) float64 { return positionOf(numbers, v) }
	if labels := addBounds(name, runs, p, place); labels != "" {
		caption += "; dashed: " + labels
	}
	svg, err := render(p, width, height, "histogram of "+title)
	return figure{Title: title, Caption: caption, SVG: svg}, err
}
