package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	plainTime  = 30 * time.Second       // between lines where nothing is rewritten
	redrawTime = 150 * time.Millisecond // of a line that is
)

// progress tells people how far a run is: in one line that is rewritten on a
// terminal, now and then elsewhere. Its methods are for one goroutine.
type progress struct {
	to       io.Writer // nil tells nobody
	terminal bool
	peers    int
	began    time.Time

	drawn  time.Time
	line   bool // one stands there unfinished
	values int
}

func (c cli) progress(j job) *progress {
	now := time.Now()
	return &progress{to: c.errs, terminal: c.terminal, peers: j.peers, began: now, drawn: now}
}

// tick says that the network's time is at, and up peers run.
func (p *progress) tick(at time.Duration, up int) {
	every := plainTime
	if p.terminal {
		every = redrawTime
	}
	if p.to == nil || time.Since(p.drawn) < every {
		return
	}
	p.drawn = time.Now()
	wall := time.Since(p.began)
	text := fmt.Sprintf("%.0f s of the network in %.0f s of the clock (%.1f×), %d of %d peers run, %d values",
		at.Seconds(), wall.Seconds(), at.Seconds()/max(wall.Seconds(), 0.001), up, p.peers, p.values)
	if p.terminal {
		p.line = true
		fmt.Fprint(p.to, "\r\x1b[K", text)
	} else {
		fmt.Fprintln(p.to, text)
	}
}

// log tells what a scenario says.
func (p *progress) log(at time.Duration, text string) {
	p.note(fmt.Sprintf("%8.1fs  %s (%.1f s of the clock)", at.Seconds(), text, time.Since(p.began).Seconds()))
}

// note writes a line of its own.
func (p *progress) note(text string) {
	if p.to == nil {
		return
	}
	p.done()
	fmt.Fprintln(p.to, strings.TrimRight(text, "\n"))
}

// done clears what is rewritten.
func (p *progress) done() {
	if p.line {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.line = false
	}
}

func isTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
