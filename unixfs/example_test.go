package unixfs_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/unixfs"
)

func ExampleBuildFile() {
	blocks := newMemory() // any block.Putter
	l, err := unixfs.BuildFile(context.Background(), blocks, strings.NewReader("hello, world"), unixfs.BuildOptions{})
	fmt.Println(l.Cid, l.Size, err)
	// Output: bafkreiajzj7e5ktorlu4putbczyssgciqnse2b67xj6l7pcmrixaqnqnlm 12 <nil>
}

func ExampleTree() {
	ctx, blocks := context.Background(), newMemory()
	tree := unixfs.NewTree(blocks, unixfs.BuildOptions{})
	tree.File(ctx, "notes/one.txt", strings.NewReader("one"), 0, time.Time{})
	tree.File(ctx, "notes/two.txt", strings.NewReader("two"), 0, time.Time{})
	root, err := tree.Finish(ctx, func(path string, l unixfs.Link) { fmt.Printf("%q %s\n", path, l.Type) })
	fmt.Println(root.Type, err)
	// Output:
	// "notes" directory
	// "" directory
	// directory <nil>
}

func ExampleWalker() {
	ctx, blocks := context.Background(), newMemory()
	tree := unixfs.NewTree(blocks, unixfs.BuildOptions{})
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
	l, _ := unixfs.BuildFile(ctx, blocks, strings.NewReader("hello, world"), unixfs.BuildOptions{})

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
