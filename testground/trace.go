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
	lines := strings.SplitAfter(trace, "\n")
	goroutines, end := 0, len(lines)
	for i, line := range lines {
		if strings.HasPrefix(line, "goroutine ") {
			if goroutines++; goroutines == 2 {
				end = i
				break
			}
		}
	}
	if cut := min(end, shortLinesMax); cut < len(lines) {
		c.short = strings.Join(lines[:cut], "") + fmt.Sprintf("… %d more lines\n", len(lines)-cut)
	} else {
		c.short = trace
	}
	// The goroutine that has panicked is the first. A bubble that cannot end lists
	// who is left: the first of them with a name.
	if m := peerLabel.FindStringSubmatch(trace); m != nil {
		c.peer = "peer " + m[1]
	}
	return c, true
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
