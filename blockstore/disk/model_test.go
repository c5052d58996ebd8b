package disk_test

import (
	"errors"
	"flag"
	"testing"

	"pgregory.net/rapid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// modelChecks is how many runs TestModel makes if -rapid.checks does not say:
// each of them opens, kills and rebuilds real stores.
const modelChecks = "6"

// TestModel does anything in any order, and compares with a map.
func TestModel(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set(modelChecks); err != nil {
			t.Fatal(err)
		}
	}
	universe := storetest.NewBlocks(t, 60, 700)
	o := disk.Options{SegmentSizeMax: 8000, CacheSizeMax: 20_000}
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: t, rt: rt, o: o, dir: t.TempDir(), universe: universe, held: make(map[int]bool)}
		m.reopen()
		defer func() { m.s.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"put":     m.put,
			"delete":  m.delete,
			"get":     m.get,
			"compact": m.compact,
			"list":    m.list,
			"close":   func(*rapid.T) { m.must(m.s.Close()); m.reopen() },
			"kill":    m.kill,
			"rebuild": m.rebuild,
		})
	})
}

type model struct {
	t        *testing.T
	rt       *rapid.T
	o        disk.Options
	dir      string
	s        *disk.Store
	universe []block.Block
	held     map[int]bool
}

func (m *model) must(err error) {
	if err != nil {
		m.rt.Fatal(err)
	}
}

func (m *model) reopen() {
	s, err := disk.Open(m.dir, m.o)
	m.must(err)
	m.s = s
}

func (m *model) some(rt *rapid.T) []int {
	return rapid.SliceOfN(rapid.IntRange(0, len(m.universe)-1), 1, 12).Draw(rt, "blocks")
}

func (m *model) put(rt *rapid.T) {
	var bs []block.Block
	for _, i := range m.some(rt) {
		bs = append(bs, m.universe[i])
		m.held[i] = true
	}
	m.must(m.s.Put(m.t.Context(), bs...))
}

func (m *model) delete(rt *rapid.T) {
	for _, i := range m.some(rt) {
		m.must(m.s.Delete(m.t.Context(), m.universe[i].Cid()))
		delete(m.held, i)
	}
}

func (m *model) get(rt *rapid.T) {
	for _, i := range m.some(rt) {
		_, err := m.s.Get(m.t.Context(), m.universe[i].Cid())
		if (err == nil) != m.held[i] || err != nil && !errors.Is(err, block.ErrNotFound) {
			rt.Fatalf("block %d: %v; held: %v", i, err, m.held[i])
		}
	}
}

func (m *model) compact(rt *rapid.T) {
	_, err := m.s.Compact(m.t.Context())
	m.must(err)
	if st := m.s.Stats(); 2*st.DeadBytes > st.SegmentBytes {
		rt.Fatalf("after compaction: %+v", st)
	}
}

func (m *model) list(rt *rapid.T) {
	all, err := list(m.t, m.s)
	m.must(err)
	if len(all) != len(m.held) || int(m.s.Stats().Blocks) != len(m.held) {
		rt.Fatalf("%d blocks are listed, %d counted, %d held", len(all), m.s.Stats().Blocks, len(m.held))
	}
	for i := range m.held {
		if !all[m.universe[i].Cid()] {
			rt.Fatalf("block %d is not listed", i)
		}
	}
}

func (m *model) kill(*rapid.T) {
	dir := image(m.t, m.dir)
	m.must(m.s.Close())
	m.dir = dir
	m.reopen()
}

// rebuild may bring deleted blocks back, but loses none.
func (m *model) rebuild(rt *rapid.T) {
	m.must(m.s.Close())
	_, err := disk.RebuildIndex(m.t.Context(), m.dir, m.o)
	m.must(err)
	m.reopen()
	for i, b := range m.universe {
		if _, err := m.s.Get(m.t.Context(), b.Cid()); err != nil {
			if m.held[i] {
				rt.Fatalf("block %d is lost by a rebuild: %v", i, err)
			}
		} else if !m.held[i] {
			m.must(m.s.Delete(m.t.Context(), b.Cid()))
		}
	}
}
