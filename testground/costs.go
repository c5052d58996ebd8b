package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

// load is what a network has to do that is measured.
type load struct {
	label    string
	messages int // a minute, to all
	minutes  int // for which it is measured, in the network's time
}

var loads = []load{{"nothing to do", 0, 12}, {"a message to all each second", 60, 1}}

// cost is what a run has taken.
type cost struct {
	peers    int
	wallS    float64 // for a second of the network, once it has settled
	cpuS     float64 // the same
	startS   float64 // of the clock until then
	peakMB   float64
	messages float64 // sent by a peer in a minute
	bytes    float64 // sent by a peer in a second
}

// costs shows what networks of several sizes take of the machine, as a table and as
// curves.
func (c cli) costs(ctx context.Context, args []string) error {
	var sizes, out string
	var force bool
	flags := flag.NewFlagSet("costs", flag.ContinueOnError)
	flags.StringVar(&sizes, "peers", "50,100,200,500,1000,2000", "`sizes` of the networks")
	flags.StringVar(&out, "out", "", "Markdown `file`, in which the section is replaced, or added; curves go beside it, as SVG")
	flags.BoolVar(&force, "force", false, "run even if memory may not be enough")
	rest, err := c.parse(flags, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Errorf("costs: unexpected %q", rest[0])}
	}
	table := make([][]cost, len(loads))
	for text := range strings.SplitSeq(sizes, ",") {
		peers, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || peers < 1 {
			return usageError{fmt.Errorf("costs: -peers %q: want sizes such as 50,100", sizes)}
		}
		for i, l := range loads {
			one, err := c.cost(ctx, peers, l, force)
			if err != nil {
				return fmt.Errorf("costs of %d peers, %s: %w", peers, l.label, err)
			}
			fmt.Fprintf(c.errs, "%d peers, %s: %s\n", peers, l.label, one)
			table[i] = append(table[i], one)
		}
	}
	text := costSection(sizes, table)
	if out == "" {
		_, err := io.WriteString(c.out, text)
		return err
	}
	picture := strings.TrimSuffix(out, filepath.Ext(out)) + ".svg"
	text += fmt.Sprintf("\n![as curves](%s)\n", filepath.Base(picture))
	return errors.Join(
		replaceSection(out, costTitle, text),
		measure.WriteFile(picture, func(w io.Writer) error { return report.WriteCurves(w, costCurves(table)) }))
}

func (c cli) cost(ctx context.Context, peers int, l load, force bool) (cost, error) {
	s, err := scenario.Find("idle")
	if err != nil {
		return cost{}, err
	}
	j := job{scenario: s, peers: peers, seed: 1, values: map[string]string{
		"minutes": strconv.Itoa(l.minutes), "messages": strconv.Itoa(l.messages),
	}}
	if err := errors.Join(j.check(), c.admit(j, outputs{force: force}, 1)); err != nil {
		return cost{}, err
	}
	run, _ := c.supervised(ctx, j, &progress{})
	if err := errors.Join(ctx.Err(), failure(run)); err != nil {
		return cost{}, err
	}
	return costOf(run, l), nil
}

func costOf(run report.Run, l load) cost {
	span := time.Duration(l.minutes) * time.Minute
	settled := time.Duration(run.TimeS*float64(time.Second)) - span
	mean := func(name string, after time.Duration) float64 {
		sum, n := 0.0, 0
		for _, p := range run.Values.Points(name) {
			if p.At > after {
				sum += p.Value
				n++
			}
		}
		return sum / float64(max(n, 1))
	}
	o := cost{
		peers: run.Peers, peakMB: run.PeakMB,
		wallS: mean("process_wall_s_per_s", settled), cpuS: mean("process_cpu_s_per_s", settled),
		messages: mean("messages_per_peer_minute", 0), bytes: mean("sent_bytes_per_peer_s", 0),
	}
	o.startS = run.WallS - o.wallS*span.Seconds()
	return o
}

func (o cost) String() string {
	return fmt.Sprintf("%.3f s for a second of the network, %.1f s to begin, %.0f MB, %.0f messages and %.1f kB a peer and minute",
		o.wallS, o.startS, o.peakMB, o.messages, o.bytes*60/1000)
}

const costTitle = "## What a network costs"

func costSection(sizes string, table [][]cost) string {
	var b strings.Builder
	v := versions()
	fmt.Fprintf(&b, "%s\n\n`go run ./testground costs -peers %s` on %s processors, %s, %s.\n", costTitle, sizes, v["processors"], v["system"], v["go"])
	b.WriteString("Seconds are those of a network that has settled; to begin is all before.\n\n")
	b.WriteString("| | peers | s for a second of the network | times as fast as the clock | CPU s for a second | s to begin | MB | MB a peer | messages a peer and minute | bytes a peer and second |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for i, l := range loads {
		for _, o := range table[i] {
			fmt.Fprintf(&b, "| %s | %d | %.3g | %s | %.3g | %s | %.0f | %s | %.0f | %.0f |\n", l.label, o.peers,
				o.wallS, short3(1/o.wallS), o.cpuS, short3(o.startS), o.peakMB, short3(o.peakMB/float64(o.peers)), o.messages, o.bytes)
		}
	}
	return b.String()
}

func costCurves(table [][]cost) report.Curves {
	all := report.Curves{X: "peers", Panels: []report.Panel{
		{Title: "seconds for a second of the network"}, {Title: "memory, MB"}, {Title: "messages a peer and minute"},
	}}
	for i, l := range loads {
		all.Labels = append(all.Labels, l.label)
		for k, figure := range []func(cost) float64{
			func(o cost) float64 { return o.wallS }, func(o cost) float64 { return o.peakMB }, func(o cost) float64 { return o.messages },
		} {
			var line plotter.XYs
			for _, o := range table[i] {
				if v := figure(o); v > 0 {
					line = append(line, plotter.XY{X: float64(o.peers), Y: v})
				}
			}
			all.Panels[k].Lines = append(all.Panels[k].Lines, line)
		}
	}
	return all
}
