package blockstore

import (
	"context"
	"iter"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Mem keeps blocks in memory, without a limit: for tests, simulations and
// short-lived nodes. The zero Mem is not usable; call NewMem.
type Mem struct {
	mu     sync.RWMutex // guards blocks
	blocks map[string]block.Block
}

var _ Store = (*Mem)(nil)

// NewMem returns an empty store.
func NewMem() *Mem { return &Mem{blocks: make(map[string]block.Block)} }

// Get implements Store.
func (m *Mem) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if err := ctx.Err(); err != nil {
		return block.Block{}, err
	}
	if b, ok := block.Inline(c); ok {
		return b, nil
	}
	if err := block.Check(c); err != nil {
		return block.Block{}, err
	}
	b, ok := m.lookup(c)
	if !ok {
		return block.Block{}, &block.NotFoundError{Cid: c}
	}
	if b.Cid().Equals(c) {
		return b, nil
	}
	// The same bytes under another codec or version: only block.Verify can
	// give them the name that was asked for.
	return block.Verify(c, b.RawData())
}

// Put implements Store.
func (m *Mem) Put(ctx context.Context, blocks ...block.Block) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, b := range blocks {
		if err := block.Check(b.Cid()); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range blocks {
		if _, inline := block.Inline(b.Cid()); inline {
			continue
		}
		key := string(b.Cid().Hash())
		if _, held := m.blocks[key]; !held {
			m.blocks[key] = b
		}
	}
	return nil
}

// Size implements Store.
func (m *Mem) Size(ctx context.Context, c cid.Cid) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if b, ok := block.Inline(c); ok {
		return b.Size(), nil
	}
	if err := block.Check(c); err != nil {
		return 0, err
	}
	b, ok := m.lookup(c)
	if !ok {
		return 0, &block.NotFoundError{Cid: c}
	}
	return b.Size(), nil
}

// Delete implements Store.
func (m *Mem) Delete(ctx context.Context, cids ...cid.Cid) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cids {
		if c.Defined() {
			delete(m.blocks, string(c.Hash()))
		}
	}
	return nil
}

// All implements Store. It lists what is there when the loop starts.
func (m *Mem) All(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		m.mu.RLock()
		names := make([]cid.Cid, 0, len(m.blocks))
		for _, b := range m.blocks {
			names = append(names, b.Cid())
		}
		m.mu.RUnlock()
		for _, c := range names {
			if err := ctx.Err(); err != nil {
				yield(cid.Undef, err)
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (m *Mem) lookup(c cid.Cid) (block.Block, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, ok := m.blocks[string(c.Hash())]
	return b, ok
}
