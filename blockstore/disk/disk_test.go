package disk_test

import (
	"testing"

	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// open opens a store that is closed when the test ends.
func open(t testing.TB, dir string, o disk.Options) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	for name, o := range map[string]disk.Options{
		"defaults":        {},
		"small segments":  {SegmentSizeMax: 10_000},
		"without a cache": {CacheSizeMax: -1},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) blockstore.Store { return open(t, t.TempDir(), o) })
		})
	}
}
