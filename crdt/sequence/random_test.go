package sequence_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// story is a random history: what was committed, by whom, after what.
type story []chapter

type chapter struct {
	commit
	parents []int
}

// invent makes a history of some people who write, merge, remove each other and now and then
// name positions that are not there.
func invent(rng *rand.Rand, size int) story {
	var s story
	people := 2 + rng.IntN(3)
	tips := make([][]int, people)
	linear, liars, removals := rng.Float64(), rng.IntN(3) == 0, rng.IntN(3) == 0
	who := 0
	for i := range 1 + rng.IntN(size) {
		if rng.Float64() >= linear {
			who = rng.IntN(people)
		}
		if rng.IntN(4) == 0 && i > 0 {
			tips[who] = append(tips[who], tips[rng.IntN(people)]...)
		}
		if rng.IntN(20) == 0 && i > 0 {
			tips[who] = []int{rng.IntN(i)} // equivocation
		}
		slices.Sort(tips[who])
		c := chapter{commit{name: name{string(rune('a' + who)), i}}, slices.Compact(tips[who])}
		if removals && rng.IntN(8) == 0 {
			c.removes = string(rune('a' + rng.IntN(people)))
		}
		pos := rng.IntN(6)
		for range 1 + rng.IntN(3) {
			switch rng.IntN(6) {
			case 0, 1:
				c.patches = append(c.patches, patch{pos: pos, deleted: 1})
				pos = max(0, pos-rng.IntN(2))
			default:
				c.patches = append(c.patches, patch{pos: pos, inserted: string(rune('a' + rng.IntN(26)))})
				pos += rng.IntN(2)
			}
			if rng.IntN(4) == 0 {
				pos = rng.IntN(6)
			}
			if liars && rng.IntN(4) == 0 {
				pos += rng.IntN(20)
			}
		}
		s = append(s, c)
		tips[who] = []int{i}
	}
	return s
}

// tell applies a history to a doc, which merges after each commit with some probability.
func (s story) tell(rng *rand.Rand, probability float64) *doc {
	d := new(doc)
	for _, c := range s {
		d.add(c.commit, c.parents...)
		if rng.Float64() < probability {
			d.merge()
		}
	}
	d.merge()
	return d
}

// shuffle is the same history with the commits in another order, and where each is in it.
func (s story) shuffle(rng *rand.Rand) story {
	var out story
	at := make(map[int]int)
	for len(out) < len(s) {
		var ready []int
		for i, c := range s {
			_, done := at[i]
			if !done && !slices.ContainsFunc(c.parents, func(p int) bool { _, ok := at[p]; return !ok }) {
				ready = append(ready, i)
			}
		}
		i := ready[rng.IntN(len(ready))]
		c := s[i]
		c.parents = slices.Clone(c.parents)
		for k, p := range c.parents {
			c.parents[k] = at[p]
		}
		slices.Sort(c.parents)
		at[i] = len(out)
		out = append(out, c)
	}
	return out
}

func (s story) String() string {
	text := ""
	for i, c := range s {
		text += fmt.Sprintf("\n%d by %s after %v: %v %s", i, c.agent, c.parents, c.patches, c.removes)
	}
	return text
}

// oracle has been told the history.
func (s story) oracle() *oracle {
	var commits []commit
	o := &oracle{before: func(a, b int) bool { return commits[a].before(commits[b].name) }}
	o.void = func(version []int) []int { return void(&o.graph, commits, version) }
	for _, c := range s {
		commits = append(commits, c.commit)
		o.commit(c.parents, c.patches)
	}
	return o
}

// read is what the oracle makes of the history.
func (s story) read() string {
	o := s.oracle()
	var text []rune
	for _, l := range o.read(o.graph.Heads()) {
		text = append(text, l.char)
	}
	return string(text)
}

func checkStory(t *testing.T, seed uint64, size int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	s := invent(rng, size)
	want := s.read()
	for _, probability := range []float64{0, 0.3, 1} {
		for _, h := range []story{s, s.shuffle(rng)} {
			d := h.tell(rng, probability)
			if got := string(d.text); got != want {
				t.Fatalf("seed %d, merged with probability %v: got %q, want %q:%v", seed, probability, got, want, h)
			}
			if d.seq.Len() != len(d.text) {
				t.Fatalf("seed %d: length %d of %q", seed, d.seq.Len(), got(d))
			}
		}
	}
}

func got(d *doc) string { return string(d.text) }

// Any history, in any order and in any parts, reads as the oracle says.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(1200) {
		checkStory(t, seed, 5+int(seed)/40)
	}
}

func FuzzHistories(f *testing.F) {
	f.Add(uint64(1), uint8(10))
	f.Fuzz(func(t *testing.T, seed uint64, size uint8) {
		checkStory(t, seed, 1+int(size)%64)
	})
}
