package main

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	traceMax      = 4 << 20 // bytes of what a run says last that are kept
	shortLinesMax = 30      // of a trace in a report
)

// crash is what a trace says.
type crash struct {
	what  string // first line of it: why the process ended
	peer  string // "peer 7", or empty
	short string // the first goroutine
}

var (
	crashLine = regexp.MustCompile(`(?m)^(panic|fatal error|runtime: program exceeds|SIGQUIT|runtime error|WARNING: DATA RACE)[^\n]*`)
	peerLabel = regexp.MustCompile(`(?m)^goroutine \d+ [^\n]*labels:\{[^\n]*"peer": ?"(\d+)"`)
)

// readTrace finds a panic in what a process has written last.
func readTrace(text string) (crash, bool) {
	at := crashLine.FindStringIndex(text)
	if at == nil {
		return crash{}, false
	}
	c := crash{what: strings.TrimSpace(text[at[0]:at[1]])}
	trace := text[at[0]:]
	c.what = strings.TrimSuffix(c.what, " [recovered, repanicked]")
	c.short = short(trace)
	if others := strings.Index(trace, "\n\ngoroutine "); others >= 0 {
		if second := strings.Index(trace[others+2:], "\n\ngoroutine "); second >= 0 {
			c.short = short(trace[:others+2+second+1])
		}
	}
	// The goroutine that has panicked is the first. A bubble that cannot end lists
	// who is left: the first of them with a name.
	if m := peerLabel.FindStringSubmatch(trace); m != nil {
		c.peer = "peer " + m[1]
	}
	return c, true
}

// busy are the goroutines of a dump that run, or could: one of those in a bubble has
// stopped its time. If there is none, all wait for something that is not in it.
func busy(dump string) string {
	var found []string
	for stack := range strings.SplitSeq(dump, "\n\n") {
		head, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(head, "[runn") && !strings.Contains(stack, ".dumpOnQuit") {
			found = append(found, stack)
		}
	}
	if len(found) == 0 {
		return short(dump)
	}
	return short(strings.Join(found, "\n\n") + "\n")
}

// short is as much of a trace as people read.
func short(trace string) string {
	lines := strings.SplitAfter(trace, "\n")
	if len(lines) <= shortLinesMax {
		return trace
	}
	return strings.Join(lines[:shortLinesMax], "") + fmt.Sprintf("… %d more lines\n", len(lines)-shortLinesMax)
}

// tail keeps the first traceMax bytes of what is written to it, and counts the rest:
// a trace begins with what matters.
type tail struct {
	text []byte
	rest int
}

func (t *tail) Write(b []byte) (int, error) {
	keep := min(len(b), traceMax-len(t.text))
	t.text = append(t.text, b[:keep]...)
	t.rest += len(b) - keep
	return len(b), nil
}
