package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// TestTimeoutInTheMiddle: the error of a fetch whose time is over when some of
// it has arrived says what it was waiting for.
func TestTimeoutInTheMiddle(t *testing.T) {
	store, ctx := blockstore.NewMem(), t.Context()
	data := make([]byte, 5<<20)
	for i := range data {
		data[i] = byte(i >> 20)
	}
	root, err := build.File(ctx, store, bytes.NewReader(data), build.Options{Profile: build.V1_2025})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum(data[4<<20:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(ctx, leaf); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(ctx, leaf); err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(ctx, node.Options{Store: store, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true, Network: "timeout"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	c := control.Local(control.New(n, control.Options{}))
	t.Cleanup(func() { c.Close() })

	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.DeadlineExceeded) || codeOf(err) != control.CodeTimeout {
			t.Fatalf("%s: %v", what, err)
		}
		for _, part := range []string{"gave up after 500ms", leaf.String(), "out of time while "} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", what, err, part)
			}
		}
	}
	ref := control.Ref{Ref: root.Cid.String(), Timeout: 500 * time.Millisecond}
	d, err := c.Cat(ctx, ref, 0, -1, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, d)
	check("cat", err)
	d.Close()

	tree, err := c.Get(ctx, ref, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Next(); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, tree)
	check("get", err)
	tree.Close()

	_, err = c.Pin(ctx, ref, "", nil)
	check("pin", err)

	d, err = c.ExportCAR(ctx, ref)
	if err == nil {
		_, err = io.Copy(io.Discard, d)
		d.Close()
	}
	check("export", err)
}
