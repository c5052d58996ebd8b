package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/p2pnode/p2pnode/control"
)

const (
	barInterval   = 100 * time.Millisecond
	plainInterval = 10 * time.Second
	barWidth      = 24
)

// meter shows how far a transfer is, on standard error: a bar on a terminal,
// a line now and then with --progress=plain, else nothing.
type meter struct {
	label string
	start time.Time
	bytes atomic.Int64
	total atomic.Int64 // 0: unknown
	peers atomic.Int64 // -1: not a matter of peers
	told  atomic.Pointer[control.Progress]
	shown bool

	stopOnce sync.Once
	stop     func()
}

// meter starts to show; stop ends it, and is needed.
func (a *app) meter(label string) *meter {
	m := &meter{label: display(label), start: time.Now(), stop: func() {}}
	m.peers.Store(-1)
	switch {
	case a.quiet || a.json || a.progress == "none":
	case a.progress == "plain":
		m.shown = true
		m.plain(a.stderr)
	case isTerminal(a.stderr):
		m.shown = true
		m.bar(a.stderr)
	}
	return m
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Write counts bytes.
func (m *meter) Write(p []byte) (int, error) {
	m.bytes.Add(int64(len(p)))
	return len(p), nil
}

// set takes what the node tells.
func (m *meter) set(p control.Progress) {
	m.bytes.Store(p.Bytes)
	m.around(p)
}

// around takes what the node tells beside the bytes.
func (m *meter) around(p control.Progress) {
	m.peers.Store(int64(p.Peers))
	m.told.Store(&p)
}

func (m *meter) end() { m.stopOnce.Do(m.stop) }

func (m *meter) plain(w io.Writer) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(plainInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(w, "p2pnode: %s: %s\n", m.label, m.text())
			case <-done:
				fmt.Fprintf(w, "p2pnode: %s: %s\n", m.label, m.text())
				return
			}
		}
	}()
	m.stop = func() {
		close(done)
		<-ended
	}
}

func (m *meter) bar(w io.Writer) {
	p := mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(barInterval), mpb.WithWidth(barWidth))
	style := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]")
	b := p.New(0, style,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(m.label+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			return m.text()
		})))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(barInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				b.SetTotal(m.total.Load(), false)
				b.SetCurrent(m.bytes.Load())
			case <-done:
				return
			}
		}
	}()
	m.stop = func() {
		close(done)
		<-ended
		b.Abort(true)
		p.Wait()
	}
}

// text is bytes, total, rate, time left, peers, and what is on its way.
func (m *meter) text() string {
	bytes, total := m.bytes.Load(), m.total.Load()
	parts := []string{size(bytes)}
	if total > 0 {
		parts[0] += " of " + size(total)
	}
	seconds := time.Since(m.start).Seconds()
	if rate := float64(bytes) / seconds; rate > 0 && seconds > 0 {
		parts = append(parts, size(int64(rate))+"/s")
		if total > bytes {
			left := time.Duration(float64(total-bytes) / rate * float64(time.Second))
			parts = append(parts, left.Round(time.Second).String()+" left")
		}
	}
	if peers := m.peers.Load(); peers >= 0 {
		parts = append(parts, count(peers, "peer"))
	}
	p := m.told.Load()
	switch {
	case p == nil:
	case bytes == 0 && p.Phase != "":
		parts = append(parts, display(p.Phase))
	case p.Pieces > p.PiecesHere:
		parts = append(parts, fmt.Sprintf("%d of %s", p.PiecesHere, count(int64(p.Pieces), "piece")))
	}
	if p != nil && p.PiecesAsked > 0 {
		parts = append(parts, fmt.Sprintf("%d on their way", p.PiecesAsked))
	}
	return strings.Join(parts, ", ") + sourcesText(p)
}

// sourcesShown is how many of the peers are named that something came from.
const sourcesShown = 3

// sourcesText says who has sent what share, if there are several.
func sourcesText(p *control.Progress) string {
	if p == nil || len(p.Sources) < 2 {
		return ""
	}
	sum := int64(0)
	for _, f := range p.Sources {
		sum += f.Bytes
	}
	var parts []string
	for _, f := range p.Sources[:min(len(p.Sources), sourcesShown)] {
		if f.Bytes > 0 {
			parts = append(parts, fmt.Sprintf("…%s %d %%", display(f.Peer[max(0, len(f.Peer)-6):]), f.Bytes*100/sum))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(0, bytes))) }
