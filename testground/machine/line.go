package machine

import (
	"math"
	"math/rand/v2"
	"time"
)

// Line is what connects a peer to the world. The zero Line has no limits.
type Line struct {
	Up, Down int           // bits/s; 0 is unlimited
	Jitter   time.Duration // added to the latency of what goes over it, at most
	Loss     float64       // share of packets; each costs a round trip
	// Drop is the share of messages that never arrive, though all others do: as
	// when a receiver resets the stream that one is on.
	Drop float64
}

const (
	packetSize = 1400 // bytes
	// sliceTime is how long the uplink belongs to a lane until it is another's turn.
	sliceTime = 10 * time.Millisecond
	sliceMax  = 64 << 10 // bytes
	// queueTime is what routers on the way hold, and flightMin the least that a
	// lane may have on the way.
	queueTime = 50 * time.Millisecond
	flightMin = 64 << 10  // bytes
	flightMax = 16 << 20  // bytes; the largest window of the usual multiplexers
	farthest  = time.Hour // what no transfer is taken to exceed
)

// duration is how long size bytes take.
func duration(size, rate int) time.Duration {
	if rate <= 0 {
		return 0
	}
	return min(farthest, time.Duration(float64(size)*8/float64(rate)*float64(time.Second)))
}

// slice is how many bytes are sent before another lane has its turn.
func (l Line) slice() int {
	if l.Up <= 0 {
		return sliceMax
	}
	return min(max(int(float64(l.Up)/8*sliceTime.Seconds()), packetSize), sliceMax)
}

// retries is how many round trips losses cost on the way from a to b.
func retries(a, b Line, size int, rng *rand.Rand) int {
	arrives := (1 - a.Loss) * (1 - b.Loss)
	if arrives >= 1 {
		return 0
	}
	all := math.Pow(arrives, float64((size+packetSize-1)/packetSize))
	n := 0
	for n < retriesMax && rng.Float64() >= all {
		n++
		all = arrives // what was lost is sent again alone
	}
	return n
}

const retriesMax = 8

// Ring is a latency: regions lie on a ring, 25 ms from one to the next, and each
// pair of peers has up to 20 ms of its own.
func Ring(from, to *Peer) time.Duration {
	steps := (from.region - to.region + Regions) % Regions
	steps = min(steps, Regions-steps)
	a, b := uint64(min(from.number, to.number)), uint64(max(from.number, to.number))
	own := rand.NewPCG(a, b).Uint64() % 20_000
	return 5*time.Millisecond + time.Duration(steps)*25*time.Millisecond + time.Duration(own)*time.Microsecond
}

// Regions is how many regions Ring knows; they are counted from 0.
const Regions = 8
