package disk_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// TestNothingIsLeft: a store that is closed runs nothing any more.
func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	for range 5 {
		s, err := disk.Open(dir, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, storetest.NewBlocks(t, 10, 100)...)
		mustClose(t, s)
	}
	goleak.VerifyNone(t, before)
}
