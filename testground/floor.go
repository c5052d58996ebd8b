package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/testground/machine"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// Floors: networks of whole nodes, and the pure machines alone, of which there can be
// very many.
const (
	floorNode    = "node"
	floorMachine = "machine"

	floorDoc = "`what` is run: node, whole nodes, or machine, the pure machines alone, which are always exact"
)

// machineMB is what a machine takes with its connections, machineBlockB what it takes
// to have or want a block: its bytes are there once for all.
const (
	machineMB     = 0.06
	machineBlockB = 3000
)

// onMachines tells whether the job is for the machines' floor.
func (j job) onMachines() bool { return j.floor == floorMachine }

// floorOf finds -floor among arguments that have not been parsed: it decides what
// scenarios there are, and so what all other flags mean.
func floorOf(args []string) string {
	floor := floorNode
	for i, a := range args {
		name, value, set := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case name != "floor" || !strings.HasPrefix(a, "-"):
		case set:
			floor = value
		case i+1 < len(args):
			floor = args[i+1]
		}
	}
	return floor
}

// findOn finds a scenario on a floor.
func findOn(floor, name string) (job, error) {
	j := job{floor: floor, values: make(map[string]string)}
	switch floor {
	case floorNode:
		s, err := scenario.Find(name)
		if err != nil {
			return job{}, usageError{err}
		}
		j.scenario = s
	case floorMachine:
		m, found := machine.Find(name)
		if !found {
			var names []string
			for _, s := range machine.Scenarios() {
				names = append(names, s.Name)
			}
			err := fmt.Errorf("no scenario %q on the machines' floor; did you mean %s? testground list -floor machine has them", name, scenario.Nearest(name, names))
			return job{}, usageError{err}
		}
		j.machine, j.scenario = m, story(m)
	default:
		floors := []string{floorNode, floorMachine}
		return job{}, usageError{fmt.Errorf("-floor: there is no %q; did you mean %s?", floor, scenario.Nearest(floor, floors))}
	}
	return j, nil
}

// story is what a machines' scenario has in common with others.
func story(m machine.Scenario) scenario.Scenario {
	s := scenario.Scenario{Name: m.Name, Doc: m.Doc, Peers: m.Peers, TimeMax: m.TimeMax}
	for _, p := range m.AllParams() {
		s.Params = append(s.Params, scenario.Param(p))
	}
	return s
}

// checkMachines refuses what the machines' floor does not have.
func (j job) checkMachines() error {
	switch {
	case j.exact:
		return usageError{errors.New("-det is for whole nodes: runs of machines are always exact")}
	case j.medium() != sim.MediumNames()[0] || j.real || j.procs:
		return usageError{errors.New("-net, -real and -procs are for whole nodes: machines have no network but their world's")}
	}
	if _, err := j.machine.Values(j.values); err != nil {
		return usageError{err}
	}
	return nil
}

// recordMachines completes the record of a run of machines.
func (j job) recordMachines(run *measure.Run) {
	run.Floor, run.Net, run.Exact = j.floor, "", true
	if params, err := j.machine.Values(j.values); err == nil {
		run.Params = params
	}
}

// runMachines is the job on the machines' floor.
func (j job) runMachines(tell *teller) {
	told := time.Duration(0)
	res, err := j.machine.RunWith(machine.RunOptions{
		Seed: j.seed, Peers: j.peers, Params: j.values, TimeMax: j.limit, Follow: tell,
		Tick: func(w *machine.World) {
			if now := wallTime(); now-told >= tellTime {
				told = now
				tell.event(event{At: w.Now(), Up: len(w.Up())})
			}
		},
	})
	tell.event(event{At: res.Time, Text: fmt.Sprintf("%d events, %d steps of machines, %d blocks delivered", res.Events, res.Tally.Steps, res.Tally.Delivered)})
	end := event{At: res.Time, End: true, Hash: res.Trace}
	if err != nil {
		end.Error = err.Error()
	}
	tell.event(end)
}

// list shows the scenarios of a floor.
func (c cli) list(_ context.Context, args []string) error {
	set := flag.NewFlagSet("list", flag.ContinueOnError)
	floor := set.String("floor", floorNode, floorDoc)
	rest, err := c.parse(set, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Errorf("list: unexpected %q", rest[0])}
	}
	if *floor == floorMachine {
		for _, m := range machine.Scenarios() {
			c.listOne(story(m), story(m).Params, "")
		}
		return nil
	}
	if _, err := findOn(*floor, scenario.All()[0].Name); err != nil {
		return err
	}
	for _, s := range scenario.All() {
		note := ""
		if _, found := machine.Find(s.Name); found {
			note = "; also -floor machine"
		}
		c.listOne(s, s.AllParams(), note)
	}
	var others []string
	for _, m := range machine.Scenarios() {
		if _, err := scenario.Find(m.Name); err != nil {
			others = append(others, m.Name)
		}
	}
	fmt.Fprintln(c.out, "With -floor machine alone:", strings.Join(slices.Sorted(slices.Values(others)), ", "))
	return nil
}

// listOne shows a scenario.
func (c cli) listOne(s scenario.Scenario, params []scenario.Param, note string) {
	fmt.Fprintf(c.out, "%-16s %s (%d peers%s)\n", s.Name, s.Doc, s.Peers, note)
	for _, p := range params {
		fmt.Fprintf(c.out, "    %-12s %-8s %s\n", p.Name, p.Default, p.Doc)
	}
}

// floorName is the floor as flags have it.
func (j job) floorName() string { return cmp.Or(j.floor, floorNode) }

// estimateMachinesMB is how much memory the machines take, roughly.
func (j job) estimateMachinesMB() float64 {
	params, err := j.machine.Values(j.values)
	if err != nil {
		return 0 // check tells
	}
	size, errSize := strconv.ParseFloat(params["size"], 64)
	block, errBlock := strconv.ParseFloat(params["block"], 64)
	blocks := 0.0
	if errSize == nil && errBlock == nil && block > 0 {
		blocks = size / block
	}
	return baseMB + float64(j.peers)*(machineMB+blocks*machineBlockB/megabyte) + size/megabyte
}
