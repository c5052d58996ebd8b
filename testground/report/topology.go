package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/p2pnode/p2pnode/testground/measure"
)

const (
	graphSize  = 360  // points
	chordsMax  = 4000 // connections that are drawn: more are one grey
	groupGap   = 1.0  // peers that would fit between two groups
	chordAlpha = 0.5
)

// drawGraph draws who is connected to whom: peers on a circle, those of a group
// beside one another, so that a cut is where no line goes.
func drawGraph(g measure.Graph, runs []Run, run int) (figure, error) {
	if len(g.Group) == 0 {
		return figure{}, nil
	}
	at := placeGraph(g.Group)
	c := vgsvg.New(graphSize, graphSize)
	canvas := draw.New(c)
	every := (len(g.Edges) + chordsMax - 1) / chordsMax
	alpha := max(0.06, chordAlpha/math.Sqrt(1+float64(len(g.Edges)/max(1, every))/60))
	middle := vg.Point{X: graphSize / 2, Y: graphSize / 2}
	for i, e := range g.Edges {
		if i%every != 0 {
			continue
		}
		a, b := at[e[0]], at[e[1]]
		shade := mark{mutedMark, alpha}
		if g.Group[e[0]] == g.Group[e[1]] {
			shade = mark{groupMark(g.Group[e[0]]), alpha}
		}
		var path vg.Path
		path.Move(a)
		path.QuadTo(vg.Point{X: (a.X + b.X + middle.X) / 3, Y: (a.Y + b.Y + middle.Y) / 3}, b)
		canvas.SetLineStyle(draw.LineStyle{Color: shade, Width: thin})
		canvas.Stroke(path)
	}
	size := vg.Length(max(1.2, min(4, 260/float64(len(g.Group)))))
	for i, group := range g.Group {
		var path vg.Path
		path.Move(vg.Point{X: at[i].X + size, Y: at[i].Y})
		path.Arc(at[i], size, 0, 2*math.Pi)
		if group < 0 { // does not run
			canvas.SetLineStyle(draw.LineStyle{Color: solid(mutedMark), Width: thin})
			canvas.Stroke(path)
			continue
		}
		canvas.SetColor(solid(groupMark(group)))
		canvas.Fill(path)
	}
	svg, err := inline(c, "topology "+g.Name)
	title := "Topology: " + g.Name
	if len(runs) > 1 {
		title += ", " + runs[run].Label
	}
	caption := fmt.Sprintf("after %s: %d of %d peers run, %d connections", duration(g.TimeS), running(g.Group), len(g.Group), len(g.Edges))
	if every > 1 {
		caption += fmt.Sprintf(", one in %d drawn", every)
	}
	return figure{Title: title, Caption: caption, SVG: svg}, err
}

func running(groups []int) (n int) {
	for _, g := range groups {
		if g >= 0 {
			n++
		}
	}
	return n
}

func groupMark(group int) uint8 { return uint8(((group % RunsMax) + RunsMax) % RunsMax) }

// placeGraph puts peers on a circle, from the top on clockwise, by group.
func placeGraph(groups []int) []vg.Point {
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(groups[a], groups[b]) })
	breaks := 0.0
	angle := make([]float64, len(groups))
	for k, i := range order {
		if k > 0 && groups[i] != groups[order[k-1]] {
			breaks += groupGap
		}
		angle[i] = float64(k) + breaks
	}
	at := make([]vg.Point, len(groups))
	radius := float64(graphSize)/2 - 8
	for i, a := range angle {
		sin, cos := math.Sincos(math.Pi/2 - 2*math.Pi*a/(float64(len(groups))+breaks+groupGap))
		at[i] = vg.Point{X: vg.Length(graphSize/2 + radius*cos), Y: vg.Length(graphSize/2 + radius*sin)}
	}
	return at
}
