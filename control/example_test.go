package control_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

// A program that owns a repo can use the API of daemons without one.
func Example() {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Options{Offline: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	c := control.Local(control.New(n, control.Options{}))
	defer c.Close()

	root, err := c.AddFile(ctx, strings.NewReader("hello\n"), control.AddOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := c.Cat(ctx, control.Ref{Ref: root.Cid}, 0, -1, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	text, err := io.ReadAll(d)
	fmt.Printf("%s %q %v\n", root.Cid, text, err)
	// Output: bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am "hello\n" <nil>
}
