package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// sample is one quantity, measured repeatedly.
type sample struct {
	values []float64
	over   bool // given up: the value is what was waited
}

func (s *sample) add(v float64) { s.values = append(s.values, v) }

func (s sample) median() float64 {
	if len(s.values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(s.values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (s sample) String() string {
	switch {
	case len(s.values) == 0:
		return "–"
	case s.over:
		return "> " + number(s.median())
	case len(s.values) == 1:
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
	}
	return fmt.Sprintf("%.2f", v)
}

// goal is what p2pnode has set itself.
type goal struct {
	bound float64
	ratio bool // of p2pnode's median to Kubo's better one, else of p2pnode's median
	least bool // the bound is a lower one
}

func (g goal) String() string {
	if g.bound == 0 {
		return "–"
	}
	sign, unit := "≤", ""
	if g.least {
		sign = "≥"
	}
	if g.ratio {
		unit = "×"
	}
	return fmt.Sprintf("%s %.3g%s", sign, g.bound, unit)
}

// row is one line of the table.
type row struct {
	what, unit  string
	more        bool // more is better
	ours        sample
	usual, best sample // Kubo's; best may be empty
	goal        goal
	plain       float64 // what plain code takes or gives for the same on this machine, 0 if there is none
}

// better is Kubo's better way.
func (r row) better() sample {
	if len(r.usual.values) == 0 || r.usual.over && len(r.best.values) > 0 || len(r.best.values) > 0 && (r.best.median() < r.usual.median()) != r.more {
		return r.best
	}
	return r.usual
}

func (r row) ratio() float64 {
	if k := r.better().median(); k > 0 {
		return r.ours.median() / k
	}
	return 0
}

func (r row) verdict() string {
	v := r.ours.median()
	if r.goal.ratio {
		v = r.ratio()
	}
	switch {
	case r.goal.bound == 0:
		return ""
	case v == 0:
		return "not measured"
	case (v >= r.goal.bound) == r.goal.least || v == r.goal.bound:
		return "pass"
	}
	return "**FAIL**"
}

// table is what is printed at the end.
type table struct {
	rows  []row
	notes []string
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) markdown(heading string) string {
	var b strings.Builder
	b.WriteString(heading)
	b.WriteString("\n| What | Unit | p2pnode | Kubo, usual way | Kubo, best way | p2pnode ÷ Kubo | Goal | Plain code here | |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		ratio, plain := "–", "–"
		if q := r.ratio(); q > 0 {
			ratio = fmt.Sprintf("%.2f×", q)
		}
		if r.plain > 0 {
			plain = number(r.plain)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			r.what, r.unit, r.ours, r.usual, r.best, ratio, r.goal, plain, r.verdict())
	}
	b.WriteString("\nMedian (least–most). The ratio, and a goal marked ×, are against the better of Kubo's ways.\n")
	for _, n := range t.notes {
		fmt.Fprintf(&b, "\n- %s", n)
	}
	if len(t.notes) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// heading says what was measured, where and how.
func heading(ctx context.Context, v *versus, flags *flag.FlagSet) string {
	command := "versus"
	flags.Visit(func(f *flag.Flag) {
		if !slices.Contains([]string{"p2pnode", "kubo", "wan", "out"}, f.Name) { // where things lie says nothing
			command += fmt.Sprintf(" -%s %s", f.Name, f.Value)
		}
	})
	first := func(words ...string) string {
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).Output()
		line, _, _ := strings.Cut(string(out), "\n")
		if err != nil {
			return "?"
		}
		return line
	}
	cpu := "CPU unknown"
	info, _ := os.ReadFile("/proc/cpuinfo") // Linux only; elsewhere the heading says less
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			cpu = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("# p2pnode and Kubo, side by side\n\n%s, %d × %s, %s/%s, %s. %s; %s. %d repetitions: `%s`\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, runtime.Version(),
		first(v.ours.binary, "version"), first(v.kubo.binary, "version"), v.n, command)
}
