package report

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes of plots in points, before the page scales them.
const (
	width, height       = 480, 250
	fontSize            = 11
	lineWidth           = 1.6
	thin                = 0.6
	ticksMax            = 7
	markFirst     uint8 = 0x0A // of the red of every marked colour
)

// mark stands for a colour of the page, which the style sheet chooses by the reader's
// light or dark. No other colour is drawn, but in heat maps.
type mark struct {
	number uint8
	alpha  float64
}

// Marks that are no runs'.
const (
	inkMark = iota + 100
	mutedMark
	gridMark
)

// RGBA hides the number in the colour. It is rounded up, so that what the canvas
// makes of it by division and truncation is the number again.
func (m mark) RGBA() (r, g, b, a uint32) {
	alpha := uint32(m.alpha * math.MaxUint16)
	up := func(v uint8) uint32 { return uint32(math.Ceil(float64(v) / 255 * float64(alpha))) }
	return up(markFirst), up(0x0B), up(m.number), alpha
}

func solid(number uint8) mark { return mark{number, 1} }

// series is the colour of a run.
func series(run int) mark { return solid(uint8(run % RunsMax)) }

var (
	marked = regexp.MustCompile(`(fill|stroke):#0A0B([0-9A-F]{2})`)
	fonts  = regexp.MustCompile(`font-family:[^;"]*;font-variant:[^;"]*;font-weight:[^;"]*;font-style:[^;"]*;?`)
	pixels = regexp.MustCompile(`xlink:href="data:image/jpg;`)
)

// newPlot is an empty plot in the style of the page.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	face := font.Font{Typeface: "Liberation", Variant: "Sans", Size: fontSize}
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = face, face
		a.Label.TextStyle.Color, a.Tick.Label.Color = solid(mutedMark), solid(mutedMark)
		a.LineStyle = draw.LineStyle{Color: solid(gridMark), Width: thin}
		a.Tick.LineStyle = draw.LineStyle{Color: solid(gridMark), Width: thin}
		a.Tick.Length = 3
		a.Padding = 0
		a.Tick.Marker = ticks{}
	}
	p.Add(grid{})
	return p
}

// ticks are at round numbers, with short labels.
type ticks struct{}

func (ticks) Ticks(low, high float64) []plot.Tick {
	step := stepOf(high - low)
	if step == 0 {
		return []plot.Tick{{Value: low, Label: number(low)}}
	}
	var all []plot.Tick
	for k := math.Ceil(low/step - 1e-9); k*step <= high+step*1e-9 && len(all) <= ticksMax; k++ {
		all = append(all, plot.Tick{Value: k * step, Label: number(roundTo(k*step, step))})
	}
	return all
}

// stepOf is the round number of which ticksMax at most are in a span; 0 if there is
// none.
func stepOf(span float64) float64 {
	if !(span > 0) || math.IsInf(span, 1) {
		return 0
	}
	decade := math.Pow(10, math.Floor(math.Log10(span/ticksMax)))
	for _, m := range []float64{1, 2, 5, 10} {
		if span/(decade*m) <= ticksMax {
			return decade * m
		}
	}
	return 0
}

// roundTo takes away what floating point has added to a multiple of step.
func roundTo(v, step float64) float64 { return math.Round(v/step)*step + 0 } // no −0

// grid draws horizontal lines at the ticks.
type grid struct{}

func (grid) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if at := y(t.Value); at >= c.Min.Y && at <= c.Max.Y {
			c.StrokeLine2(draw.LineStyle{Color: solid(gridMark), Width: thin}, c.Min.X, at, c.Max.X, at)
		}
	}
}

// render draws a plot as SVG for the inside of the page.
func render(p *plot.Plot, w, h vg.Length, about string) (template.HTML, error) {
	c := vgsvg.New(w, h)
	p.Draw(draw.New(c))
	return inline(c, about)
}

// inline takes a canvas as an element: marks become the page's colours, and letters
// the page's fonts.
func inline(c *vgsvg.Canvas, about string) (template.HTML, error) {
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", fmt.Errorf("draw %s: %w", about, err)
	}
	_, body, ok := strings.Cut(b.String(), "xmlns:xlink=\"http://www.w3.org/1999/xlink\">")
	if !ok {
		return "", fmt.Errorf("draw %s: the canvas has no head", about)
	}
	body = marked.ReplaceAllStringFunc(body, func(s string) string {
		m := marked.FindStringSubmatch(s)
		n, _ := strconv.ParseUint(m[2], 16, 8) // two hexadecimal digits
		return m[1] + ":var(--" + variable(uint8(n)) + ")"
	})
	body = fonts.ReplaceAllString(body, "")
	body = pixels.ReplaceAllString(body, `preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;`)
	w, h := c.Size()
	return template.HTML(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">%s`,
		w.Points(), h.Points(), template.HTMLEscapeString(about), body)), nil
}

// variable is the name that the style sheet has for a mark.
func variable(number uint8) string {
	switch number {
	case inkMark:
		return "ink"
	case mutedMark:
		return "muted"
	case gridMark:
		return "grid"
	default:
		return fmt.Sprintf("c%d", number%RunsMax+1)
	}
}
