//go:build !simdet

package det

import (
	"testing"
	"time"
)

// Exact tells whether this program has the patched runtime.
const Exact = false

// Seed makes all that follows in the test's bubbles depend on seed alone. With
// schedule other than 0, the order in which goroutines run, and what the runtime
// draws, depend on that instead: the same network under another schedule. Call it
// right before the bubble. Without the patched runtime it does nothing.
func Seed(t *testing.T, seed, schedule uint64) {}

// State is that of the bubble's random generator: it differs if anything has drawn
// once more or less. Without the patched runtime it is 0.
func State() uint64 { return 0 }

// Skew sets by how much the clock of a peer is ahead: what time.Now tells goroutines
// that have its number, from 0, as their PeerLabel. Timers, and what has passed between
// two times, go by the bubble's own time, as on a machine whose clock is wrong. A peer's
// number is the same peer in all of the process. Without the patched runtime it returns
// ErrPlain.
func Skew(peer int, by time.Duration) error { return ErrPlain }
