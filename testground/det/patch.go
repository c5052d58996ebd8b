package det

// patch is one change to a file of the standard library. The anchor stands in the file
// exactly once, or the file is not the one the change was made for.
type patch struct {
	file   string // below GOROOT/src
	anchor string
	with   string
}

// patches are all changes, in the order in which they are applied.
func patches() []patch {
	return []patch{
		{"runtime/rand.go", "\t\"internal/goarch\"\n", "\t\"internal/goarch\"\n\t\"internal/runtime/atomic\"\n\t\"internal/runtime/pprof/label\"\n"},
		// The process's own seed: of hashes, and of what is drawn before Seed.
		{"runtime/rand.go", "\tglobalRand.state.Init(*seed)\n", "\t*seed = [32]byte{'t', 'e', 's', 't', 'g', 'r', 'o', 'u', 'n', 'd'}\n\tglobalRand.state.Init(*seed)\n"},
		// Maps, math/rand, select, timers: one generator for the bubble, another for
		// the rest, which wakes when the machine likes.
		{"runtime/rand.go", "\tmp := getg().m\n\tc := &mp.chacha8\n", "\treturn testgroundRand()\n\tmp := getg().m\n\tc := &mp.chacha8\n"},
		{"runtime/rand.go", "//go:linkname maps_rand internal/runtime/maps.rand\n", generators + "//go:linkname maps_rand internal/runtime/maps.rand\n"},

		// Which of several ready channels a select takes.
		{"runtime/select.go", "\t\tj := cheaprandn(uint32(norder + 1))\n", "\t\tj := randn(uint32(norder + 1))\n"},

		// Which type assertions and switches have a cache, and how large it is: it is
		// in the heap like all else.
		{"runtime/iface.go", "\tif cheaprand()&1023 != 0 {\n\t\t// Only bother updating the cache ~1 in 1000 times.\n\t\treturn tab\n", "\tif rand()&1023 != 0 {\n\t\treturn tab\n"},
		{"runtime/iface.go", "\tif cheaprand()&1023 != 0 {\n\t\t// Only bother updating the cache ~1 in 1000 times.\n\t\t// This ensures", "\tif rand()&1023 != 0 {\n\t\t// This ensures"},
		{"runtime/iface.go", "\toldC := (*abi.TypeAssertCache)(atomic.Loadp(unsafe.Pointer(&s.Cache)))\n\n\tif cheaprand()&uint32(oldC.Mask)", "\toldC := (*abi.TypeAssertCache)(atomic.Loadp(unsafe.Pointer(&s.Cache)))\n\n\tif rand()&uint64(oldC.Mask)"},
		{"runtime/iface.go", "\tif cheaprand()&uint32(oldC.Mask)", "\tif rand()&uint64(oldC.Mask)"},

		// Which of several timers of the same time is first.
		{"runtime/time.go", "\t\t\tt.rand = cheaprand()\n", "\t\t\tt.rand = uint32(rand())\n"},

		// A mutex is handed over in another way to those who have waited for a
		// millisecond of the machine's time.
		{"runtime/sema.go", "func internal_sync_nanotime() int64 {\n", "func internal_sync_nanotime() int64 {\n\tif bubble := getg().bubble; bubble != nil {\n\t\treturn bubble.now\n\t}\n"},

		// Nobody is preempted for having run too long by the machine's clock.
		{"runtime/proc.go", "const haveSysmon = GOARCH != \"wasm\"\n", "const haveSysmon = false\n"},
		// One queue, in order: whether a goroutine is next does not depend on how
		// many others, of the runtime's own, have run before.
		{"runtime/proc.go", "\tif pp.schedtick%61 == 0 && !sched.runq.empty() {\n", "\tif false && !sched.runq.empty() {\n"},
		{"runtime/proc.go", "func runqput(pp *p, gp *g, next bool) {\n", "func runqput(pp *p, gp *g, next bool) {\n\ttestgroundPut(gp)\n\treturn\n"},

		// Garbage is collected when all wait for time to pass: nobody can tell.
		{"runtime/synctest.go", "\tfor {\n\t\tunlock(&bubble.mu)\n\t\tsystemstack(func() {\n", "\tfor {\n\t\tunlock(&bubble.mu)\n\t\ttestgroundCollect()\n\t\tsystemstack(func() {\n"},
		// If it cannot wait so long, by the size of the heap and not by the clock.
		{"runtime/mgcpacer.go", "\trunway := c.runway.Load()\n", "\trunway := uint64(0)\n"},

		// How many threads there are depends on how fast the machine puts them to
		// sleep. What they need is set aside at once, lest it moves what comes after:
		// maps with keys that are pointers are in the order of addresses.
		{"runtime/proc.go", "\tmp := &new(mPadded).m\n", "\tmp := &testground.ms.get(func() *mPadded { return new(mPadded) }).m\n"},
		{"runtime/proc.go", "func malg(stacksize int32) *g {\n", systemStacks},
		{"runtime/runtime2.go", "new(atomic.Pointer[m])", "testground.weak.get(func() *atomic.Pointer[m] { return new(atomic.Pointer[m]) })"},

		// A peer's clock may be wrong. As on a real machine, what has passed between
		// two times is told by a clock of its own, which is right: without it, a time
		// that one peer's goroutine has set could not be compared by another's.
		{"runtime/time.go", "\t\tsec = bubble.now / (1000 * 1000 * 1000)\n\t\tnsec = int32(bubble.now % (1000 * 1000 * 1000))\n", "\t\twall := bubble.now + testgroundOffset(getg())\n\t\tsec = wall / (1000 * 1000 * 1000)\n\t\tnsec = int32(wall % (1000 * 1000 * 1000))\n"},
		{"runtime/time.go", "\t\treturn sec, nsec, 0\n", "\t\treturn sec, nsec, bubble.now\n"},
		// Else the second clock would begin with the process.
		{"time/time.go", "var startNano int64 = runtimeNano() - 1\n", "var startNano int64 = 0\n"},
	}
}

