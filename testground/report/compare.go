package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// Comparison is one series in several runs, in their order. A run that does not have
// it has a summary with no values.
type Comparison struct {
	Name string
	Of   []measure.Summary
}

// Compare sums up every series that one of the runs has.
func Compare(runs ...Run) []Comparison {
	var names []string
	for _, r := range runs {
		names = append(names, r.Values.Names()...)
	}
	slices.Sort(names)
	var all []Comparison
	for _, name := range slices.Compact(names) {
		c := Comparison{Name: name}
		for _, r := range runs {
			c.Of = append(c.Of, r.Values.Summarize(name))
		}
		all = append(all, c)
	}
	return all
}

// change is how the second of two differs from the first.
func (c Comparison) change(of func(measure.Summary) float64) string {
	if c.Of[0].Count == 0 || c.Of[1].Count == 0 {
		return "–"
	}
	return change(of(c.Of[0]), of(c.Of[1]))
}

// WriteComparison writes runs side by side for a terminal.
func WriteComparison(w io.Writer, runs ...Run) error {
	t := compareTable(runs)
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		var line strings.Builder
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i == 0 {
				line.WriteString(text + pad)
			} else {
				line.WriteString("  " + pad + text)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
