package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// TestRun: a run is kept, replayed and compared.
func TestRun(t *testing.T) {
	c := newConsole(t, childCommand)
	dir := t.TempDir()
	a, b, page := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "page.html")
	c.do(t, exitOK, "run", "gossip", "-peers", "6", "-seed", "3", "-set", "messages=2", "-set", "degree=3", "-out", a, "-report", page)
	c.says(t, "gossip, 6 peers, seed 3", "delivery_time_s", "6 peers listen", "6 peers: about 6")
	checkXML(t, page)
	run, values, err := measure.Load(a)
	if err != nil {
		t.Fatal(err)
	}
	if run.Result != measure.Passed || run.Command != "go run ./testground run gossip -peers 6 -seed 3 -set degree=3 -set messages=2" ||
		run.Params["size"] != "1024" || run.Versions["go"] == "" || run.TimeS < 10 || run.CPUS <= 0 {
		t.Errorf("got %+v", run)
	}
	if got := values.Summarize("delivery_time_s").Count; got != 10 {
		t.Errorf("%d deliveries are kept, want 10", got)
	}
	if g := values.Graphs(); len(g) != 2 || len(g[1].Edges) < 6 || len(g[1].Group) != 6 {
		t.Errorf("got pictures %+v", g)
	}
	c.do(t, exitOK, "replay", filepath.Join(a, "run.json"), "-out", b)
	c.says(t, run.Command)
	if again, _, err := measure.Load(b); err != nil || again.Command != run.Command || again.Set["messages"] != "2" {
		t.Errorf("replayed %+v, %v", again, err)
	}
	both := filepath.Join(dir, "both.html")
	c.do(t, exitOK, "compare", a, b, "-report", both)
	c.says(t, "a p50", "p99 differs", "hops")
	checkXML(t, both)
}

// TestNets: a run is kept with the network that its peers talked over, and replayed on
// the same; real time is as long as it says.
func TestNets(t *testing.T) {
	c := newConsole(t, childCommand)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	c.do(t, exitOK, "run", "gossip", "-peers", "6", "-net", "quic", "-set", "messages=2", "-set", "degree=3", "-out", a)
	c.do(t, exitOK, "replay", a, "-out", b)
	for _, dir := range []string{a, b} {
		if run, _, err := measure.Load(dir); err != nil || run.Net != "quic" || run.Real || !strings.HasSuffix(run.Command, " -net quic") {
			t.Errorf("got %+v, %v", run, err)
		}
	}
	real := filepath.Join(dir, "real")
	c.do(t, exitFailed, "run", "gossip", "-peers", "4", "-real", "-set", "degree=3", "-limit", "100ms", "-out", real)
	c.says(t, "in real time", "has not ended after 100ms", " -real")
	if run, _, err := measure.Load(real); err != nil || run.Net != "mem" || !run.Real || run.TimeS > run.WallS {
		t.Errorf("got %+v, %v", run, err)
	}
	c.do(t, exitUsage, "run", "gossip", "-net", "quick")
	c.says(t, "[mem quic]")
	c.do(t, exitUsage, "run", "gossip", "-real", "-det")
}

// TestLimit: a run that is over its time says so, and is kept.
func TestLimit(t *testing.T) {
	c := newConsole(t, childCommand)
	dir := t.TempDir()
	c.do(t, exitFailed, "run", "gossip", "-peers", "5", "-set", "degree=2", "-limit", "17s", "-out", dir)
	c.says(t, "gossip has not ended after 17s", "once more: go run ./testground run gossip -peers 5 -seed 1 -set degree=2 -limit 17s")
	if run, values, err := measure.Load(dir); err != nil || run.Result != measure.Failed || len(values.Names()) == 0 {
		t.Errorf("got %+v, %v", run, err)
	}
}

func TestSeeds(t *testing.T) {
	c := newConsole(t, childCommand)
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	c.do(t, exitOK, "run", "gossip", "-peers", "5", "-set", "degree=2", "-set", "messages=1", "-seeds", "4..6", "-jobs", "2", "-out", dir, "-report", page)
	checkXML(t, page)
	if n := strings.Count(c.out.String(), "passed"); n != 3 {
		t.Errorf("%d runs passed, want 3:\n%s", n, c.out.String())
	}
	for _, seed := range []string{"seed-4", "seed-5", "seed-6"} {
		if _, _, err := measure.LoadRun(filepath.Join(dir, seed)); err != nil {
			t.Error(err)
		}
	}
	c.do(t, exitFailed, "run", "gossip", "-peers", "5", "-seeds", "1..2", "-limit", "1s")
	c.says(t, "seed 2: ", "-seed 2 -limit 1s")
}

