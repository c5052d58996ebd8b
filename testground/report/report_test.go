package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

var keep = flag.String("keep", "", "file to keep the page of TestPage in, for eyes")

// sample is a run with every kind of series.
func sample(seed uint64, peers int) report.Run {
	rng := rand.New(rand.NewPCG(seed, 0))
	r := measure.New()
	for i := range peers {
		for range 10 {
			r.Add("find_time_s", time.Duration(rng.IntN(90))*time.Second, i, 0.05+rng.ExpFloat64()*0.2)
			r.Add("hops", time.Duration(rng.IntN(90))*time.Second, i, float64(1+rng.IntN(5)))
		}
	}
	g := measure.Graph{Name: "start", TimeS: 12}
	for t := range 40 {
		for i := range peers {
			if i%5 == 0 && t > 10 && t < 20 {
				continue
			}
			r.Add("sent_bytes", time.Duration(t)*10*time.Second, i, float64(t*i)*(1e3+rng.Float64()*1e3))
		}
		r.Add("peers_up", time.Duration(t)*10*time.Second, -1, float64(peers-t/3))
	}
	r.Add("heap_mb", time.Second, -1, 80)
	r.AddBound(measure.Bound{Series: "find_time_s", Label: "promised", Value: 2})
	r.AddBound(measure.Bound{Series: "hops", Label: "log6 N", Value: 2.25})
	for i := range peers {
		g.Group = append(g.Group, i%8)
		for range 4 {
			g.Edges = append(g.Edges, [2]int{i, rng.IntN(peers)})
		}
	}
	g.Group[3] = -1
	r.AddGraph(g)
	return report.Run{
		Run: measure.Run{
			Scenario: "gossip", Peers: peers, Seed: seed, Result: measure.Passed, TimeS: 400, WallS: 3.2, CPUS: 4.4, PeakMB: 230,
			Params: map[string]string{"uplink": "50mbit", "loss": "0"}, Versions: map[string]string{"go": "go1.26"},
			Command: "go run ./testground run gossip -peers 50",
		},
		Label: fmt.Sprint("seed ", seed), Doc: "messages to all peers", Values: r,
	}
}

