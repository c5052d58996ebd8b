package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

// Tolerance of runs that are of one seed and are not exact. The order in which
// goroutines run differs from run to run, and with it what peers draw by lot, and which
// of two things at the same moment is first. So single values differ, and the most
// extreme ones most; how many there are, and their mean, hardly do.
const (
	countTolerance = 0.05 // share of a series' values
	countSlack     = 2    // values more or less, of however few
	meanTolerance  = 0.15 // share of a series' mean
)

// same compares runs of one seed. Exact ones must be the same to the bit, others have
// the same measures within the tolerance.
func (c cli) same(runs []report.Run) error {
	first := runs[0]
	var errs []error
	for _, r := range runs[1:] {
		switch {
		case first.Exact != r.Exact:
			errs = append(errs, fmt.Errorf("%s and %s: one is exact, the other not", first.Label, r.Label))
		case first.Exact && first.Hash != r.Hash:
			errs = append(errs, fmt.Errorf("%s and %s are not the same: their hashes are %s and %s", first.Label, r.Label, first.Hash, r.Hash))
		case !first.Exact:
			errs = append(errs, alike(first, r))
		}
	}
	err := errors.Join(errs...)
	switch {
	case err != nil:
	case first.Exact:
		fmt.Fprintf(c.out, "%d runs, all the same: hash %s\n", len(runs), first.Hash)
	default:
		fmt.Fprintf(c.out, "%d runs, alike: of all %d series, counts within %.0f %% or %d of the first run's, means within %.0f %%\n",
			len(runs), len(ofNetwork(first.Measures)), countTolerance*100, countSlack, meanTolerance*100)
	}
	return err
}

// ofNetwork leaves out what the machine has measured of itself.
func ofNetwork(all []measure.Summary) []measure.Summary {
	return slices.DeleteFunc(slices.Clone(all), func(s measure.Summary) bool { return strings.HasPrefix(s.Name, ofProcess) })
}

// alike tells which measures of two runs differ by more than the tolerance.
func alike(a, b report.Run) error {
	var errs []error
	differs := func(x measure.Summary, what string, of, is float64) {
		errs = append(errs, fmt.Errorf("%s and %s are not alike: %s of %s is %.4g, then %.4g", a.Label, b.Label, what, x.Name, of, is))
	}
	find := func(all []measure.Summary, name string) measure.Summary {
		if i := slices.IndexFunc(all, func(s measure.Summary) bool { return s.Name == name }); i >= 0 {
			return all[i]
		}
		return measure.Summary{Name: name}
	}
	for _, x := range ofNetwork(a.Measures) {
		y := find(b.Measures, x.Name)
		if n, m := float64(x.Count), float64(y.Count); math.Abs(n-m) > max(countSlack, countTolerance*n) {
			differs(x, "the count", n, m)
		}
		if y.Count > 0 && math.Abs(x.Mean-y.Mean) > meanTolerance*math.Abs(x.Mean) {
			differs(x, "the mean", x.Mean, y.Mean)
		}
	}
	for _, y := range ofNetwork(b.Measures) {
		if x := find(a.Measures, y.Name); x.Count == 0 && y.Count > countSlack {
			differs(y, "the count", 0, float64(y.Count))
		}
	}
	return errors.Join(errs...)
}
