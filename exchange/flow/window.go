// Package flow decides how much may be under way: Window, of what is asked of a peer, and
// of what is sent to all, Slots, by what the streams take, and Uplink, by what arrives. If
// the user has set limits, Pace and Appetite do so for what is sent, and what is asked for.
//
// It moves nothing and knows no peer: it is told the time and what was measured, and says
// how much.
//
// Invariant: neither grows without a rate that was measured to rise, nor beyond its limit.
package flow

import "time"

// Limits of a window.
const (
	WindowStart = 1 << 20  // bytes; fills 160 Mbit/s at 50 ms from the first moment
	WindowMax   = 16 << 20 // bytes
	windowMin   = 64 << 10 // bytes, once a rate was measured
	blocksMin   = 3        // blocks a window always has room for
	blocksStart = 8        // the same before a rate was measured
	// sampleMin is the shortest time over which a rate is measured: shorter
	// ones measure bursts of the operating system.
	sampleMin = 50 * time.Millisecond
	// sampleBlocks is how many blocks a sample holds at least, unless they are
	// slow to come: with fewer, the one that was half there already counts double.
	sampleBlocks = 4
	// flatMax is how many samples in a row must show no growth to end slow start.
	flatMax = 3
)

// Window decides how many bytes may be asked of one peer at a time. It follows
// the bandwidth-delay product: rate is what was delivered while the peer was busy,
// quick to rise and slow to fall, rtt the least round trip seen. While the rate still
// grows the window doubles every round trip, as slow start does.
type Window struct {
	Size int           // bytes, WindowStart at first
	Rate float64       // bytes/s; 0 if nothing was measured yet
	RTT  time.Duration // 0 if unknown

	since  time.Time // start of the current sample
	bytes  int       // delivered in the current sample
	blocks int       // that is how many blocks
	flat   int       // samples in a row in which the rate did not grow
}

// Begin starts a sample: the peer, idle until now, was asked for something.
func (w *Window) Begin(now time.Time) { w.since, w.bytes, w.blocks = now, 0, 0 }

// Counted notes that a block is complete.
func (w *Window) Counted() { w.blocks++ }

// Delivered adds size bytes.
func (w *Window) Delivered(now time.Time, size int) {
	w.bytes += size
	span := now.Sub(w.since)
	if least := max(sampleMin, w.RTT/2); span < least || w.blocks < sampleBlocks && span < 4*least {
		return
	}
	rate := float64(w.bytes) / span.Seconds()
	if rate > 1.1*w.Rate {
		w.flat = 0
	} else {
		w.flat++
	}
	switch {
	case w.Rate == 0:
		w.Rate = rate
	case rate > w.Rate:
		w.Rate = (w.Rate + rate) / 2
	default:
		w.Rate = 0.9*w.Rate + 0.1*rate
	}
	product := int(2 * w.Rate * max(w.RTT, sampleMin).Seconds())
	if w.flat < flatMax {
		w.Size = max(w.Size, min(2*w.Size, 4*product))
	} else {
		w.Size = max(product, w.Size*3/4)
	}
	w.Size = min(max(w.Size, windowMin), WindowMax)
	w.Begin(now)
}

// RoundTrip takes a sample of the round trip time.
func (w *Window) RoundTrip(d time.Duration) {
	if d > 0 && (w.RTT == 0 || d < w.RTT) {
		w.RTT = d
	}
}

// Finish estimates how long out bytes will take to arrive.
func (w *Window) Finish(out int) time.Duration {
	rate := w.Rate
	if rate == 0 {
		rate = rateUnknown
	}
	return w.RTT + time.Duration(float64(out)/rate*float64(time.Second))
}

// Fits tells whether one more block may be asked of the peer, of whom n are already,
// which have size bytes.
func (w *Window) Fits(n, size int) bool {
	least := blocksMin
	if w.Rate == 0 {
		least = blocksStart
	}
	// The window may be overdrawn by one block: the one that is half there.
	return n < least || size < w.Size
}

// rateUnknown is what a peer is taken to deliver before it was measured, in
// bytes/s.
const rateUnknown = 1 << 20
