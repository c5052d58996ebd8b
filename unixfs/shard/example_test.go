package shard_test

import (
	"fmt"

	"github.com/p2pnode/p2pnode/unixfs/shard"
)

func ExampleWidth() {
	w, err := shard.NewWidth(256)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := shard.Hash("photo.jpg")
	for level := range 2 {
		fmt.Println(w.Prefix(w.Slot(h, level)))
	}
	// Output:
	// C8
	// 93
}
