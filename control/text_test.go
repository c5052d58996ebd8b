package control

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever two texts are, what differs makes the one be the other, in as few code points as one change
// can, and pieces are whole code points.
func TestDifference(t *testing.T) {
	texts := []string{"", "a", "b", "ab", "ba", "aba", "abba", "ä", "ö", "äö", "aöä", "日本語", "日本", "本語", "𝄞", "𝄢", "a𝄞b", "a𝄢b", "aaaa", "aaa"}
	for _, have := range texts {
		for _, want := range texts {
			first, remove, insert := difference(have, want)
			runes := []rune(have)
			got := string(runes[:first]) + insert + string(runes[first+remove:])
			if got != want || !utf8.ValidString(insert) {
				t.Errorf("%q becomes %q, not %q", have, got, want)
			}
			if have == want && remove+len(insert) > 0 {
				t.Errorf("%q: %d and %q are changed", have, remove, insert)
			}
			if n := len(runes) - remove; n < common(runes, []rune(want)) {
				t.Errorf("%q to %q: %d code points stay", have, want, n)
			}
		}
	}
	long := strings.Repeat("日", pieceBytesMax)
	for whole := ""; ; {
		piece := pieceOf(long[len(whole):])
		if !utf8.ValidString(piece) || len(piece) > pieceBytesMax || piece == "" {
			t.Fatalf("a piece of %d bytes", len(piece))
		}
		if whole += piece; whole == long {
			return
		}
	}
}

// common is how many code points two texts have in common, at their beginning and their end together.
func common(a, b []rune) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	front := n
	for n-front < len(a)-front && n-front < len(b)-front && a[len(a)-1-(n-front)] == b[len(b)-1-(n-front)] {
		n++
	}
	return n
}
