//go:build !simdet

package det

import "testing"

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
