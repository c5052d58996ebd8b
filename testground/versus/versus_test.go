package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRowVerdict(t *testing.T) {
	of := func(v ...float64) sample { return sample{values: v} }
	tests := []struct {
		name    string
		row     row
		ratio   float64
		verdict string
	}{
		{"less time than asked", row{ours: of(5, 7, 6), usual: of(12), goal: goal{bound: 0.6, ratio: true}}, 0.5, "pass"},
		{"more time than asked", row{ours: of(8), usual: of(10), goal: goal{bound: 0.6, ratio: true}}, 0.8, "**FAIL**"},
		{"against the better of two times", row{ours: of(4), usual: of(100), best: of(5), goal: goal{bound: 0.6, ratio: true}}, 0.8, "**FAIL**"},
		{"against the better of two rates", row{more: true, ours: of(40), usual: of(10), best: of(5), goal: goal{bound: 4, ratio: true, least: true}}, 4, "pass"},
		{"never against what was given up", row{ours: of(4), usual: sample{values: []float64{1}, over: true}, best: of(8), goal: goal{bound: 0.6, ratio: true}}, 0.5, "pass"},
		{"absolute", row{ours: of(3), usual: of(12), goal: goal{bound: 2.5}}, 0.25, "**FAIL**"},
		{"no goal", row{ours: of(1), usual: of(1)}, 1, ""},
		{"nothing measured", row{usual: of(1), goal: goal{bound: 2.5}}, 0, "not measured"},
	}
	for _, tt := range tests {
		if got := tt.row.ratio(); got != tt.ratio {
			t.Errorf("%s: ratio %v; want %v", tt.name, got, tt.ratio)
		}
		if got := tt.row.verdict(); got != tt.verdict {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.verdict)
		}
	}
}

func TestTable(t *testing.T) {
	var v table
	v.add(row{what: "get", unit: "s", ours: sample{values: []float64{2, 1, 3}}, usual: sample{values: []float64{240}, over: true}, best: sample{values: []float64{8}}, goal: goal{bound: 2.5}, plain: 0.5})
	v.note("seen %d times", 3)
	got := v.markdown("# head\n")
	for _, want := range []string{"# head", "| get | s | 2.00 (1.00–3.00) | > 240 | 8.00 | 0.25× | ≤ 2.5 | 0.50 | pass |", "- seen 3 times"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestLoad(t *testing.T) {
	body := bytes.Repeat([]byte("x"), gatewaySize)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page" {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "page", time.Time{}, bytes.NewReader(body))
	}))
	defer server.Close()
	addr := server.Listener.Addr().(*net.TCPAddr).String()
	l := load{addr: addr, path: "/page", conns: 2, size: gatewaySize}
	if rate, err := l.run(t.Context(), 50*time.Millisecond); err != nil || rate < 1 {
		t.Errorf("%v requests/s, %v", rate, err)
	}
	for _, bad := range []load{{addr: addr, path: "/other", conns: 1, size: gatewaySize}, {addr: addr, path: "/page", conns: 1, size: 1}} {
		if _, err := bad.run(t.Context(), 50*time.Millisecond); err == nil {
			t.Errorf("%+v: no error for a wrong answer", bad)
		}
	}
}

func TestSameTree(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, dir := range []string{a, b} {
		if _, err := writeSmall(dir, 250); err != nil {
			t.Fatal(err)
		}
	}
	if err := sameTree(a, b); err != nil {
		t.Error(err)
	}
	if err := os.Rename(filepath.Join(b, "folder001", "file00150"), filepath.Join(b, "folder001", "other")); err != nil {
		t.Fatal(err)
	}
	if sameTree(a, b) == nil {
		t.Error("a tree with another name counts as the same")
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(scenarios) {
		t.Errorf("%d scenarios, %v; want all", len(all), err)
	}
	if some, err := choose("wan,add"); err != nil || len(some) != 2 || some[0].name != "wan" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := choose("add,nothing"); err == nil {
		t.Error("an unknown scenario is no error")
	}
}
