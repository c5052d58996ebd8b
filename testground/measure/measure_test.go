package measure_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
)

func TestSummary(t *testing.T) {
	r := measure.New()
	for i := range 100 {
		r.Add("time_s", time.Duration(99-i)*time.Second, i, float64(i+1))
	}
	s := r.Summarize("time_s")
	if s.Count != 100 || s.Min != 1 || s.P50 != 51 || s.P99 != 100 || s.Max != 100 || s.Mean < 50.4 || s.Mean > 50.6 {
		t.Errorf("got %+v", s)
	}
	if p := r.Points("time_s"); p[0].Peer != 99 || p[99].Peer != 0 {
		t.Errorf("points are not in the order of time")
	}
	if s := r.Summarize("nothing"); s.Count != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestCSV(t *testing.T) {
	r := measure.New()
	r.Add("b", time.Second, 1, 0.5)
	r.Add("a", 1500*time.Millisecond, -1, 3)
	var out bytes.Buffer
	if err := r.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	want := "series,time_s,peer,value\na,1.5,-1,3\nb,1,1,0.5\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
	var table bytes.Buffer
	if err := measure.WriteTable(&table, r.Summaries()); err != nil || strings.Count(table.String(), "\n") != 3 {
		t.Errorf("got %q, %v", table.String(), err)
	}
}

func TestShares(t *testing.T) {
	r := measure.New()
	for _, v := range []float64{1, 2, 2, 3} {
		r.Add("hops", 0, 0, v)
		r.Add("time_s", 0, 0, v/2)
	}
	for v := range 40 {
		r.Add("many", 0, 0, float64(v))
	}
	if got := r.Shares("hops"); len(got) != 3 || got[2] != 0.5 {
		t.Errorf("got %v", got)
	}
	if r.Shares("time_s") != nil || r.Shares("many") != nil {
		t.Error("tells shares of what is not few whole numbers")
	}
	r.AddBound(measure.Bound{Series: "hops", Label: "theory", Value: 1.5})
	r.AddBound(measure.Bound{Series: "time_s", Label: "the line", Value: 0.25})
	var text strings.Builder
	if err := r.WriteBounds(&text); err != nil || text.String() != "hops: 1 25.0 %, 2 50.0 %, 3 25.0 %, theory is 1.5\ntime_s: the line is 0.25\n" {
		t.Errorf("got %q, %v", text.String(), err)
	}
}
