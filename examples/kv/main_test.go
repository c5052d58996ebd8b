package main

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"
)

func TestStory(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		want := []byte("node " + string(rune('0'+i)) + " lists color/: color/grass, color/sky\n")
		if !bytes.Contains(out.Bytes(), want) {
			t.Errorf("printed %q, want %q in it", out.String(), want)
		}
	}
}

// Whatever nodes do to one key at the same time, all have the same in the end.
func TestStore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stores, closeNodes, err := open(ctx, 3)
	defer func() {
		if err := closeNodes(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range stores {
		mine := []byte{byte(i)}
		must(s.Put(ctx, "shared", mine))
		must(s.Put(ctx, "empty", []byte{}))
		must(s.Put(ctx, string(rune('a'+i)), mine))
		must(s.Delete(ctx, "never there"))
	}
	var shared []byte
	for i, s := range stores {
		for j := range stores { // who sees a node's last key has seen its others
			must(s.Await(ctx, string(rune('a'+j)), []byte{byte(j)}))
		}
		keys, err := s.List(ctx, "")
		must(err)
		if want := []string{"a", "b", "c", "empty", "shared"}; !slices.Equal(keys, want) {
			t.Errorf("node %d lists %q, want %q", i, keys, want)
		}
		value, ok, err := s.Get(ctx, "shared")
		must(err)
		if i == 0 {
			shared = value
		}
		if !ok || len(value) != 1 || !bytes.Equal(value, shared) {
			t.Errorf("node %d has %v (%t), node 0 has %v", i, value, ok, shared)
		}
		if value, ok, err := s.Get(ctx, "empty"); err != nil || !ok || len(value) != 0 {
			t.Errorf("node %d has %v, %t, %v, want an empty value", i, value, ok, err)
		}
	}
	must(stores[1].Delete(ctx, "shared"))
	for i, s := range stores {
		must(s.Await(ctx, "shared", nil))
		if _, ok, err := s.Get(ctx, "shared"); ok || err != nil {
			t.Errorf("node %d: found %t, %v after it was deleted", i, ok, err)
		}
	}
}
