package shard_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/unixfs/shard"
)

func TestHash(t *testing.T) {
	// The first eight bytes of murmur3-x64-128, big-endian.
	if got := shard.Hash("hello"); got != 0xcbd8a7b341bd9b02 {
		t.Errorf("%#x", got)
	}
}

func TestWidth(t *testing.T) {
	for _, fanout := range []uint64{0, 1, 2, 4, 7, 12, 255, 257, 2048, 1 << 32} {
		if _, err := shard.NewWidth(fanout); !errors.Is(err, shard.ErrFanout) {
			t.Errorf("%d: %v", fanout, err)
		}
	}
	for fanout, want := range map[uint64]string{8: "5 21", 16: "5 16", 256: "05 8", 1024: "005 6"} {
		w, err := shard.NewWidth(fanout)
		if got := fmt.Sprint(w.Prefix(5), " ", w.Depth()); err != nil || got != want {
			t.Errorf("%d: %s, %v", fanout, got, err)
		}
	}
}

func TestSlotsAndField(t *testing.T) {
	w, _ := shard.NewWidth(256)
	for _, slots := range [][]int{{}, {0}, {255}, {0, 7, 8, 200, 255}} {
		got, err := w.Slots(w.Field(slots), len(slots))
		if err != nil || !slices.Equal(got, slots) {
			t.Errorf("%v: %v, %v", slots, got, err)
		}
		if _, err := w.Slots(w.Field(slots), len(slots)+1); !errors.Is(err, shard.ErrField) {
			t.Errorf("%v: %v", slots, err)
		}
	}
	if _, err := w.Slots(make([]byte, 33), 0); !errors.Is(err, shard.ErrField) {
		t.Error(err)
	}
}

// Every name is where its hash leads, at any fanout, in any order of names.
func TestBuild(t *testing.T) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprint("name ", i))
	}
	for _, fanout := range []uint64{8, 256, 1024} {
		w, _ := shard.NewWidth(fanout)
		root, err := w.Build(names)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			n, level := root, 0
			for {
				at := slices.Index(n.Slots, w.Slot(shard.Hash(name), level))
				if n.Nodes[at] == nil {
					if n.Items[at] != i {
						t.Fatalf("%s: item %d", name, n.Items[at])
					}
					break
				}
				n, level = n.Nodes[at], level+1
			}
		}
	}
	w, _ := shard.NewWidth(8)
	if _, err := w.Build([]string{"same", "same"}); !errors.Is(err, shard.ErrDepth) {
		t.Error(err)
	}
}
