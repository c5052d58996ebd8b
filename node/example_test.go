package node_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

// Two nodes in one program: one adds, the other fetches.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	loopback := node.Options{Network: "example", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true}
	alice, err := node.Open(ctx, loopback)
	if err != nil {
		panic(err)
	}
	defer alice.Close()
	bob, err := node.Open(ctx, loopback)
	if err != nil {
		panic(err)
	}
	defer bob.Close()

	root, err := alice.Add(ctx, strings.NewReader("hello, bob\n"), node.AddOptions{})
	if err != nil {
		panic(err)
	}
	if err := bob.Connect(ctx, alice.Addrs()[0]); err != nil {
		panic(err)
	}
	file, err := bob.OpenFile(ctx, unixfs.Path{Root: root.Cid})
	if err != nil {
		panic(err)
	}
	defer file.Close()
	io.Copy(os.Stdout, file)
	// Output: hello, bob
}

// A directory is added file by file and read as an fs.FS.
func ExampleNode_FS() {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Options{Offline: true})
	if err != nil {
		panic(err)
	}
	defer n.Close()

	a := n.NewAdd(node.AddOptions{Name: "site"})
	defer a.Abort()
	for name, text := range map[string]string{"index.html": "<h1>hi</h1>", "css/main.css": "h1 {}"} {
		if _, err := a.File(ctx, name, bytes.NewReader([]byte(text)), 0, time.Time{}); err != nil {
			panic(err)
		}
	}
	root, err := a.Commit(ctx, nil)
	if err != nil {
		panic(err)
	}
	fs.WalkDir(n.FS(root.Cid), ".", func(path string, d fs.DirEntry, err error) error {
		fmt.Println(path)
		return err
	})
	// Output:
	// .
	// css
	// css/main.css
	// index.html
}

// Alice and Bob write notes together; what both add at the same time is there in the end.
func ExampleNode_Docs() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	loopback := node.Options{Network: "example", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true}
	var people []*replica.Replica
	for range 2 {
		n, err := node.Open(ctx, loopback)
		must(err)
		defer n.Close()
		docs, err := n.Docs()
		must(err)
		people = append(people, docs)
	}
	alice, bob := people[0], people[1]

	notes, err := alice.Create(ctx, "notes")
	must(err)
	ticket, err := notes.Share(ctx, commit.Write)
	must(err)
	copied, err := bob.Join(ctx, ticket, "alice's notes")
	must(err)

	_, err = notes.Update(ctx, func(tx *crdt.Tx) error { tx.Members("shopping").Add("milk"); return nil })
	must(err)
	_, err = copied.Update(ctx, func(tx *crdt.Tx) error { tx.Members("shopping").Add("bread"); return nil })
	must(err)

	for _, err := range notes.Watch(ctx) {
		must(err)
		list, ok, err := notes.Get(ctx, "shopping")
		must(err)
		if ok && len(list.([]any)) == 2 {
			fmt.Println(list)
			return
		}
	}
	// Output: [milk bread]
}
