package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// unknownError is a name that there is none of.
type unknownError struct{ kind, name, nearest string }

func (e *unknownError) Error() string {
	return fmt.Sprintf("no %s %q; did you mean %s?", e.kind, e.name, e.nearest)
}

// versus runs a contest: ours and every other client, with every seed, and shows all
// in one table.
func (c cli) versus(ctx context.Context, args []string) error {
	m, err := c.parseMatch(args)
	if err != nil {
		return err
	}
	for _, client := range m.clients {
		for seed := m.from; seed <= m.to && ctx.Err() == nil; seed++ {
			run, _ := c.supervised(ctx, m.job(client, seed), &progress{})
			m.take(client, run)
			fmt.Fprintf(c.errs, "%-10s %s\n", client, runLine(run))
		}
	}
	if ctx.Err() != nil {
		return errors.Join(m.failed...) // half a table is none
	}
	text := m.section()
	if m.out == "" {
		_, err = io.WriteString(c.out, text)
	} else {
		err = replaceSection(m.out, m.title(), text)
	}
	return errors.Join(append(m.failed, err)...)
}

// match is a contest as it was ordered, and what came of it.
type match struct {
	contest
	scene    scenario.Scenario
	set      map[string]string // parameters that were given
	seeds    string
	from, to uint64
	out      string
	clients  []string // ours first

	runs   map[string][]measure.Run // by client
	failed []error
}

func (c cli) parseMatch(args []string) (*match, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		var names []string
		for _, c := range contests() {
			names = append(names, c.name)
		}
		return nil, usageError{fmt.Errorf("versus: want one of %s", strings.Join(names, ", "))}
	}
	m := &match{set: make(map[string]string), runs: make(map[string][]measure.Run)}
	var err error
	if m.contest, err = findContest(args[0]); err != nil {
		return nil, err
	}
	if m.scene, err = scenario.Find(m.scenario); err != nil {
		return nil, err
	}
	var force bool
	flags := flag.NewFlagSet("versus", flag.ContinueOnError)
	flags.IntVar(&m.peers, "peers", m.peers, "how many `peers`")
	flags.StringVar(&m.seeds, "seeds", "1..5", "`range` of seeds: a run of each client for each")
	flags.StringVar(&m.out, "out", "", "Markdown `file`, in which the section of this contest is replaced, or added")
	flags.BoolVar(&force, "force", false, "run even if memory may not be enough")
	flags.Func("set", "parameter as `name=value`; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "client" {
			return errors.New("want name=value, and not client, for it is played with each")
		}
		m.set[name] = value
		return nil
	})
	rest, err := c.parse(flags, args[1:])
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, usageError{fmt.Errorf("versus: unexpected %q", rest[0])}
	}
	if m.from, m.to, err = parseRange("seeds", m.seeds); err != nil {
		return nil, err
	}
	m.clients = append([]string{scenario.Ours}, m.scene.Clients...)
	j := m.job(scenario.Ours, m.from)
	return m, errors.Join(j.check(), c.admit(j, outputs{force: force}, 1))
}

// job is one run of it.
func (m *match) job(client string, seed uint64) job {
	values := maps.Clone(m.values)
	if values == nil {
		values = make(map[string]string)
	}
	maps.Copy(values, m.set)
	if client != scenario.Ours {
		values["client"] = client
	}
	return job{scenario: m.scene, peers: m.peers, seed: seed, values: values}
}

// take notes what came of a run.
func (m *match) take(client string, run report.Run) {
	if err := failure(run); err != nil {
		m.failed = append(m.failed, fmt.Errorf("%s, seed %d: %w", client, run.Seed, err))
		return
	}
	m.runs[client] = append(m.runs[client], run.Run)
}

// title tells contests apart in a file.
func (m *match) title() string {
	text := fmt.Sprintf("## %s, %d peers", m.name, m.peers)
	for _, name := range slices.Sorted(maps.Keys(m.set)) {
		text += fmt.Sprintf(", %s %s", name, m.set[name])
	}
	return text
}

// command runs the match once more.
func (m *match) command() string {
	text := fmt.Sprintf("go run ./testground versus %s -peers %d -seeds %s", m.name, m.peers, m.seeds)
	for _, name := range slices.Sorted(maps.Keys(m.set)) {
		text += fmt.Sprintf(" -set %s=%s", name, m.set[name])
	}
	return text
}

