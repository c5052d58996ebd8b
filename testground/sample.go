package main

import (
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/sim"
)

const (
	// samplePeriod is how often peers are looked at, in the network's time, if there are
	// no more than samplePeers of them; more are looked at less often.
	samplePeriod = 5 * time.Second
	samplePeers  = 100

	// ofProcess begins the names of series about the process, not the network.
	ofProcess = "process_"
)

// sampler looks at all peers, and at the process that they are in, now and then.
type sampler struct {
	watch
	period time.Duration
	last   time.Duration // of the network's time
	wall   time.Duration
	cpu    float64
	bytes  map[*sim.Peer][2]int64 // out, in
}

func newSampler(w watch) *sampler {
	every := time.Duration(1 + w.run.Peers/samplePeers)
	return &sampler{watch: w, period: every * samplePeriod, wall: wallTime(), bytes: make(map[*sim.Peer][2]int64)}
}

// look takes the samples that are due.
func (s *sampler) look(at time.Duration) {
	span := (at - s.last).Seconds()
	if at-s.last < s.period {
		return
	}
	s.last = at
	s.tell.event(event{At: at, Messages: s.net.Messages()})
	add := s.run.Measure.Add
	for _, p := range s.net.Up() {
		nic := p.NIC()
		if nic == nil {
			continue
		}
		before, now := s.bytes[p], nic.Traffic()
		s.bytes[p] = [2]int64{now.BytesOut, now.BytesIn}
		// A crash takes the interface and its counts with it.
		if out, in := now.BytesOut-before[0], now.BytesIn-before[1]; out >= 0 && in >= 0 {
			add("peer_out_bytes_per_s", at, p.Number(), float64(out)/span)
			add("peer_in_bytes_per_s", at, p.Number(), float64(in)/span)
		}
		add("peer_connections", at, p.Number(), float64(len(p.Connected())))
	}
	if det.Exact {
		return // the process is another each time
	}
	wall, cpu := wallTime(), cpuSeconds()
	add(ofProcess+"heap_mb", at, -1, heapMB())
	add(ofProcess+"cpu_s_per_s", at, -1, (cpu-s.cpu)/span)
	add(ofProcess+"wall_s_per_s", at, -1, (wall-s.wall).Seconds()/span)
	s.wall, s.cpu = wall, cpu
}

// heapMB is what is in the heap, garbage included.
func heapMB() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / megabyte
}

// cpuSeconds is what the process has used of the processors.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // it has no way to fail
	}
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Seconds()
}
