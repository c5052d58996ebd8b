package report

import (
	"fmt"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Curves are some figures as functions of one number, which are drawn beside one another.
// All numbers are above 0, and all axes logarithmic.
type Curves struct {
	X      string // what the number is
	Labels []string
	Panels []Panel
}

// Panel is one figure: a line for each label.
type Panel struct {
	Title string // with the unit
	Lines []plotter.XYs
}

const panelGap = 24

// WriteCurves draws curves as an SVG file, which follows its reader's choice of light or
// dark.
func WriteCurves(w io.Writer, all Curves) error {
	c := vgsvg.New(vg.Length(len(all.Panels))*(width+panelGap), height+panelGap)
	canvas := draw.New(c)
	for i, panel := range all.Panels {
		p, err := all.panel(panel, i == 0)
		if err != nil {
			return err
		}
		left := vg.Length(i) * (width + panelGap)
		p.Draw(draw.Crop(canvas, left, left+width-canvas.Max.X, 0, 0))
	}
	svg, err := inline(c, all.X)
	if err != nil {
		return err
	}
	// What the page has is not in a file of its own.
	_, style, _ := strings.Cut(styleText, ":root")
	style, _, _ = strings.Cut(style, "* {")
	head, body, _ := strings.Cut(string(svg), ">")
	_, err = fmt.Fprintf(w, "%s>\n<style>\n:root%ssvg { background: var(--card); font-family: ui-sans-serif, system-ui, sans-serif; }\n</style>\n%s\n", head, style, body)
	if err != nil {
		return fmt.Errorf("write curves: %w", err)
	}
	return nil
}

func (all Curves) panel(panel Panel, legend bool) (*plot.Plot, error) {
	p := newPlot(all.X, "")
	p.Title.Text = panel.Title
	p.Title.TextStyle.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: fontSize + 2}
	p.Title.TextStyle.Color = solid(inkMark)
	p.Title.Padding = 8
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Scale, a.Tick.Marker = plot.LogScale{}, decades{}
	}
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = p.X.Label.TextStyle.Font, solid(mutedMark)
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs, p.Legend.Padding = true, true, 8, 3
	for i, xys := range panel.Lines {
		if len(xys) == 0 {
			continue
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", panel.Title, err)
		}
		line.LineStyle = draw.LineStyle{Color: series(i), Width: lineWidth}
		points.GlyphStyle = draw.GlyphStyle{Color: series(i), Radius: 2.5, Shape: draw.CircleGlyph{}}
		p.Add(line, points)
		if legend {
			p.Legend.Add(all.Labels[i], line, points)
		}
	}
	return p, nil
}
