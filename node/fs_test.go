package node_test

import (
	"bytes"
	"testing"
	"testing/fstest"
	"time"

	"github.com/p2pnode/p2pnode/node"
)

// The standard library's own judge of file systems.
func TestFS(t *testing.T) {
	ctx := t.Context()
	n := offline(t)
	a := n.NewAdd(node.AddOptions{})
	defer a.Abort()
	files := []string{"a.txt", "dir/b.txt", "dir/deep/er/c.txt", "ünï/ code.txt"}
	for _, name := range files {
		if _, err := a.File(ctx, name, bytes.NewReader([]byte("content of "+name)), 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	root, err := a.Commit(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(n.FS(root.Cid), files...); err != nil {
		t.Error(err)
	}
}
