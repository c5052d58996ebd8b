package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// stepMax is the longest time for any one process; one that takes longer has gone wrong.
const stepMax = 10 * time.Minute

// result is what one process has measured, as it prints it.
type result struct {
	Seconds float64 `json:"seconds,omitempty"` // the median of what it did after warming up
	First   float64 `json:"first,omitempty"`   // seconds that it took the first time
	Rate    float64 `json:"rate,omitempty"`    // a second
	Bytes   int64   `json:"bytes,omitempty"`   // saved, with all history
	Disk    int64   `json:"disk,omitempty"`    // keys and values in the database
	Fine    int64   `json:"fine,omitempty"`    // as Bytes, if each edit is a commit
	Heap    int64   `json:"heap,omitempty"`    // bytes in use
	RSS     int64   `json:"rss,omitempty"`     // bytes that the process has taken more
	Text    string  `json:"text,omitempty"`    // hash of the text
	Keys    int     `json:"keys,omitempty"`    // checked one by one
}

// Names of those who are measured. Where one has several ways, all are, and goals are held
// against the best.
const (
	ours       = "p2pnode"
	loro       = "Loro"
	yjs        = "Yjs"
	yjs2       = "Yjs (V2)"
	automerge  = "Automerge"
	goDSCRDT   = "go-ds-crdt"
	oursOnDisk = "p2pnode on disk"
	oursAlone  = "p2pnode, the document alone"
	oursFine   = "p2pnode, each edit a commit"
)

// way is how somebody does something: the words of a command that prints a result.
type way struct {
	who   string
	words []string
	value func(result) float64 // in the measure's unit
}

// goal is what p2pnode has set itself: how its way compares to the rival's best.
type goal struct {
	label string // what is special about our way, or ""
	ours  string
	rival string  // the beginning of the names of its ways
	bound float64 // of ours ÷ rival's
}

// measure is one quantity, of all who can do it.
type measure struct {
	name  string // for -only
	what  string
	unit  string
	more  bool   // more is better
	text  string // file of the trace of which the text must come out, or "" for keys that must be there
	once  bool   // it comes out the same each time
	ways  []way
	goals []goal

	samples samples
	first   samples // of the first time in each process; nothing of what is not timed
	err     error
}

// take runs all ways in turn, so that what else the machine does meets all.
func (v *versus) take(ctx context.Context, m *measure) error {
	m.samples, m.first = make(samples), make(samples)
	want := ""
	if m.text != "" {
		t, err := readTrace(m.text)
		if err != nil {
			return err
		}
		want = hashOf(t.EndContent)
	}
	n := v.n
	if m.once {
		n = 1
	}
	for range n {
		for _, w := range m.ways {
			r, err := v.result(ctx, w.words)
			if err == nil {
				err = r.check(want, w.value(r))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", w.who, err)
			}
			m.samples.add(w.who, w.value(r))
			if r.First > 0 {
				m.first.add(w.who, r.First)
			}
			v.logf("  %-28s %s %s", w.who, number(w.value(r)), m.unit)
		}
	}
	return nil
}

// errWrong means that somebody did something else than what was asked for.
var errWrong = errors.New("wrong result")

// check tells whether a process did what it was asked for: the text is the wanted one, or keys
// were looked for, and something was measured.
func (r result) check(want string, value float64) error {
	switch {
	case want != "" && r.Text != want:
		return fmt.Errorf("another text than the trace's: %w", errWrong)
	case want == "" && r.Keys == 0:
		return fmt.Errorf("no key was checked: %w", errWrong)
	case !(value > 0):
		return fmt.Errorf("measured %v: %w", value, errWrong)
	}
	return nil
}

// result runs a command. Tasks that read what "save" has written have it written before.
func (v *versus) result(ctx context.Context, words []string) (result, error) {
	task := len(words) - 3 // task, trace, folder
	if slices.Contains([]string{"load", "history", "heap", "alone"}, words[task]) {
		save := slices.Clone(words)
		save[task] = "save"
		if r, err := v.result(ctx, save); err != nil {
			return r, fmt.Errorf("save: %w", err)
		}
	}
	key := strings.Join(words, " ")
	if r, ok := v.saved[key]; ok {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("%s: %w\n%s", words[task], err, errs.Bytes())
	}
	r, err := parseResult(out.Bytes())
	if err == nil && words[task] == "save" {
		v.saved[key] = r
	}
	return r, err
}

func parseResult(out []byte) (r result, err error) {
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("read result: %w", err)
	}
	return r, nil
}

// The task, what it is about, and a folder end each command.
func (v *versus) own(task, about string) []string {
	return []string{v.self, childWord, task, about, v.dir}
}

func (v *versus) theirs(library, task, about string) []string {
	return []string{v.node, "--expose-gc", v.script, library, task, about, v.dir}
}

func (v *versus) trace(name string) string { return filepath.Join(v.traces, name+".json.gz") }

// Values of results.
func milliseconds(r result) float64 { return r.Seconds * 1e3 }
func seconds(r result) float64      { return r.Seconds }
func rate(r result) float64         { return r.Rate }
func kilobytes(r result) float64    { return float64(r.Bytes) / 1e3 }
func heap(r result) float64         { return float64(r.Heap) / 1e3 }
func rss(r result) float64          { return float64(r.RSS) / 1e3 }

// loadavg is how busy the machine is, or "unknown" where there is no such file.
func loadavg() string {
	b, err := os.ReadFile("/proc/loadavg")
	if words := strings.Fields(string(b)); err == nil && len(words) > 0 {
		return words[0]
	}
	return "unknown"
}
