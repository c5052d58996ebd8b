package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/node"
)

// A card that two people move at the same time is in one place, the same for both; and what each
// did besides is there.
func TestMoves(t *testing.T) {
	var out bytes.Buffer
	seen, err := run(t.Context(), t.TempDir(), &out)
	if err != nil {
		t.Fatal(err)
	}
	if seen[0] != seen[1] {
		t.Errorf("Ann sees\n%sBob sees\n%s", seen[0], seen[1])
	}
	if n := strings.Count(seen[0], "paint the door"); n != 1 {
		t.Errorf("the card that both moved is there %d times:\n%s", n, seen[0])
	}
	lines := strings.Split(seen[0], "\n")
	for line, want := range []string{"todo", "varnish the door", "sand the door twice"} {
		if !strings.Contains(lines[line], want) {
			t.Errorf("%q is not in line %d of\n%s", want, line, seen[0])
		}
	}
	if strings.Contains(lines[0], "door") {
		t.Errorf("all cards were moved, and are still there:\n%s", seen[0])
	}
}

// Cards are where they were moved to, also among others of the same column.
func TestOrder(t *testing.T) {
	n, err := node.Open(t.Context(), node.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	docs, err := n.Docs()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := docs.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	board := Board{doc}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	var want []string
	for range 60 {
		id := string(rune('a' + random.IntN(8)))
		want = slices.DeleteFunc(want, func(x string) bool { return x == id })
		pos := random.IntN(len(want) + 1)
		want = slices.Insert(want, pos, id)
		if err := board.Move(t.Context(), id, "todo", pos); err != nil {
			t.Fatal(err)
		}
		cards, err := board.Cards(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cards {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: moved %s to %d and got %v, want %v", seed, id, pos, got, want)
		}
	}
}

func TestBetween(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "", "n"}, {"n", "", "t"}, {"", "n", "g"}, {"m", "n", "mn"}, {"", "b", "an"},
		{"z", "", "zn"}, {"mn", "n", "mt"}, {"a", "an", "ag"}, {"n", "n", "nn"},
	} {
		if got := between(c.a, c.b); got != c.want {
			t.Errorf("between %q and %q is %q, want %q", c.a, c.b, got, c.want)
		}
	}
}
