package report

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// kind is what a series is like, which decides on its plot.
type kind int

const (
	events  kind = iota // each has a value, such as a time it took: distribution
	counts              // small whole numbers, such as hops: histogram
	sampled             // the same of all peers at the same times: band and heat map
	network             // of the whole network, over time: line
	single              // one value: the table is enough
)

const (
	samplesMin = 3  // times that make a course
	countsMax  = 24 // different whole numbers in a histogram
)

func kindOf(name string, points []measure.Point) kind {
	times := make(map[int64]bool)
	whole := make(map[float64]bool)
	allWhole, peers := true, false
	for _, p := range points {
		times[int64(p.At)] = true
		peers = peers || p.Peer >= 0
		if allWhole = allWhole && p.Value == math.Trunc(p.Value); allWhole && len(whole) <= countsMax {
			whole[p.Value] = true
		}
	}
	timed := strings.HasSuffix(name, "_time_s") || strings.HasSuffix(name, "_s")
	switch {
	case len(points) < 2:
		return single
	case !peers:
		return network
	case !timed && len(times) >= samplesMin && len(times)*2 <= len(points) && !(name == "hops"):
		return sampled
	case !timed && allWhole && len(whole) <= countsMax:
		return counts
	default:
		return events
	}
}

// kindsOf tells the kind of every series of the runs; the first run that has it
// decides.
func kindsOf(runs []Run) map[string]kind {
	kinds := make(map[string]kind)
	for _, r := range runs {
		for _, name := range r.Values.Names() {
			if k, known := kinds[name]; !known || k == single {
				kinds[name] = kindOf(name, r.Values.Points(name))
			}
		}
	}
	return kinds
}

func namesOf(kinds map[string]kind, k kind) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if kinds[name] == k {
			names = append(names, name)
		}
	}
	return names
}
