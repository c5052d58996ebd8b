package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		result result
		want   string
		value  float64
		ok     bool
	}{
		{"the text", result{Text: "a"}, "a", 1, true},
		{"another text", result{Text: "b"}, "a", 1, false},
		{"no text", result{}, "a", 1, false},
		{"keys", result{Keys: 3}, "", 1, true},
		{"no keys", result{Text: "a"}, "", 1, false},
		{"nothing measured", result{Text: "a"}, "a", 0, false},
		{"memory that has shrunk", result{Text: "a"}, "a", -1, false},
	}
	for _, tt := range tests {
		if err := tt.result.check(tt.want, tt.value); errors.Is(err, errWrong) == tt.ok || (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestParseResult(t *testing.T) {
	if r, err := parseResult([]byte(`{"seconds":0.5,"text":"ab"}` + "\n")); err != nil || r.Seconds != 0.5 || r.Text != "ab" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "npm warn", `{"second":1}`, `{"seconds":"1"}`} {
		if r, err := parseResult([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, r)
		}
	}
}

func TestParsePuts(t *testing.T) {
	p := puts{goDSCRDT, 64, 1, true}
	if got, err := parsePuts(p.String()); err != nil || got != p {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `{"Writers":1}`} {
		if got, err := parsePuts(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

// sampled is a measure with values by who they are of.
func sampled(more bool, values map[string][]float64, goals ...goal) *measure {
	m := &measure{name: "name", what: "What", unit: "ms", more: more, goals: goals, samples: make(samples), first: make(samples)}
	for _, who := range []string{ours, loro, yjs, yjs2} {
		m.ways = append(m.ways, way{who: who})
		for i, v := range values[who] {
			m.samples.add(who, v)
			m.first.add(who, 10*v+float64(i))
		}
	}
	return m
}

func TestRatio(t *testing.T) {
	tests := []struct {
		name    string
		more    bool
		ours    []float64
		goal    goal
		ratio   float64
		reached string
	}{
		{"less than asked", false, []float64{1, 9, 2}, goal{"", ours, loro, 0.25}, 0.2, "yes"},
		{"just as asked", false, []float64{5}, goal{"", ours, loro, 0.5}, 0.5, "yes"},
		{"more than asked", false, []float64{6}, goal{"", ours, loro, 0.5}, 0.6, "**no**"},
		{"against the least", false, []float64{6}, goal{"", ours, yjs, 2}, 3, "**no**"},
		{"against the most", true, []float64{60}, goal{"", ours, yjs, 2}, 3, "yes"},
		{"less where more is better", true, []float64{20}, goal{"", ours, yjs, 2}, 1, "**no**"},
		{"nothing of ours", false, nil, goal{"", ours, loro, 1}, 0, "not measured"},
		{"no rival", false, []float64{1}, goal{"", ours, automerge, 1}, 0, "not measured"},
	}
	for _, tt := range tests {
		m := sampled(tt.more, map[string][]float64{ours: tt.ours, loro: {10}, yjs: {20}, yjs2: {2}}, tt.goal)
		if got := m.ratio(m.samples, tt.goal); got != tt.ratio {
			t.Errorf("%s: ratio %v; want %v", tt.name, got, tt.ratio)
		}
		if got := m.reached(tt.goal); got != tt.reached {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.reached)
		}
	}
}

func TestMarkdown(t *testing.T) {
	good := sampled(false, map[string][]float64{ours: {1, 3, 2}, loro: {10}, yjs: {20}, yjs2: {4}}, goal{"on disk", ours, yjs, 2})
	bad := sampled(false, nil, goal{"", ours, loro, 1})
	bad.err = errors.New("Loro: no\nmore")
	got := markdown("# head\n", []*measure{good, bad})
	for _, want := range []string{
		"# head\n\n| What |",
		"| What: on disk | 0.50× | ≤ 2× Yjs | yes | ms | 2.00 (1.00–3.00) | Yjs (V2) 4.00 | Loro 10.0; Yjs 20.0 | 0.55× |",
		"| What | – | ≤ 1× Loro | **failed** | ms | – | – | Loro –; Yjs –; Yjs (V2) – | – |",
		"**name failed:** Loro: no\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Each goal is about ways that there are, and each measure has a goal.
func TestMeasures(t *testing.T) {
	v := &versus{traces: "../../../crdt/testdata", node: "node", self: "self"}
	names := make(map[string]bool)
	for _, m := range v.measures() {
		if names[m.name] || len(m.goals) == 0 {
			t.Errorf("%s: is there twice, or has no goal", m.name)
		}
		names[m.name] = true
		for _, g := range m.goals {
			mine := slices.ContainsFunc(m.ways, func(w way) bool { return w.who == g.ours })
			theirs := slices.ContainsFunc(m.ways, func(w way) bool { return strings.HasPrefix(w.who, g.rival) })
			if !mine || !theirs {
				t.Errorf("%s: a goal of %s against %s, who do not take part", m.name, g.ours, g.rival)
			}
		}
	}
	if all, some, none := choose(v.measures(), ""), choose(v.measures(), "apply"), choose(v.measures(), "nothing"); len(all) != len(names) || len(some) != len(typed) || len(none) != 0 {
		t.Errorf("chosen: %d, %d, %d", len(all), len(some), len(none))
	}
}

// short is a trace by two who type at the same time.
var short = &trace{EndContent: "abX", NumAgents: 2, Txns: []txn{
	{Patches: []patch{{0, 0, "a"}}},
	{Parents: []int{0}, Patches: []patch{{1, 0, "b"}}},
	{Parents: []int{0}, Agent: 1, Patches: []patch{{1, 0, "Xy"}}},
	{Parents: []int{2}, Agent: 1, Patches: []patch{{2, 1, ""}}},
	{Parents: []int{1, 3}, Patches: []patch{{0, 1, "a"}}},
}}

func TestTogether(t *testing.T) {
	w := work{tr: short, file: filepath.Join(t.TempDir(), "short")}
	r, err := w.save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Both have typed after "a"; whose comes first is up to their keys.
	got := r.Text
	if got != hashOf("abX") && got != hashOf("aXb") {
		t.Errorf("the text is another one")
	}
	if h, err := w.history(t.Context()); err != nil || h.Text != got || h.Seconds <= 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

// Everything that is done with a trace ends with its text.
func TestTexts(t *testing.T) {
	tr := &trace{EndContent: "Hallo"}
	for i, c := range []string{"H", "e", "l", "l", "o"} {
		tr.Txns = append(tr.Txns, txn{Patches: []patch{{i, 0, c}}})
	}
	tr.Txns = append(tr.Txns, txn{Patches: []patch{{1, 1, "a"}}})
	dir := t.TempDir()
	w := work{tr: tr, dir: dir, file: filepath.Join(dir, "short")}
	saved, err := w.save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if saved.Bytes == 0 || saved.Disk < saved.Bytes/2 || saved.Fine <= saved.Bytes || saved.Text != hashOf(tr.EndContent) {
		t.Errorf("saved: %+v", saved)
	}
	for name, task := range map[string]func(context.Context) (result, error){"apply": w.apply, "persist": w.persist, "load": w.load, "history": w.history} {
		r, err := task(t.Context())
		if err == nil {
			err = r.check(hashOf(tr.EndContent), r.Seconds)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, task := range map[string]func(context.Context) (result, error){"heap": w.heap, "alone": w.alone} {
		r, err := task(t.Context())
		if err == nil {
			err = r.check(hashOf(tr.EndContent), 1) // a text this short is lost in the noise
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A bundle with a byte that is another one gives no text.
func TestUnbundle(t *testing.T) {
	for _, bad := range []string{"", "not a bundle"} {
		if _, err := unbundle([]byte(bad)); err == nil {
			t.Errorf("%q is a bundle", bad)
		}
	}
}

// forgetful loses every third key.
type forgetful map[string]string

func (f forgetful) put(_ context.Context, keys, values []string) error {
	for i, k := range keys {
		if f[k] = values[i]; len(f)%3 == 0 {
			f[k] = ""
		}
	}
	return nil
}

func (f forgetful) get(_ context.Context, key string) (string, error) { return f[key], nil }
func (forgetful) Close() error                                        { return nil }

func TestVerify(t *testing.T) {
	k := forgetful{}
	if err := fill(t.Context(), k, 10); err != nil {
		t.Fatal(err)
	}
	if n, err := verify(t.Context(), k, "key", []int{10}); n != 2 || !errors.Is(err, errWrong) {
		t.Errorf("%d keys are there, then %v; want 2, and an error", n, err)
	}
	if n, err := verify(t.Context(), k, "key", []int{2}); n != 2 || err != nil {
		t.Errorf("%d keys are there, %v; want 2", n, err)
	}
}

func TestCatchUp(t *testing.T) {
	const commits = 20
	took := make(map[string]float64)
	for _, who := range []string{ours, goDSCRDT} {
		synctest.Test(t, func(t *testing.T) {
			r, err := catchUp(t.Context(), who, commits)
			if err != nil || r.Keys != commits {
				t.Errorf("%s: %+v, %v", who, r, err)
			}
			took[who] = r.Seconds
		})
	}
	// A chain is fetched block by block by one, and at once by the other.
	if rtt := catchUpRTT.Seconds(); took[ours] < rtt || took[ours] > 4*rtt || took[goDSCRDT] < commits*rtt {
		t.Errorf("took %v", took)
	}
}
