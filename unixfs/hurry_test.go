package unixfs_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// urged notes what it is told to hurry with, by one reader.
type urged struct {
	*slow
	urgent []cid.Cid
}

func (u *urged) Prefetch(_ context.Context, cids ...cid.Cid) { u.urgent = append(u.urgent, cids...) }

// leaves lists the leaves of a file in order.
func leaves(t *testing.T, g block.Getter, c cid.Cid) []cid.Cid {
	t.Helper()
	if c.Type() == cid.Raw {
		return []cid.Cid{c}
	}
	var all []cid.Cid
	for _, l := range must[[]codec.Link](t)(codec.Links(must[block.Block](t)(g.Get(t.Context(), c)))) {
		all = append(all, leaves(t, g, l.Cid)...)
	}
	return all
}

// TestHurry: the getter is told which block the reader waits for, in the order of the
// file and once each.
func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		root := must[unixfs.Link](t)(build.File(t.Context(), m, content(10_000), build.Options{Profile: tiny()}))
		u := &urged{slow: &slow{g: m, latency: random(1, time.Second)}}
		f := must[*unixfs.File](t)(unixfs.Open(t.Context(), u, root.Cid))
		defer f.Close()
		if n, err := io.Copy(io.Discard, f); n != 10_000 || err != nil {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		order := leaves(t, m, root.Cid)
		last := -1
		for _, c := range u.urgent {
			at := slices.Index(order, c)
			if at < 0 {
				continue // an inner node
			}
			if at <= last {
				t.Errorf("leaf %d after leaf %d", at, last)
			}
			last = at
		}
		if last < 0 {
			t.Errorf("of %d blocks none was urgent", len(order))
		}
	})
}
