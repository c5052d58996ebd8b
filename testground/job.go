package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/testground/machine"
	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/scenario"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// job is one run as it was ordered.
type job struct {
	scenario scenario.Scenario
	floor    string           // node if empty
	machine  machine.Scenario // on that floor
	peers    int
	seed     uint64
	values   map[string]string
	limit    time.Duration // of the network's time; 0: the scenario's own
	net      string        // one of sim.MediumNames, the first if empty
	real     bool          // time
	procs    bool          // peers are daemons
	daemon   string        // what they run; p2pnode of this module if empty
	dir      string        // for what they keep; of a run's process only
	profile  string        // file for a CPU profile of the run's process; none if empty

	exact    bool   // with a runtime that the seed decides
	schedule uint64 // of goroutines, if not 0: needs exact
}

// args is the command line of the job, without the command.
func (j job) args() []string {
	a := []string{j.scenario.Name, "-peers", strconv.Itoa(j.peers), "-seed", strconv.FormatUint(j.seed, 10)}
	for _, name := range slices.Sorted(maps.Keys(j.values)) {
		a = append(a, "-set", name+"="+j.values[name])
	}
	if j.limit > 0 {
		a = append(a, "-limit", j.limit.String())
	}
	if j.onMachines() {
		a = append(a, "-floor", j.floor)
	}
	if j.medium() != sim.MediumNames()[0] {
		a = append(a, "-net", j.net)
	}
	if j.real {
		a = append(a, "-real")
	}
	if j.procs {
		a = append(a, "-procs")
	}
	if j.daemon != "" {
		a = append(a, "-daemon", j.daemon)
	}
	if j.profile != "" {
		a = append(a, "-cpuprofile", j.profile)
	}
	if j.exact {
		a = append(a, "-det")
	}
	if j.schedule != 0 {
		a = append(a, "-schedule", strconv.FormatUint(j.schedule, 10))
	}
	return a
}

// String is a command that runs the job.
func (j job) String() string {
	text := "go run ./testground run"
	for _, a := range j.args() {
		if strings.ContainsAny(a, " \t\n'\"\\$`*?&|;<>()[]{}~#!") || a == "" {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		text += " " + a
	}
	return text
}

// medium names what the peers talk over.
func (j job) medium() string { return cmp.Or(j.net, sim.MediumNames()[0]) }

// flags are those that say what is run.
func (j *job) flags(set *flag.FlagSet) {
	set.IntVar(&j.peers, "peers", j.scenario.Peers, "how many `peers`")
	set.Uint64Var(&j.seed, "seed", 1, "of all random choices")
	set.DurationVar(&j.limit, "limit", 0, "most `time` of the network (default the scenario's: "+j.scenario.TimeMax.String()+")")
	set.StringVar(&j.floor, "floor", j.floorName(), floorDoc)
	set.StringVar(&j.net, "net", j.medium(), "`network` that peers talk over: mem, a model of connections, or quic, QUIC over packets")
	set.BoolVar(&j.real, "real", false, "real time instead of virtual: for a debugger, and to try; latencies are then those of this machine too")
	set.BoolVar(&j.procs, "procs", false, "peers are p2pnode daemons, one process each: in network namespaces for root on Linux, else on loopback")
	set.StringVar(&j.daemon, "daemon", "", "with -procs: `file` of the daemons' program (default p2pnode, built from this module)")
	set.StringVar(&j.profile, "cpuprofile", "", "`file` for a CPU profile of the run, in which samples have the label peer")
	set.BoolVar(&j.exact, "det", false, "the same run to the bit for a seed, with a patched Go runtime")
	set.Uint64Var(&j.schedule, "schedule", 0, "with -det: `seed` of the order of goroutines")
	set.Func("set", "parameter as `name=value`; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want name=value")
		}
		j.values[name] = value
		return nil
	})
}

// findJob begins a job by the name of its scenario.
func findJob(command string, args []string) (job, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && args[0] != "-h" && args[0] != "-help" && args[0] != "--help" {
		return job{}, usageError{fmt.Errorf("%s: want a scenario; testground list has them", command)}
	}
	name := args[0]
	if strings.HasPrefix(name, "-") { // help, which is of any
		name = machine.Scenarios()[0].Name
	}
	return findOn(floorOf(args), name)
}

// check refuses a job that cannot be run.
func (j job) check() error {
	switch {
	case j.peers < 2:
		return usageError{fmt.Errorf("%s: %d peers, want 2 at least", j.scenario.Name, j.peers)}
	case j.peers > peersMax:
		return usageError{fmt.Errorf("%s: %d peers, want %d at most", j.scenario.Name, j.peers, peersMax)}
	case j.limit < 0:
		return usageError{fmt.Errorf("%s: a limit of %v, want more than 0", j.scenario.Name, j.limit)}
	case j.schedule != 0 && !j.exact:
		return usageError{errors.New("-schedule needs -det")}
	case j.real && j.exact:
		return usageError{errors.New("-real and -det: no two runs in real time are the same")}
	}
	if j.onMachines() {
		return j.checkMachines()
	}
	if _, err := sim.MediumOf(j.medium()); err != nil {
		return usageError{fmt.Errorf("-net: %w", err)}
	}
	if err := j.checkProcs(); err != nil {
		return usageError{err}
	}
	if _, err := scenario.NewRun(j.scenario, nil, j.peers, j.values); err != nil {
		return usageError{err}
	}
	return nil
}

// peersMax is how many addresses there are for peers.
const peersMax = 50_000

// jobOf is the job that a saved run was.
func jobOf(run measure.Run) (job, error) {
	on, err := findOn(cmp.Or(run.Floor, floorNode), run.Scenario)
	if err != nil {
		return job{}, err
	}
	s := on.scenario
	j := job{
		scenario: s, peers: run.Peers, seed: run.Seed, values: make(map[string]string),
		limit: time.Duration(run.LimitS * float64(time.Second)), exact: run.Exact, schedule: run.Schedule,
		net: run.Net, real: run.Real, procs: run.Procs,
	}
	j.floor, j.machine, j.exact = on.floor, on.machine, j.exact && !on.onMachines()
	maps.Copy(j.values, run.Set)
	return j, j.check()
}

// record is the job as run.json has it, before it has run.
func (j job) record() measure.Run {
	run := measure.Run{
		Scenario: j.scenario.Name, Peers: j.peers, Seed: j.seed, Set: j.values, LimitS: j.limit.Seconds(),
		Net: j.medium(), Real: j.real, Procs: j.procs, Exact: j.exact, Schedule: j.schedule, Command: j.String(), Versions: versions(),
	}
	if r, err := scenario.NewRun(j.scenario, nil, j.peers, j.values); err == nil {
		run.Params = r.Values()
	}
	if j.onMachines() {
		j.recordMachines(&run)
	}
	return run
}

// parseJob reads a whole job and nothing else.
func parseJob(args []string, errs io.Writer) (job, error) {
	j, err := findJob(childCommand, args)
	if err != nil {
		return job{}, err
	}
	set := flag.NewFlagSet(childCommand, flag.ContinueOnError)
	set.SetOutput(errs)
	j.flags(set)
	set.StringVar(&j.dir, "dir", "", "`folder` for what daemons keep")
	if err := set.Parse(args[1:]); err != nil {
		return job{}, err
	}
	return j, j.check()
}
