package rope_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/crdt/rope"
)

var alphabet = []rune("abcdefghijklmnopqrstuvwxyz \n01234äöü中文字🙂𝄞\u0301")

func randomText(rng *rand.Rand, n int) []rune {
	text := make([]rune, n)
	letters := alphabet
	if rng.IntN(2) == 0 {
		letters = letters[:30]
	}
	for i := range text {
		text[i] = letters[rng.IntN(len(letters))]
	}
	return text
}

func check(t *testing.T, rng *rand.Rand, r *rope.Rope, want []rune) {
	t.Helper()
	text := string(want)
	if got := r.String(); got != text {
		t.Fatalf("got %d bytes, want %d", len(got), len(text))
	}
	lens := []int{r.Len(rope.Runes), r.Len(rope.Bytes), r.Len(rope.UTF16)}
	if w := []int{len(want), len(text), len(utf16.Encode(want))}; !slices.Equal(lens, w) {
		t.Fatalf("lengths %v, want %v", lens, w)
	}
	from := rng.IntN(len(want) + 1)
	n := rng.IntN(len(want) - from + 1)
	if got := string(r.Append([]byte("x"), from, n)); got != "x"+string(want[from:from+n]) {
		t.Fatalf("%d from %d: got %q", n, from, got)
	}
	before := string(want[:from])
	all := []int{from, len(before), len(utf16.Encode(want[:from]))}
	for u, pos := range all {
		for v, w := range all {
			if got := r.Convert(pos, rope.Unit(u), rope.Unit(v)); got != w {
				t.Fatalf("%d of unit %d: got %d of unit %d, want %d", pos, u, got, v, w)
			}
		}
	}
}

// A rope is what a slice of code points is.
func TestRopeAgreesWithSlice(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var r rope.Rope
		var want []rune
		at := 0
		grow := 3 + rng.IntN(5)
		for i := range 1500 {
			if rng.IntN(5) == 0 {
				at = rng.IntN(len(want) + 1)
			}
			at = min(at, len(want))
			if i%500 == 400 {
				grow = rng.IntN(10)
			}
			if rng.IntN(10) < grow {
				n := 1 + rng.IntN(8)
				if rng.IntN(50) == 0 {
					n = rng.IntN(100_000)
				}
				text := randomText(rng, n)
				r.Insert(at, []byte(string(text)))
				want = slices.Insert(want, at, text...)
				at += n
			} else {
				n := min(len(want)-at, 1+rng.IntN(8))
				if rng.IntN(30) == 0 {
					n = rng.IntN(len(want) - at + 1)
				}
				r.Delete(at, n)
				want = slices.Delete(want, at, at+n)
			}
			if i%50 == 0 {
				check(t, rng, &r, want)
			}
		}
		r.Delete(0, len(want))
		check(t, rng, &r, nil)
	}
}

// Positions within a code point are where it begins.
func TestConvertWithin(t *testing.T) {
	var r rope.Rope
	r.Insert(0, []byte("a🙂b"))
	for pos, want := range []int{0, 1, 1, 1, 1, 2, 3, 3} {
		if got := r.Convert(pos, rope.Bytes, rope.Runes); got != want {
			t.Errorf("byte %d: got %d, want %d", pos, got, want)
		}
	}
	if got := r.Convert(2, rope.UTF16, rope.Bytes); got != 1 {
		t.Errorf("the second half of a surrogate pair: got byte %d, want 1", got)
	}
	if got := r.Convert(-1, rope.Runes, rope.Bytes); got != 0 {
		t.Errorf("before the text: got %d", got)
	}
}

// What is held is valid UTF-8 wherever a chunk ends.
func TestLongTextOfWideRunes(t *testing.T) {
	var r rope.Rope
	r.Insert(0, []byte(strings.Repeat("🙂", 10_000)))
	for i := range 5000 {
		r.Delete(i, 1)
	}
	if s := r.String(); !utf8.ValidString(s) || len(s) != 4*5000 {
		t.Errorf("%d bytes, valid %v", len(s), utf8.ValidString(s))
	}
}

// What is left when whole blocks are gone, from either end, can still be edited.
func TestDeleteBlocks(t *testing.T) {
	for _, fromEnd := range []bool{false, true} {
		var r rope.Rope
		r.Insert(0, []byte(strings.Repeat("x", 400_000)))
		for r.Len(rope.Runes) > 0 {
			at := 0
			if fromEnd {
				at = r.Len(rope.Runes) - 500
			}
			r.Delete(at, 500)
			r.Insert(r.Len(rope.Runes), []byte("y"))
			r.Delete(r.Len(rope.Runes)-1, 1)
		}
		if r.String() != "" {
			t.Errorf("got %q, want nothing", r.String())
		}
	}
}

func ExampleRope_Convert() {
	var r rope.Rope
	r.Insert(0, []byte("né🙂!"))
	fmt.Println(r.Convert(3, rope.Runes, rope.Bytes), r.Convert(3, rope.Runes, rope.UTF16))
	// Output: 7 4
}

func BenchmarkInsert(b *testing.B) {
	for how, jump := range map[string]bool{"typing": false, "jumping": true} {
		b.Run(how, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			var r rope.Rope
			r.Insert(0, []byte(strings.Repeat("some text ", 100_000)))
			at := 500_000
			for b.Loop() {
				if jump {
					at = rng.IntN(r.Len(rope.Runes))
				}
				r.Insert(at, []byte("x"))
				at++
			}
		})
	}
}
