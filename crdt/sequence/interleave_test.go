package sequence_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// typist writes one letter, many times, at one place.
type typist struct {
	letter string
	tip    int
	count  int
	typed  int
	how    string // forward, backward or mixed
}

// keystroke is the place of the next letter, of which the first is after "[".
func (w *typist) keystroke(rng *rand.Rand) patch {
	pos := 1
	switch w.how {
	case "forward":
		pos += w.typed
	case "mixed":
		pos += rng.IntN(w.typed + 1)
	}
	w.typed++
	return patch{pos: pos, inserted: w.letter}
}

// What people type at the same place at the same time stays together, whoever types in which
// direction, in commits of one letter, whatever the order in which these come.
func TestNoInterleaving(t *testing.T) {
	hows := []string{"forward", "backward", "mixed"}
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var people []*typist
		s := story{{commit: commit{name: name{"z", 0}, patches: []patch{{inserted: "["}, {pos: 1, inserted: "]"}}}}}
		for i := range 2 + rng.IntN(3) {
			how := hows[rng.IntN(3)]
			if seed < 3 {
				how = hows[seed]
			}
			people = append(people, &typist{letter: string(rune('a' + i)), count: 5 + rng.IntN(6), how: how})
		}
		for len(people) > 0 {
			i := rng.IntN(len(people))
			w := people[i]
			s = append(s, chapter{commit{name{w.letter, len(s)}, "", []patch{w.keystroke(rng)}}, []int{w.tip}})
			w.tip = len(s) - 1
			if w.typed == w.count {
				people = slices.Delete(people, i, i+1)
			}
		}
		text := string(s.shuffle(rng).tell(rng, rng.Float64()).text)
		var last rune
		seen := ""
		for _, r := range text {
			if r != last && strings.ContainsRune(seen, r) {
				t.Fatalf("seed %d: %q mixes what different people typed", seed, text)
			}
			seen += string(r)
			last = r
		}
		if len(text) != len(s)+1 {
			t.Fatalf("seed %d: %q has not all that was typed", seed, text)
		}
	}
}

// A gap of an old version is where the oracle finds its neighbour, or where that was.
func TestShift(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 4))
		s := invent(rng, 25)
		d := s.tell(rng, 0.3)
		o := s.oracle()
		version := o.graph.Reduce([]int{rng.IntN(len(s)), rng.IntN(len(s))})
		old := o.read(version)
		pos, left := rng.IntN(len(old)+1), rng.IntN(2) == 0
		want := o.shift(old, pos, left)
		if got := d.seq.Shift(&d.graph, d, version, pos, left); got != want {
			t.Fatalf("seed %d: gap %d (left %v) of %v: got %d, want %d in %q:%v", seed, pos, left, version, got, want, string(d.text), s)
		}
	}
}

func (o *oracle) shift(old []*leaf, pos int, left bool) int {
	if left && pos == 0 {
		return 0
	}
	heads := o.graph.Heads()
	shown := o.read(heads)
	at := 0
	for _, l := range o.walk(heads) {
		if !left && pos < len(old) && l == old[pos] {
			return at
		}
		if slices.Contains(shown, l) {
			at++
		}
		if left && l == old[pos-1] {
			return at
		}
	}
	return at
}

func ExampleSequence() {
	d := new(doc)
	draft := d.commit(name{"ann", 0}, nil, patch{inserted: "helo"})
	d.commit(name{"ann", 1}, []int{draft}, patch{pos: 3, inserted: "l"})
	d.commit(name{"bob", 0}, []int{draft}, patch{pos: 4, inserted: "!"})
	d.merge()
	fmt.Println(string(d.text))
	// Output: hello!
}
