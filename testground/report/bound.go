package report

import (
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bound is a dashed vertical line.
type bound struct {
	at    float64
	color mark
}

func (b bound) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	if at := x(b.at); at >= c.Min.X && at <= c.Max.X {
		c.StrokeLine2(draw.LineStyle{Color: b.color, Width: lineWidth * 0.75, Dashes: []vg.Length{4, 3}}, at, c.Min.Y, at, c.Max.Y)
	}
}

// DataRange widens the axis, so that a bound is seen.
func (b bound) DataRange() (xmin, xmax, ymin, ymax float64) { return b.at, b.at, 0, 0 }

// addBounds adds what the runs say a series should be, and returns it in words. place
// is where on the axis a value stands.
func addBounds(name string, runs []Run, p *plot.Plot, place func(float64) float64) string {
	var labels []string
	for i, r := range runs {
		for _, b := range r.Values.Bounds() {
			if b.Series != name {
				continue
			}
			color := solid(inkMark)
			if len(runs) > 1 {
				color = series(i)
			}
			p.Add(bound{place(b.Value), color})
			if label := strings.TrimSpace(b.Label + " " + number(b.Value)); !slices.Contains(labels, label) {
				labels = append(labels, label)
			}
		}
	}
	return strings.Join(labels, ", ")
}

// positionOf is where a value stands among numbers that are evenly spaced, whatever
// lies between them.
func positionOf(numbers []float64, v float64) float64 {
	i, found := slices.BinarySearch(numbers, v)
	if found || i == 0 {
		return float64(i)
	}
	if i == len(numbers) {
		return float64(i) - 0.5
	}
	low, high := numbers[i-1], numbers[i]
	return float64(i-1) + (v-low)/(high-low)
}
