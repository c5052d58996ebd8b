package build_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

func ExampleFile() {
	blocks := blockstore.NewMem() // any block.Putter
	l, err := build.File(context.Background(), blocks, strings.NewReader("hello, world"), build.Options{})
	fmt.Println(l.Cid, l.Size, err)
	// Output: bafkreiajzj7e5ktorlu4putbczyssgciqnse2b67xj6l7pcmrixaqnqnlm 12 <nil>
}

func ExampleTree() {
	ctx, blocks := context.Background(), blockstore.NewMem()
	tree := build.NewTree(blocks, build.Options{})
	tree.File(ctx, "notes/one.txt", strings.NewReader("one"), 0, time.Time{})
	tree.File(ctx, "notes/two.txt", strings.NewReader("two"), 0, time.Time{})
	root, err := tree.Finish(ctx, func(path string, l unixfs.Link) { fmt.Printf("%q %s\n", path, l.Type) })
	fmt.Println(root.Type, err)
	// Output:
	// "notes" directory
	// "" directory
	// directory <nil>
}
