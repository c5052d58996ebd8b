package swap

import "time"

// Limits of a window.
const (
	windowStart = 1 << 20  // bytes; fills 160 Mbit/s at 50 ms from the first moment
	windowMax   = 16 << 20 // bytes
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

// window decides how many bytes may be asked of one peer at a time. It follows
// the bandwidth-delay product: rate is what was delivered while the peer was busy,
// quick to rise and slow to fall, rtt the least round trip seen. While the rate still
// grows the window doubles every round trip, as slow start does.
type window struct {
	size   int           // bytes, windowStart at first
	rate   float64       // bytes/s; 0 if nothing was measured yet
	rtt    time.Duration // 0 if unknown
	since  time.Time     // start of the current sample
	bytes  int           // delivered in the current sample
	blocks int           // that is how many blocks
	flat   int           // samples in a row in which the rate did not grow
}

// begin starts a sample: the peer, idle until now, was asked for something.
func (w *window) begin(now time.Time) { w.since, w.bytes, w.blocks = now, 0, 0 }

// counted notes that a block is complete.
func (w *window) counted() { w.blocks++ }

// delivered adds size bytes.
func (w *window) delivered(now time.Time, size int) {
	w.bytes += size
	span := now.Sub(w.since)
	if least := max(sampleMin, 2*w.rtt); span < least || w.blocks < sampleBlocks && span < 4*least {
		return
	}
	rate := float64(w.bytes) / span.Seconds()
	if rate > 1.1*w.rate {
		w.flat = 0
	} else {
		w.flat++
	}
	switch {
	case w.rate == 0:
		w.rate = rate
	case rate > w.rate:
		w.rate = (w.rate + rate) / 2
	default:
		w.rate = 0.9*w.rate + 0.1*rate
	}
	product := int(2 * w.rate * max(w.rtt, sampleMin).Seconds())
	if w.flat < flatMax {
		w.size = max(w.size, min(2*w.size, 4*product))
	} else {
		w.size = max(product, w.size*3/4)
	}
	w.size = min(max(w.size, windowMin), windowMax)
	w.begin(now)
}

// roundTrip takes a sample of the round trip time.
func (w *window) roundTrip(d time.Duration) {
	if d > 0 && (w.rtt == 0 || d < w.rtt) {
		w.rtt = d
	}
}

// finish estimates how long out bytes will take to arrive.
func (w *window) finish(out int) time.Duration {
	rate := w.rate
	if rate == 0 {
		rate = rateUnknown
	}
	return w.rtt + time.Duration(float64(out)/rate*float64(time.Second))
}

// rateUnknown is what a peer is taken to deliver before it was measured, in
// bytes/s.
const rateUnknown = 1 << 20
