package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/crdt/replica"
)

func TestStory(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"map[bolts:70 nuts:5], to be ordered soon: [nuts]", "map[bolts:70 nuts:505], to be ordered soon: []"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed %q, want %q in it", out.String(), want)
		}
	}
}

// A view that has followed the log from its beginning, one that began in the middle, and one that
// was built in the end are equal, and say what was written.
func TestViewsAreEqual(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := open(ctx)
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	const each = 60
	ended := make(chan error, 4)
	follow := func() *View {
		v := NewView()
		go func() { ended <- v.Follow(ctx, w.office) }()
		return v
	}
	first := follow()
	want := make(map[string]int64)
	for i := range each {
		for j := range 2 {
			want[fmt.Sprint("item", i%7)] += int64(i - 20*j)
		}
	}
	for j, doc := range []*replica.Doc{w.dock, w.shop} {
		go func() {
			var err error
			for i := range each {
				err = errors.Join(err, record(ctx, doc, Event{fmt.Sprint("item", i%7), int64(i - 20*j)}))
			}
			ended <- err
		}()
	}
	if err := first.Await(ctx, each/2); err != nil {
		t.Fatal(err)
	}
	second := follow()
	for _, v := range []*View{first, second} {
		if err := v.Await(ctx, 2*each); err != nil {
			t.Fatal(err)
		}
	}
	last := NewView()
	if err := last.rebuild(ctx, w.office); err != nil {
		t.Fatal(err)
	}
	log, err := w.office.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for id := range log["events"].(map[string]any) { // as deltas do that come after it was built
		if err := last.add(ctx, w.office, id); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range []*View{first, second, last} {
		if got := v.Stock(); !maps.Equal(got, want) {
			t.Errorf("view %d says %v, want %v", i, got, want)
		}
	}
	cancel()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
