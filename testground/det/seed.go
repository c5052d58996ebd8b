//go:build simdet

package det

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/cryptotest"
	"time"
	_ "unsafe" // for go:linkname
)

// Exact tells whether this program has the patched runtime.
const Exact = true

//go:linkname testgroundSeed runtime.testgroundSeed
func testgroundSeed(seed, schedule uint64)

//go:linkname testgroundSkew runtime.testgroundSkew
func testgroundSkew(peer int, offset int64)

//go:linkname testgroundState runtime.testgroundState
func testgroundState() uint64

// gcPercent has the runtime collect garbage by itself only if the network's time
// does not move while very much of it is made.
const gcPercent = 400

// Seed makes all that follows in the test's bubbles depend on seed alone. With
// schedule other than 0, the order in which goroutines run, and what the runtime
// draws, depend on that instead: the same network under another schedule. Call it
// right before the bubble. Without the patched runtime it does nothing.
func Seed(t *testing.T, seed, schedule uint64) {
	debug.SetGCPercent(gcPercent)
	runtime.GC() // the first starts goroutines, and others wait for them
	cryptotest.SetGlobalRandom(t, seed)
	testgroundSeed(seed, schedule)
}

// State is that of the bubble's random generator: it differs if anything has drawn
// once more or less.
func State() uint64 { return testgroundState() }

// Skew sets by how much the clock of a peer is ahead: what time.Now tells goroutines
// that have its number, from 0, as their PeerLabel. Timers, and what has passed between
// two times, go by the bubble's own time, as on a machine whose clock is wrong. A peer's
// number is the same peer in all of the process. Without the patched runtime it returns
// ErrPlain.
func Skew(peer int, by time.Duration) error {
	testgroundSkew(peer, int64(by))
	return nil
}