func TestSoak(t *testing.T) {
	c := newConsole(t, childCommand)
	c.do(t, exitOK, "soak", "-seed", "1", "-minutes", "0.000000001")
	c.says(t, "soak -seed 1", "0 runs")
	// A process that does not know the scenarios panics.
	c = newConsole(t, brokenCommand)
	dir := t.TempDir()
	c.do(t, exitFailed, "soak", "-seed", "1", "-minutes", "1", "-runs", "3", "-out", dir)
	c.says(t, "   1  ", "panicked", "once more: go run ./testground run ", " -set jitter=", " -set loss=")
	if strings.Contains(c.out.String(), "   2  ") {
		t.Errorf("it goes on after a failure:\n%s", c.out.String())
	}
	if run, _, err := measure.Load(filepath.Join(dir, "run-1")); err != nil || run.Result != measure.Panicked {
		t.Errorf("got %+v, %v", run, err)
	}
	seen := make(map[string]bool)
	rng := rand.New(rand.NewPCG(1, 0))
	for range 300 {
		j := randomJob(rng)
		if err := j.check(); err != nil {
			t.Fatalf("%s: %v", j, err)
		}
		r, err := scenario.NewRun(j.scenario, nil, j.peers, j.values)
		if err != nil {
			t.Fatal(err)
		}
		if r.Line(); r.Check() != nil || j.peers < soakPeersMin || j.peers > soakPeersMax {
			t.Fatalf("%s: %v", j, r.Check())
		}
		seen[j.scenario.Name] = true
	}
	if len(seen) != len(scenario.All()) {
		t.Errorf("a soak knows %d of %d scenarios", len(seen), len(scenario.All()))
	}
}

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for name, text := range map[string]string{"file": "{", "empty.json": "{}", "gone.json": `{"scenario":"gossyp","peers":5}`, "graph.json": `{"scenario":"gossip","graphs":[{"group":[1],"edges":[[0,7]]}]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c := newConsole(t, childCommand)
	for _, m := range []struct{ args, want string }{
		{"", "list"},
		{"rnu", "did you mean run?"},
		{"list all", "unexpected"},
		{"run", "want a scenario"},
		{"run -peers 5", "want a scenario"},
		{"run -h", "-peers"},
		{"run gosip", "did you mean gossip?"},
		{"run gossip -pers 5", "did you mean -peers?"},
		{"run gossip -peers many", "many"},
		{"run gossip -peers 1", "2 at least"},
		{"run gossip -peers 60000", "50000 at most"},
		{"run gossip -set degree", "name=value"},
		{"run gossip -set degre=3", "did you mean degree?"},
		{"run gossip -limit -3s", "limit"},
		{"run gossip -schedule 3", "-det"},
		{"run gossip extra", `unexpected "extra"`},
		{"run gossip -seeds 3..1", "seeds"},
		{"run gossip -seeds x", "1..20"},
		{"run gossip -seeds 0..18446744073709551615", "seeds"},
		{"run gossip -seeds 1..2 -jobs 0", "-jobs"},
		{"run gossip -peers 40000", "-force"},
		{"run gossip -out " + file, "-out"},
		{"run gossip -report " + file + "/page.html", "-report"},
		{"replay", "want one run"},
		{"replay " + dir, "run.json"},
		{"replay " + file, "unexpected end"},
		{"replay " + dir + "/empty.json", "names no scenario"},
		{"replay " + dir + "/gone.json", "did you mean gossip?"},
		{"replay " + dir + "/graph.json", "of 1 peers"},
		{"compare " + dir, "want 2 to 8"},
		{"compare " + dir + " " + dir, "run.json"},
		{"soak -minutes 0", "more than 0 minutes"},
		{"soak -minutes NaN", "more than 0 minutes"},
		{"soak now", "unexpected"},
	} {
		c.do(t, exitUsage, strings.Fields(m.args)...)
		c.says(t, m.want)
	}
	// A value is read only when the scenario runs.
	c.do(t, exitFailed, "run", "gossip", "-peers", "5", "-set", "degree=many")
	c.says(t, "parameter degree")
}

// checkXML fails unless a file is a well-formed page.
func checkXML(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pictures := 0
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "svg" {
			pictures++
		}
	}
	if pictures < 3 {
		t.Errorf("%s has %d pictures", name, pictures)
	}
}

func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	p := &progress{to: &out, terminal: true, peers: 9, began: time.Now().Add(-10 * time.Second)}
	p.tick(30*time.Second, 8)
	p.tick(31*time.Second, 9) // too soon to be drawn
	p.log(32*time.Second, "half way")
	p.done()
	want := "\r\x1b[K30 s of the network in 10 s of the clock (3.0×), 8 of 9 peers run, 0 values\r\x1b[K    32.0s  half way (10.0 s of the clock)\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
	out.Reset()
	p = &progress{to: &out, peers: 9, began: time.Now(), drawn: time.Now()}
	p.tick(30*time.Second, 8)
	p.log(0, "a line")
	if strings.ContainsAny(out.String(), "\r\x1b") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got %q", out.String())
	}
}

func TestMemory(t *testing.T) {
	estimateOver := func(net, name string, peers int) float64 {
		s, err := scenario.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		return job{scenario: s, peers: peers, net: net}.estimateMB()
	}
	estimate := func(name string, peers int) float64 { return estimateOver("", name, peers) }
	// As measured: a little too much is right, too little is not.
	for _, m := range []struct {
		name       string
		peers      int
		measuredMB float64
	}{
		{"bootstrap", 100, 556}, {"bootstrap", 300, 1825}, {"bootstrap", 1000, 4162},
		{"gossip", 50, 227}, {"gossip", 100, 375}, {"gossip", 200, 769}, {"gossip", 500, 1960}, {"slow-peers", 46, 930}, {"flash-crowd", 48, 873},
	} {
		if got := estimate(m.name, m.peers); got < m.measuredMB*0.8 || got > m.measuredMB*1.6 {
			t.Errorf("%d peers of %s take %.0f MB, estimated %.0f MB", m.peers, m.name, m.measuredMB, got)
		}
	}
	for _, m := range []struct {
		name       string
		peers      int
		measuredMB float64
	}{{"bootstrap", 50, 408}, {"bootstrap", 100, 1227}, {"gossip", 50, 362}, {"gossip", 100, 671}} {
		if got := estimateOver("quic", m.name, m.peers); got < m.measuredMB*0.8 || got > m.measuredMB*1.6 {
			t.Errorf("%d peers of %s over QUIC take %.0f MB, estimated %.0f MB", m.peers, m.name, m.measuredMB, got)
		}
	}
	if small, large := estimate("gossip", 40), estimate("slow-peers", 40); large < small+40*8 {
		t.Errorf("40 peers with a large file take %v MB, without %v MB", large, small)
	}
	if few, many := estimate("gossip", 10), estimate("gossip", 1000); few > 200 || many < 1000 || many > 6000 {
		t.Errorf("10 peers take %v MB, 1000 take %v MB", few, many)
	}
	s, _ := scenario.Find("gossip")
	j := job{scenario: s, peers: 100}
	if versions()["race detector"] == "" {
		if err := j.checkMemory(10 * j.estimateMB()); err == nil || !strings.Contains(err.Error(), "100 peers took") {
			t.Errorf("ten times the memory: got %v", err)
		}
	}
	if err := j.checkMemory(1.5 * j.estimateMB()); err != nil {
		t.Error(err)
	}
	var usage usageError
	if err := enoughMemory(j, 4, 500); !errors.As(err, &usage) || !strings.Contains(err.Error(), "500 MB are available") {
		t.Errorf("got %v", err)
	}
	if err := enoughMemory(j, 1, 5000); err != nil {
		t.Error(err)
	}
	if got := memAvailableMB("MemTotal: 9 kB\nMemAvailable:    1000000 kB\n"); got != 1024 {
		t.Errorf("got %v", got)
	}
	if got := memAvailableMB("MemAvailable: much kB"); got != unlimited {
		t.Errorf("got %v", got)
	}
	if availableMB() < 10 {
		t.Errorf("%v MB are available", availableMB())
	}
}

// TestEvents: what is told is heard, and what is not is passed on.
func TestEvents(t *testing.T) {
	var wire bytes.Buffer
	tell := &teller{to: &wire}
	tell.Value("find_time_s", measure.Point{At: 1500 * time.Millisecond, Peer: -1, Value: 0.1})
	tell.Value("two words\nand lines", measure.Point{Peer: 3, Value: 1e300})
	tell.event(event{At: time.Second, Text: "line\nbreak", Up: 3})
	wire.WriteString("v 1 2\nvery odd\n{}x\n")
	var heard []string
	note := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, string(b))
	}
	err := hear(&wire, func(name string, p measure.Point) { note([]any{name, p}) }, func(e event) { note(e) }, func(s string) { note(s) })
	want := `["find_time_s",{"At":1500000000,"Peer":-1,"Value":0.1}]
["two words and lines",{"At":0,"Peer":3,"Value":1e+300}]
{"at":1000000000,"text":"line\nbreak","up":3}
"v 1 2"
"very odd"
"{}x"`
	if got := strings.Join(heard, "\n"); err != nil || got != want {
		t.Errorf("heard\n%s\n%v", got, err)
	}
}

func FuzzHear(f *testing.F) {
	f.Add([]byte("v 1 2 3 name\n{\"at\":1}\nother"))
	f.Add([]byte("v 1 2 NaN x\nv\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := measure.New()
		lines := 0
		err := hear(bytes.NewReader(b),
			func(name string, p measure.Point) { lines++; r.Add(name, p.At, p.Peer, p.Value) },
			func(event) { lines++ }, func(string) { lines++ })
		if want := bytes.Count(b, []byte("\n")); err == nil && lines < want {
			t.Errorf("%d of %d lines are heard", lines, want)
		}
		for _, s := range r.Summaries() {
			if s.Count > 0 && (s.Min > s.P50 || s.P50 > s.Max) {
				t.Errorf("got %+v", s)
			}
		}
	})
}

func TestTrace(t *testing.T) {
	text := "some warning\npanic: wrong [recovered, repanicked]\n\ngoroutine 7 [running labels:{\"peer\": \"12\"}, synctest bubble 1]:\nmain.f()\n\ngoroutine 8 [select labels:{\"peer\": \"5\"}]:\nmain.g()\n"
	c, ok := readTrace(text)
	if !ok || c.what != "panic: wrong" || c.peer != "peer 12" || strings.Contains(c.short, "main.g") || !strings.Contains(c.short, "main.f") {
		t.Errorf("got %+v", c)
	}
	if c, ok := readTrace("don't panic: all is well\n"); ok {
		t.Errorf("took %+v for a panic", c)
	}
	kept := new(tail)
	for range 3 {
		if n, err := kept.Write(make([]byte, traceMax/2)); n != traceMax/2 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(kept.text) != traceMax || kept.rest != traceMax/2 {
		t.Errorf("kept %d, and %d are left", len(kept.text), kept.rest)
	}
}

func TestLabels(t *testing.T) {
	for _, l := range []struct{ paths, want string }{
		{"runs/a runs/b/run.json", "a b"},
		{"x/run y/run", "A B"},
		{". b", "A B"},
	} {
		if got := strings.Join(labelsOf(strings.Fields(l.paths)), " "); got != l.want {
			t.Errorf("%s are called %s, want %s", l.paths, got, l.want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	s, _ := scenario.Find("gossip")
	j := job{scenario: s, peers: 5, seed: 1 << 63, values: map[string]string{"size": "it's 3"}, limit: time.Minute, exact: true, schedule: 4}
	if got, want := j.String(), `go run ./testground run gossip -peers 5 -seed 9223372036854775808 -set 'size=it'\''s 3' -limit 1m0s -det -schedule 4`; got != want {
		t.Errorf("got %s", got)
	}
	again, err := parseJob(j.args(), io.Discard)
	if err != nil || again.String() != j.String() {
		t.Errorf("got %s, %v", again, err)
	}
	j = job{scenario: s, peers: 5, seed: 1, net: "quic", real: true}
	if got, want := j.String(), `go run ./testground run gossip -peers 5 -seed 1 -net quic -real`; got != want {
		t.Errorf("got %s", got)
	}
	if again, err = parseJob(j.args(), io.Discard); err != nil || again.String() != j.String() {
		t.Errorf("got %s, %v", again, err)
	}
}
