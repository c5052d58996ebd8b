package report

import (
	"image"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot/plotter"
)

const (
	rowsMax   = 240 // peers that are told apart in a heat map
	heatAlpha = 24  // of the lowest value; what has no value is clear
)

// heat is the colour of heat maps. Only its opacity tells the value, so that it can
// stand on a light page and on a dark one.
var heat = color.NRGBA{R: 0x3B, G: 0x82, B: 0xD9}

// drawHeat draws a counter of each peer over time.
func drawHeat(name string, runs []Run, i int) (figure, error) {
	r := runs[i]
	cells := columns(r.Values.Points(name))
	peers := 0
	for _, c := range cells {
		for _, p := range c {
			peers = max(peers, p.Peer+1)
		}
	}
	low, high := extremes(name, runs)
	if peers < 2 || len(cells) < samplesMin {
		return figure{}, nil
	}
	rows := min(peers, rowsMax)
	img := image.NewNRGBA(image.Rect(0, 0, len(cells), rows))
	for x, c := range cells {
		sum, count := make([]float64, rows), make([]float64, rows)
		for _, p := range c {
			if p.Peer >= 0 {
				sum[p.Peer*rows/peers] += p.Value
				count[p.Peer*rows/peers]++
			}
		}
		for y := range rows {
			if count[y] > 0 {
				shade := heat
				shade.A = uint8(heatAlpha + (255-heatAlpha)*(sum[y]/count[y]-low)/(high-low))
				img.SetNRGBA(x, rows-1-y, shade)
			}
		}
	}
	unitOfTime := clockOf(runs)
	p := newPlot(unitOfTime.name, "peer")
	from, to := cells[0][0].At.Seconds(), cells[len(cells)-1][0].At.Seconds()
	p.Add(plotter.NewImage(img, from/unitOfTime.seconds, -0.5, to/unitOfTime.seconds, float64(peers)-0.5))
	title, unit := titleOf(name)
	svg, err := render(p, width, height, title+" of each peer over time")
	if len(runs) > 1 {
		title += ", " + r.Label
	}
	return figure{
		Title: title, Caption: "each peer over time; clear where it did not run", SVG: svg,
		Scale: &scale{strings.TrimSpace(number(low) + " " + unit), strings.TrimSpace(number(high) + " " + unit)},
	}, err
}

// extremes are the lowest and the highest value in all runs, so that their colours
// can be compared; they differ.
func extremes(name string, runs []Run) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range runs {
		for _, p := range r.Values.Points(name) {
			low, high = min(low, p.Value), max(high, p.Value)
		}
	}
	if !(low < high) {
		return low, low + 1
	}
	return low, high
}
