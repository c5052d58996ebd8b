package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// What a run takes, in MB, as measured with bootstrap and gossip of 25 to 400 peers:
// some for the process, some for each peer, and most for each connection's end, of
// which the connection manager lets a peer have no more than connsMany for long.
const (
	baseMB     = 50
	peerMB     = 1.5
	connMB     = 0.073
	connsMany  = 70  // where all look for all, and so meet
	connsFew   = 40  // elsewhere
	quicTimes  = 2.2 // as much for each peer and connection that is real QUIC
	copies     = 2   // of what each peer holds: it, and what is not collected yet
	reserve    = 0.9 // of what is available may be taken
	unlimited  = 1 << 60
	megabyte   = 1e6
	cgroupMax  = "/sys/fs/cgroup/memory.max"
	cgroupUsed = "/sys/fs/cgroup/memory.current"
)

// estimateMB is how much memory a job takes, roughly.
func (j job) estimateMB() float64 {
	if j.onMachines() {
		return j.estimateMachinesMB()
	}
	if j.procs {
		return baseMB + float64(j.peers)*daemonMB
	}
	return j.nodesMB() * float64(100+j.gcPercent()) / (100 + gcPercent)
}

// nodesMB is how much whole nodes take, with gcPercent.
func (j job) nodesMB() float64 {
	conns, limit, heldMB := connsFew, math.MaxInt, 0.0
	for _, p := range j.scenario.AllParams() {
		v := p.Default
		if given, ok := j.values[p.Name]; ok {
			v = given
		}
		switch p.Name {
		case "finds":
			conns = max(conns, connsMany)
		case "conns":
			if kept, err := strconv.Atoi(v); err == nil && kept > 0 {
				limit = 3 * kept
			}
		case "size": // of a file, which all may come to have
			if size, err := strconv.ParseFloat(v, 64); err == nil && size > 0 {
				heldMB = copies * size / megabyte
			}
		}
	}
	n := float64(j.peers)
	each := peerMB + connMB*min(n-1, float64(min(conns, limit)))
	if j.medium() == "quic" {
		each *= quicTimes
	}
	return baseMB + n*(each+heldMB)
}

// Networks that would take gcLargeMB or more have their garbage collected sooner, which
// trades time for memory.
const (
	gcPercent      = 75 // not Go's own 100: a tenth for a tenth
	gcLargePercent = 20 // a third for a third
	gcLargeMB      = 4000
)

// gcPercent is after how much garbage it is collected.
func (j job) gcPercent() int {
	if !j.onMachines() && !j.procs && j.nodesMB() >= gcLargeMB {
		return gcLargePercent
	}
	return gcPercent
}

// A run that has taken more than memoryTimes as much as was estimated, and memoryMore, has
// peers that keep what they should not: memory per peer is bounded.
const (
	memoryTimes = 3
	memoryMore  = 200 // MB
)

// checkMemory fails a run whose peers have taken too much.
func (j job) checkMemory(peakMB float64) error {
	if j.procs || versions()["race detector"] != "" {
		return nil // of which the memory is elsewhere, or the detector's
	}
	if most := memoryTimes*j.estimateMB() + memoryMore; peakMB > most {
		return fmt.Errorf("%d peers took %.0f MB, %.1f MB each, and may take %.0f MB", j.peers, peakMB, peakMB/float64(j.peers), most)
	}
	return nil
}

// admit says what a job is about to take, and refuses it if there is less.
func (c cli) admit(j job, o outputs, atOnce int) error {
	available := availableMB()
	if o.force {
		return nil
	}
	if err := enoughMemory(j, atOnce, available); err != nil {
		return err
	}
	text := fmt.Sprintf("%s, %d peers: about %.0f MB", j.scenario.Name, j.peers, j.estimateMB()*float64(atOnce))
	if available < unlimited {
		text += fmt.Sprintf(" of %.0f MB available", available)
	}
	fmt.Fprintln(c.errs, text)
	return nil
}

// enoughMemory refuses jobs that at once take more than there is, with the numbers.
func enoughMemory(j job, atOnce int, availableMB float64) error {
	need := j.estimateMB() * float64(atOnce)
	if need <= availableMB*reserve {
		return nil
	}
	what := fmt.Sprintf("%d peers", j.peers)
	if atOnce > 1 {
		what = fmt.Sprintf("%d runs at once of %s", atOnce, what)
	}
	return usageError{fmt.Errorf("%s take about %.0f MB, and %.0f MB are available; -force tries it", what, need, availableMB)}
}

// availableMB is how much memory this process and its children may still take. Where
// nobody tells, it is without limit.
func availableMB() float64 {
	free := float64(unlimited)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		free = memAvailableMB(string(text))
	}
	most, errMost := readNumber(cgroupMax)
	used, errUsed := readNumber(cgroupUsed)
	if errMost == nil && errUsed == nil {
		free = min(free, (most-used)/megabyte)
	}
	return free
}

func memAvailableMB(meminfo string) float64 {
	for line := range strings.Lines(meminfo) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "MemAvailable:" {
			if kb, err := strconv.ParseFloat(words[1], 64); err == nil {
				return kb * 1024 / megabyte
			}
		}
	}
	return unlimited
}

func readNumber(name string) (float64, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64) // "max" is none
}
