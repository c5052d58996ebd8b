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