// systemStacks tells the stacks of threads, which are the largest ever asked for,
// from those of goroutines.
const systemStacks = `func malg(stacksize int32) *g {
	switch {
	case stacksize > 16384:
		return testground.signalStacks.get(func() *g { return testgroundMalg(stacksize) })
	case stacksize == 16384:
		return testground.stacks.get(func() *g { return testgroundMalg(stacksize) })
	}
	return testgroundMalg(stacksize)
}

func testgroundMalg(stacksize int32) *g {
`

// generators is what the changes call.
const generators = `// testground holds the states of generators. GOMAXPROCS is 1.
var testground struct {
	bubble  uint64
	outside uint64
	order   uint64
	fuzz    bool
	offsets []int64 // of peers' clocks, in nanoseconds

	ms           testgroundPool[mPadded]
	weak         testgroundPool[atomic.Pointer[m]]
	stacks       testgroundPool[g]
	signalStacks testgroundPool[g]
}

// testgroundPool holds what threads will need.
type testgroundPool[T any] struct {
	made bool
	next int
	all  [32]*T
}

func (p *testgroundPool[T]) get(make func() *T) *T {
	if !p.made {
		p.made = true
		for i := range p.all {
			p.all[i] = make()
		}
	}
	if p.next == len(p.all) {
		return make()
	}
	p.next++
	return p.all[p.next-1]
}

//go:nosplit
func testgroundNext(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15 // splitmix64
	x := *state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

//go:nosplit
func testgroundRand() uint64 {
	if gp := getg(); gp.bubble != nil {
		return testgroundNext(&testground.bubble)
	}
	return testgroundNext(&testground.outside)
}

// testgroundPut makes gp the last to run; one in eight of those in a bubble, if
// the schedule has a seed, the first.
func testgroundPut(gp *g) {
	lock(&sched.lock)
	if testground.fuzz && gp.bubble != nil && testgroundNext(&testground.order)%8 == 0 {
		globrunqputhead(gp)
	} else {
		globrunqput(gp)
	}
	unlock(&sched.lock)
}

// testgroundCollect collects garbage if the heap has doubled.
func testgroundCollect() {
	if gcController.heapLive.Load() >= 2*gcController.heapMarked+4<<20 {
		GC()
	}
}

//go:linkname testgroundSeed
func testgroundSeed(seed, schedule uint64) {
	testground.bubble, testground.order = seed, ^seed
	testground.fuzz = schedule != 0
	if testground.fuzz {
		testground.bubble, testground.order = schedule, ^schedule
	}
}

//go:linkname testgroundSkew
func testgroundSkew(peer int, offset int64) {
	for len(testground.offsets) <= peer {
		testground.offsets = append(testground.offsets, 0)
	}
	testground.offsets[peer] = offset
}

// testgroundOffset is that of the clock of the peer to which a goroutine belongs.
func testgroundOffset(gp *g) int64 {
	if len(testground.offsets) == 0 || gp.labels == nil {
		return 0
	}
	for _, l := range (*label.Set)(gp.labels).List {
		if l.Key == "peer" {
			peer := 0
			for i := range len(l.Value) {
				peer = 10*peer + int(l.Value[i]-'0')
			}
			if uint(peer) < uint(len(testground.offsets)) {
				return testground.offsets[peer]
			}
		}
	}
	return 0
}

//go:linkname testgroundState
func testgroundState() uint64 { return testground.bubble }

`
