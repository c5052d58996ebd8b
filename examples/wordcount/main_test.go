package main

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/node"
)

// counted is the count of texts by one who has them all.
func counted(t *testing.T, texts ...string) map[string]int {
	t.Helper()
	counts, err := count(strings.NewReader(strings.Join(texts, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// One mapper dies half-way, another does its work twice, and the total is that of one who counts
// all files once.
func TestDyingAndRepeatingMapper(t *testing.T) {
	var out bytes.Buffer
	r, err := run(t.Context(), &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := counted(t, texts[0]); !maps.Equal(r.half.Words, want) {
		t.Errorf("while Cem's file was half counted the total was %v, want %v", r.half.Words, want)
	}
	want := counted(t, texts...)
	for who, total := range map[string]Total{"Ann": r.byAnn, "Bob": r.byBob} {
		if !maps.Equal(total.Words, want) || total.Files != len(texts) || total.Begun != len(texts) {
			t.Errorf("%s sees %v of %d files, %d begun; want %v of %d", who, total.Words, total.Files, total.Begun, want, len(texts))
		}
	}
	if want["the"] != 6 || want["fish"] != 4 {
		t.Errorf("the texts have changed, or are counted wrongly: %v", want)
	}
}

// Whoever repeats all work, as often as he likes, changes nothing that anybody sees.
func TestRepeating(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := enter(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.node.Close()
	for _, text := range texts {
		if _, err := p.node.Add(ctx, strings.NewReader(text), node.AddOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		if err := Map(ctx, p.node, p.doc); err != nil {
			t.Fatal(err)
		}
		total, err := Reduce(ctx, p.doc)
		if err != nil {
			t.Fatal(err)
		}
		if want := counted(t, texts...); !maps.Equal(total.Words, want) {
			t.Errorf("round %d: %v, want %v", round, total.Words, want)
		}
	}
}

func TestCount(t *testing.T) {
	got := counted(t, "Ça va, ça\xffva! 42 "+strings.Repeat("x", 2*wordMax))
	want := map[string]int{"ça": 2, "va": 2, strings.Repeat("x", wordMax): 1}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
