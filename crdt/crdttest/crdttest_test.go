package crdttest_test

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/crdttest"
)

var (
	first     = flag.Uint64("converge.first", 0, "the first seed")
	schedules = flag.Uint64("converge.schedules", 5000, "how many seeds")
)

// play runs a number of schedules on all processors, until one fails.
func play(t *testing.T, count uint64, o crdttest.Options) {
	t.Helper()
	var next atomic.Uint64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < count && !failed.Load(); i = next.Add(1) - 1 {
				if err := crdttest.Run(*first+i, o); err != nil {
					failed.Store(true)
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSchedules(t *testing.T) { play(t, *schedules, crdttest.Options{}) }

// Each kind of object alone, so that concurrent edits meet.
func TestKinds(t *testing.T) {
	for k := commit.Text; k <= commit.Set; k++ {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			play(t, *schedules/50, crdttest.Options{Kinds: []commit.Kind{k}, Honest: k%2 == 0})
		})
	}
}

func ExampleRun() {
	fmt.Println(crdttest.Run(1, crdttest.Options{Replicas: 3, Kinds: []commit.Kind{commit.Text}}))
	// Output: <nil>
}
