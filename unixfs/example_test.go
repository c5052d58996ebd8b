package unixfs_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

func ExampleWalker() {
	ctx, blocks := context.Background(), newMemory()
	tree := build.NewTree(blocks, build.Options{})
	tree.File(ctx, "a/hello.txt", strings.NewReader("hello"), 0, time.Time{})
	tree.Symlink(ctx, "b", "a/hello.txt", time.Time{})
	root, _ := tree.Finish(ctx, nil)

	w := unixfs.NewWalker(ctx, blocks, root.Cid, unixfs.WalkOptions{})
	defer w.Close()
	for {
		e, err := w.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(w)
		fmt.Printf("%-9s %q %q\n", e.Type, e.Path, body)
	}
	// Output:
	// directory "" ""
	// directory "a" ""
	// file      "a/hello.txt" "hello"
	// symlink   "b" "a/hello.txt"
}

func ExampleOpen() {
	ctx, blocks := context.Background(), newMemory()
	l, _ := build.File(ctx, blocks, strings.NewReader("hello, world"), build.Options{})

	f, err := unixfs.Open(ctx, blocks, l.Cid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	f.Seek(-5, io.SeekEnd)
	body, _ := io.ReadAll(f)
	fmt.Printf("%s, of %d bytes\n", body, f.Size())
	// Output: world, of 12 bytes
}