// section is the match in Markdown.
func (m *match) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s: `%s`\n\n", m.title(), sentence(m.doc), m.command())
	fmt.Fprintf(&b, "| median of seeds %s (worst) | %s |", m.seeds, strings.Join(m.clients, " | "))
	columns := 1 + len(m.clients)
	bounded := slices.ContainsFunc(m.rows, func(w row) bool { return w.bound })
	if bounded {
		b.WriteString(" bound |")
		columns++
	}
	for _, client := range m.clients[1:] {
		fmt.Fprintf(&b, " %s ÷ %s |", scenario.Ours, client)
		columns++
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", columns-1) + "\n")
	if len(m.failed) > 0 {
		m.failures(&b, bounded)
	}
	for _, w := range m.rows {
		m.line(&b, w, bounded)
	}
	b.WriteString("\n" + m.settings() + "\n")
	for _, err := range m.failed {
		first, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintf(&b, "\nFailed: %s\n", first)
	}
	return b.String()
}

// failures writes a row of how many runs are not in those below.
func (m *match) failures(b *strings.Builder, bounded bool) {
	all := int(m.to-m.from) + 1
	b.WriteString("| runs that failed |")
	for _, client := range m.clients {
		fmt.Fprintf(b, " %d of %d |", all-len(m.runs[client]), all)
	}
	if bounded {
		b.WriteString(" |")
	}
	b.WriteString(strings.Repeat(" |", len(m.clients)-1) + "\n")
}

// line writes one row of the table.
func (m *match) line(b *strings.Builder, w row, bounded bool) {
	fmt.Fprintf(b, "| %s |", w.title)
	medians := make(map[string]float64)
	bound := ""
	for _, client := range m.clients {
		var values []float64
		for _, run := range m.runs[client] {
			if v, ok := w.value(run); ok {
				values = append(values, v)
			}
			if v, ok := w.boundOf(run); ok {
				bound = short3(v)
			}
		}
		if len(values) == 0 {
			b.WriteString(" – |")
			continue
		}
		slices.Sort(values)
		medians[client] = values[len(values)/2]
		fmt.Fprintf(b, " %s (%s) |", short3(medians[client]), short3(values[len(values)-1]))
	}
	if bounded {
		fmt.Fprintf(b, " %s |", bound)
	}
	for _, client := range m.clients[1:] {
		ours, here := medians[scenario.Ours]
		theirs, there := medians[client]
		if !here || !there || theirs == 0 {
			b.WriteString(" – |")
			continue
		}
		fmt.Fprintf(b, " %.2f× |", ours/theirs)
	}
	b.WriteString("\n")
}

// settings says what all of them had.
func (m *match) settings() string {
	j := m.job(scenario.Ours, m.from).record()
	var params, software []string
	for _, name := range slices.Sorted(maps.Keys(j.Params)) {
		if name != "client" {
			params = append(params, name+" "+j.Params[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Versions)) {
		if i := strings.LastIndex(name, "/"); i >= 0 {
			software = append(software, name[i+1:]+" "+j.Versions[name])
		}
	}
	return fmt.Sprintf("Of all: %s. With %s, %s.", strings.Join(params, ", "), j.Versions["go"], strings.Join(software, ", "))
}

// short3 is a number as people read it.
func short3(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

// sentence begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// replaceSection puts text in place of the section of a file that has its title, or
// at the end.
func replaceSection(name, title, text string) error {
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	var kept strings.Builder
	placed, skipping := false, false
	for line := range strings.Lines(string(old)) {
		if strings.HasPrefix(line, "## ") {
			if skipping = strings.TrimRight(line, "\r\n") == title; skipping {
				placed = true
				kept.WriteString(text + "\n")
			}
		}
		if !skipping {
			kept.WriteString(line)
		}
	}
	whole := strings.TrimRight(kept.String(), "\n") + "\n"
	if !placed {
		whole = strings.TrimLeft(whole+"\n"+text, "\n")
	}
	return measure.WriteFile(name, func(w io.Writer) error {
		_, err := io.WriteString(w, whole)
		return err
	})
}
