package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestPresence(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, 400*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"here: [{Ann 7} {Bob 42} {Cem 0}]\nBob says goodbye",
		"here: [{Ann 7} {Cem 0}]\nCem's node dies",
		"Ann sees\n  here: [{Ann 7}]\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed %q, want %q in it", out.String(), want)
		}
	}
}

func TestRoster(t *testing.T) {
	const ttl = time.Minute
	start := time.Unix(1000, 0)
	r := make(roster)
	for i, c := range []struct {
		second int
		from   peer.ID
		state  state
		news   bool
		want   string
	}{
		{0, "ann", state{Person: Person{"Ann", 1}, Time: 1}, true, "[{Ann 1}]"},
		{1, "ann", state{Person: Person{"Ann", 1}, Time: 2}, false, "[{Ann 1}]"}, // a beat
		{2, "bob", state{Person: Person{"Bob", 5}, Time: 9}, true, "[{Ann 1} {Bob 5}]"},
		{3, "bob", state{Person: Person{"Bob", 4}, Time: 8}, false, "[{Ann 1} {Bob 5}]"}, // it is late
		{4, "bob", state{Person: Person{"Bob", 5}, Time: 10, Gone: true}, true, "[{Ann 1}]"},
		{5, "bob", state{Person: Person{"Bob", 5}, Time: 9}, false, "[{Ann 1}]"},
		{6, "bob", state{Person: Person{"Bob", 6}, Time: 11}, true, "[{Ann 1} {Bob 6}]"}, // back again
	} {
		news := r.hear(start.Add(time.Duration(c.second)*time.Second), c.from, c.state)
		if got := fmt.Sprint(r.here()); news != c.news || got != c.want {
			t.Errorf("%d: news %t, here %s; want %t, %s", i, news, got, c.news, c.want)
		}
	}
	// Ann was heard last in second 1, Bob in second 6.
	for second, want := range map[int]int{60: 2, 61: 1, 66: 0} {
		list := make(roster)
		for id, h := range r {
			list[id] = h
		}
		changed := list.expire(start.Add(time.Duration(second)*time.Second), ttl)
		if len(list.here()) != want || changed != (want < 2) {
			t.Errorf("in second %d: %v are here, changed %t; want %d", second, list.here(), changed, want)
		}
	}
}

// Strangers with any number of names cost no more than the limit, and do not drive out who is here.
func TestRosterIsBounded(t *testing.T) {
	r, now := make(roster), time.Unix(1000, 0)
	for i := range peopleMax + 10 {
		news := r.hear(now, peer.ID(fmt.Sprint(i)), state{Person: Person{"x", i}, Time: 1})
		if news != (i < peopleMax) {
			t.Fatalf("stranger %d is news: %t", i, news)
		}
	}
	if len(r) != peopleMax || !slices.Contains(r.here(), Person{"x", 0}) {
		t.Errorf("%d are here", len(r))
	}
	for _, data := range []string{"", "{", `{"Name":"` + strings.Repeat("x", nameMax+1) + `"}`} {
		if s, ok := decode([]byte(data)); ok {
			t.Errorf("%q is accepted as %v", data, s)
		}
	}
}
