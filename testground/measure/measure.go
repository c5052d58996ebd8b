// Package measure keeps what is measured while a network is simulated: counts,
// values over time, and how long things took. It writes them as CSV and JSON.
//
// It is not a metrics system: it holds every value until the run is over, so that
// nothing is averaged away, and is bounded by ValuesMax.
//
// Invariant: times are the network's own, as durations since it began.
package measure

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ValuesMax is how many values a recorder keeps; it counts the others.
const ValuesMax = 5_000_000

// Point is one value. Peer is -1 where it is about the whole network.
type Point struct {
	At    time.Duration
	Peer  int
	Value float64
}

// Recorder takes measures. Its methods are safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex // guards the following
	series  map[string][]Point
	values  int
	dropped int
	graphs  []Graph
	bounds  []Bound

	follower Follower
}

// New makes an empty recorder.
func New() *Recorder { return &Recorder{series: make(map[string][]Point)} }

// Add notes a value of a series. Names are lower-case with underscores, the unit
// last: find_time_s. What is no number is dropped.
func (r *Recorder) Add(name string, at time.Duration, peer int, value float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values >= ValuesMax || math.IsNaN(value) || math.IsInf(value, 0) {
		r.dropped++
		return
	}
	r.values++
	p := Point{at, peer, value}
	r.series[name] = append(r.series[name], p)
	if r.follower != nil {
		r.follower.Value(name, p)
	}
}

// Dropped is how many values did not fit.
func (r *Recorder) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Names lists the series.
func (r *Recorder) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.series))
}

// Points returns a series, in the order of time, then peer, then value, whatever
// the order in which goroutines have told it.
func (r *Recorder) Points(name string) []Point {
	r.mu.Lock()
	points := slices.Clone(r.series[name])
	r.mu.Unlock()
	slices.SortFunc(points, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Value, b.Value))
	})
	return points
}

// Summary is a series in short.
type Summary struct {
	Name  string  `json:"name"`
	Count int     `json:"count"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Mean  float64 `json:"mean"`
}

// Summarize sums a series up.
func (r *Recorder) Summarize(name string) Summary {
	points := r.Points(name)
	values := make([]float64, len(points))
	s := Summary{Name: name, Count: len(points)}
	if len(points) == 0 {
		return s
	}
	for i, p := range points {
		values[i] = p.Value
		s.Mean += p.Value / float64(len(points))
	}
	slices.Sort(values)
	at := func(share float64) float64 { return values[min(len(values)-1, int(share*float64(len(values))))] }
	s.Min, s.P50, s.P90, s.P99, s.Max = values[0], at(0.5), at(0.9), at(0.99), values[len(values)-1]
	return s
}

// Summaries sums every series up.
func (r *Recorder) Summaries() []Summary {
	all := []Summary{}
	for _, name := range r.Names() {
		all = append(all, r.Summarize(name))
	}
	return all
}

// sharesMax is of how many different values it is told how often they are.
const sharesMax = 24

// Shares tells how often each value of a series is, if they are few whole numbers; nil
// if not.
func (r *Recorder) Shares(name string) map[float64]float64 {
	points := r.Points(name)
	shares := make(map[float64]float64)
	for _, p := range points {
		shares[p.Value] += 1 / float64(len(points))
		if p.Value != math.Trunc(p.Value) || len(shares) > sharesMax {
			return nil
		}
	}
	return shares
}

// WriteBounds writes for people what theory says of series, and beside it how often each
// value is of those that are few whole numbers.
func (r *Recorder) WriteBounds(w io.Writer) error {
	var err error
	for _, b := range r.Bounds() {
		var parts []string
		shares := r.Shares(b.Series)
		for _, v := range slices.Sorted(maps.Keys(shares)) {
			parts = append(parts, fmt.Sprintf("%g %.1f %%", v, 100*shares[v]))
		}
		parts = append(parts, fmt.Sprintf("%s is %.3g", b.Label, b.Value))
		if _, e := fmt.Fprintf(w, "%s: %s\n", b.Series, strings.Join(parts, ", ")); err == nil {
			err = e
		}
	}
	return err
}

// columns are those of the CSV.
var columns = []string{"series", "time_s", "peer", "value"}

// WriteCSV writes every value: series, seconds, peer, value.
func (r *Recorder) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write(columns) // Error tells
	for _, name := range r.Names() {
		for _, p := range r.Points(name) {
			out.Write([]string{
				name, strconv.FormatFloat(p.At.Seconds(), 'f', -1, 64), strconv.Itoa(p.Peer),
				strconv.FormatFloat(p.Value, 'g', -1, 64),
			})
		}
	}
	out.Flush()
	return out.Error()
}

// WriteTable writes the summaries for people.
func WriteTable(w io.Writer, all []Summary) error {
	width := len("series")
	for _, s := range all {
		width = max(width, len(s.Name))
	}
	_, err := fmt.Fprintf(w, "%-*s %8s %10s %10s %10s %10s %10s\n", width, "series", "count", "min", "p50", "p90", "p99", "max")
	for _, s := range all {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-*s %8d %10.4g %10.4g %10.4g %10.4g %10.4g\n", width, s.Name, s.Count, s.Min, s.P50, s.P90, s.P99, s.Max)
		}
	}
	return err
}

// WriteJSON writes v, indented, as all of a run's JSON is.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