// wellFormed fails unless a page is XML that asks for nothing from outside.
func wellFormed(t *testing.T, page []byte) (elements map[string]int) {
	t.Helper()
	elements = make(map[string]int)
	d := xml.NewDecoder(bytes.NewReader(page))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("page is not well-formed: %v", err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[e.Name.Local]++
		for _, a := range e.Attr {
			outside := a.Name.Local == "src" || a.Name.Local == "href" && !strings.HasPrefix(a.Value, "data:")
			if outside || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("<%s> has %s=%q", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	if elements["script"]+elements["link"] > 0 || regexp.MustCompile(`url\(|@import|#0A0B`).Match(page) {
		t.Error("page has a script, a link, or a colour that no style sheet has")
	}
	return elements
}

func TestPage(t *testing.T) {
	var page bytes.Buffer
	if err := report.Write(&page, sample(1, 50)); err != nil {
		t.Fatal(err)
	}
	e := wellFormed(t, page.Bytes())
	// find_time_s, hops, sent_bytes twice, peers_up, topology
	if e["svg"] != 6 || e["image"] != 1 || e["table"] != 3 {
		t.Errorf("got %v", e)
	}
	for _, want := range []string{"Find time", "p10 to p90", "-peers 50", "50mbit", "heap_mb", "dashed: log6 N 2.25", "dashed: promised 2", "after 12s: 49 of 50 peers run", "go1.26"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("page does not say %q", want)
		}
	}
	var again bytes.Buffer
	if err := report.Write(&again, sample(1, 50)); err != nil || !bytes.Equal(page.Bytes(), again.Bytes()) {
		t.Errorf("the same run draws another page: %v", err)
	}
	if *keep != "" {
		if err := os.WriteFile(*keep, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSideBySide(t *testing.T) {
	other := sample(2, 40)
	other.Values.Add("only_here_s", time.Second, 1, 3)
	var page, text bytes.Buffer
	if err := report.Write(&page, sample(1, 50), other); err != nil {
		t.Fatal(err)
	}
	if e := wellFormed(t, page.Bytes()); e["svg"] != 4+2+2 {
		t.Errorf("got %v", e)
	}
	if err := report.WriteComparison(&text, sample(1, 50), other); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"find_time_s", "seed 1 p50", "p99 differs", "–", "%"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("comparison does not say %q:\n%s", want, text.String())
		}
	}
	if *keep != "" {
		if err := os.WriteFile(*keep+".side.html", page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMany: of many runs there are the plots that all share, and no others.
func TestMany(t *testing.T) {
	var runs []report.Run
	for i := range report.RunsMax {
		runs = append(runs, sample(uint64(i), 10))
	}
	var page bytes.Buffer
	if err := report.Write(&page, runs...); err != nil {
		t.Fatal(err)
	}
	if e := wellFormed(t, page.Bytes()); e["svg"] != 4 || e["article"] != 2*report.RunsMax {
		t.Errorf("got %v", e)
	}
}

// TestHostile: names, errors and values that nobody expects.
func TestHostile(t *testing.T) {
	r := measure.New()
	for i, name := range []string{"", "_", "<b>_s", `"quoted"&_time_s`, "]]>", "constant", "zero_s", "huge", "tiny_s", "negative"} {
		for k := range 30 {
			v := []float64{0, 1, 1e-300, 1e300, -5, 1}[i%6]
			r.Add(name, time.Duration(k)*time.Second, k%3, v)
			r.Add(name, time.Duration(k)*time.Second, k%3+1, v*float64(k))
		}
		r.Add(name+"_one", 0, -1, 1)
		r.Add(name+"_net", 0, -1, 1)
		r.Add(name+"_net", 0, -1, 1)
	}
	r.AddGraph(measure.Graph{Name: "</svg>"})
	for _, v := range []float64{0, -1e300, 1e300} {
		r.AddBound(measure.Bound{Series: "<b>_s", Label: "<b>", Value: v})
		r.AddBound(measure.Bound{Series: "negative", Value: v})
	}
	r.AddGraph(measure.Graph{Name: "alone", Group: []int{-1, 1 << 40}, Edges: [][2]int{{0, 0}}})
	run := report.Run{Run: measure.Run{
		Scenario: "<script>alert(1)</script>", Result: measure.Panicked, Error: "</div>&\x00", Peer: "<i>", Trace: "goroutine <1>\n\tfile.go:1",
		Command: `-set a="<b>"`, Params: map[string]string{"<": ">"},
	}, Values: r}
	var page bytes.Buffer
	if err := report.Write(&page, run); err != nil {
		t.Fatal(err)
	}
	if e := wellFormed(t, page.Bytes()); e["i"] > 20 || e["b"] > 40 {
		t.Errorf("got %v", e)
	}
	empty := report.Run{Values: measure.New()}
	page.Reset()
	if err := report.Write(&page, empty); err != nil || !strings.Contains(page.String(), "Nothing was measured") {
		t.Errorf("got %v", err)
	}
	wellFormed(t, page.Bytes())
}

func TestMistakes(t *testing.T) {
	if report.Write(io.Discard) == nil {
		t.Error("drew no run")
	}
	if report.Write(io.Discard, make([]report.Run, report.RunsMax+1)...) == nil {
		t.Error("drew too many runs")
	}
	if err := report.Write(full{}, sample(1, 5)); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestCurves: a picture that stands alone, of what there is.
func TestCurves(t *testing.T) {
	line := plotter.XYs{{X: 50, Y: 0.002}, {X: 2000, Y: 3}}
	c := report.Curves{X: "peers", Labels: []string{"a", "<b>"}, Panels: []report.Panel{
		{Title: "one & all", Lines: []plotter.XYs{line, line[:1]}}, {Title: "none", Lines: []plotter.XYs{line, nil}},
	}}
	var picture bytes.Buffer
	if err := report.WriteCurves(&picture, c); err != nil {
		t.Fatal(err)
	}
	if e := wellFormed(t, picture.Bytes()); e["svg"] != 1 || e["style"] != 1 || e["path"] < 10 {
		t.Errorf("got %v", e)
	}
	for _, part := range []string{"one &amp; all", "&lt;b&gt;", "--c1:"} {
		if !strings.Contains(picture.String(), part) {
			t.Errorf("no %q in it", part)
		}
	}
	if err := report.WriteCurves(full{}, c); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}
