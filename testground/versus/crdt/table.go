package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// sample is one quantity, measured once or repeatedly.
type sample struct{ values []float64 }

func (s *sample) add(v float64) { s.values = append(s.values, v) }

func (s *sample) median() float64 {
	v := slices.Sorted(slices.Values(s.values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (s *sample) String() string {
	if len(s.values) == 1 {
		return number(s.median())
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median()), number(slices.Min(s.values)), number(slices.Max(s.values)))
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// samples are those of one measure, by who they are of.
type samples map[string]*sample

func (s samples) add(who string, v float64) {
	if s[who] == nil {
		s[who] = new(sample)
	}
	s[who].add(v)
}

func (s samples) show(who string) string {
	if s[who] == nil {
		return "–"
	}
	return s[who].String()
}

// best is the best way of a rival, or "" if nothing was measured.
func (m *measure) best(of samples, rival string) string {
	best := ""
	for _, w := range m.ways {
		s := of[w.who]
		if !strings.HasPrefix(w.who, rival) || s == nil {
			continue
		}
		if best == "" || s.median() != of[best].median() && (s.median() > of[best].median()) == m.more {
			best = w.who
		}
	}
	return best
}

// ratio is that of a goal, or 0 if nothing was measured.
func (m *measure) ratio(of samples, g goal) float64 {
	mine, rival := of[g.ours], m.best(of, g.rival)
	if m.err != nil || mine == nil || rival == "" {
		return 0
	}
	return mine.median() / of[rival].median()
}

func (m *measure) reached(g goal) string {
	r := m.ratio(m.samples, g)
	switch {
	case m.err != nil:
		return "**failed**"
	case r == 0:
		return "not measured"
	case r == g.bound || (r > g.bound) == m.more:
		return "yes"
	}
	return "**no**"
}

// line is a row of the table, of one goal.
func (m *measure) line(g goal) string {
	what, sign, rival := m.what, "≤", m.best(m.samples, g.rival)
	if g.label != "" {
		what += ": " + g.label
	}
	if m.more {
		sign = "≥"
	}
	ratio := func(of samples) string {
		if r := m.ratio(of, g); r > 0 {
			return number(r) + "×"
		}
		return "–"
	}
	var others []string // all that this row is not about
	for _, w := range m.ways {
		if w.who != rival && !strings.HasPrefix(w.who, ours) {
			others = append(others, w.who+" "+m.samples.show(w.who))
		}
	}
	return fmt.Sprintf("| %s | %s | %s %g× %s | %s | %s | %s | %s | %s | %s |\n",
		what, ratio(m.samples), sign, g.bound, g.rival, m.reached(g), m.unit, m.samples.show(g.ours),
		strings.TrimSpace(rival+" "+m.samples.show(rival)), strings.Join(others, "; "), ratio(m.first))
}

const columns = "| What | p2pnode ÷ rival | Goal | Reached | Unit | p2pnode | Rival | Others | The first time, p2pnode ÷ rival |\n|---|--:|---|---|---|--:|--:|---|--:|\n"

// markdown is the whole report.
func markdown(heading string, list []*measure) string {
	var b strings.Builder
	b.WriteString(heading + "\n" + columns)
	for _, m := range list {
		for _, g := range m.goals {
			b.WriteString(m.line(g))
		}
	}
	b.WriteString("\nMedian (least–most). The ratio is that of the medians; where a rival has several ways, its best one counts.\n")
	for _, m := range list {
		if m.err != nil {
			first, _, _ := strings.Cut(m.err.Error(), "\n")
			fmt.Fprintf(&b, "\n**%s failed:** %s\n", m.name, first)
		}
	}
	b.WriteString("\n" + notes)
	return b.String()
}

// heading says what was measured, where and how.
func (v *versus) heading(ctx context.Context, only string) string {
	command := fmt.Sprintf("go run ./testground/versus/crdt -n %d", v.n)
	if only != "" {
		command += fmt.Sprintf(" -only %q", only)
	}
	few := ""
	if v.n < repetitionsMin {
		few = fmt.Sprintf(" Fewer than %d repetitions: a trial, not a result.", repetitionsMin)
	}
	return fmt.Sprintf("# Documents, beside others\n\n%s, %d × %s, %s/%s, %s; %s. %s. Load before: %s. %d repetitions: `%s`.%s\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), cpu(), runtime.GOOS, runtime.GOARCH, runtime.Version(),
		v.nodeVersion(ctx), v.versions(), loadavg(), v.n, command, few)
}

// cpu is the model of the processor, where Linux tells.
func cpu() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "CPU unknown"
	}
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU unknown"
}

func (v *versus) nodeVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, v.node, "--version").Output()
	if err != nil {
		return "Node.js of unknown version"
	}
	return "Node.js " + strings.TrimSpace(string(out))
}

// versions are those of the rivals: as they are installed, and as they are linked.
func (v *versus) versions() string {
	var list []string
	for _, library := range []struct{ name, folder string }{{yjs, "yjs"}, {loro, "loro-crdt"}, {automerge, "@automerge/automerge"}} {
		list = append(list, library.name+" "+packageVersion(filepath.Join(filepath.Dir(v.script), "node_modules", library.folder, "package.json")))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/ipfs/go-ds-crdt" {
				list = append(list, goDSCRDT+" "+m.Version)
			}
		}
	}
	return strings.Join(list, ", ")
}

// packageVersion is what a package.json says, or "?".
func packageVersion(path string) string {
	b, err := os.ReadFile(path)
	var p struct{ Version string }
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || p.Version == "" {
		return "?"
	}
	return p.Version
}
