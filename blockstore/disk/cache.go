package disk

import (
	"container/list"
	"sync"

	"github.com/p2pnode/p2pnode/block"
)

// cacheEntryCost is what an entry costs besides the block, in bytes, roughly.
const cacheEntryCost = 256

// cache keeps the verified blocks that were read last, by multihash. It says
// nothing about what is held: ask the index first.
type cache struct {
	max int64

	mu     sync.Mutex // guards the following
	used   int64
	blocks map[string]*list.Element // of block.Block
	recent list.List                // the latest in front
}

func newCache(bytesMax int64) *cache {
	return &cache{max: bytesMax, blocks: make(map[string]*list.Element)}
}

func (c *cache) get(mh string) (block.Block, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.blocks[mh]
	if !ok {
		return block.Block{}, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(block.Block), true
}

func (c *cache) add(b block.Block) {
	cost := int64(b.Size()) + cacheEntryCost
	if cost > c.max/4 {
		return // it would push out too much
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	mh := string(b.Cid().Hash())
	if _, ok := c.blocks[mh]; ok {
		return
	}
	c.blocks[mh] = c.recent.PushFront(b)
	c.used += cost
	for c.used > c.max {
		c.drop(c.recent.Back())
	}
}

func (c *cache) remove(mh string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.blocks[mh]; ok {
		c.drop(e)
	}
}

func (c *cache) drop(e *list.Element) {
	b := c.recent.Remove(e).(block.Block)
	delete(c.blocks, string(b.Cid().Hash()))
	c.used -= int64(b.Size()) + cacheEntryCost
}

func (c *cache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}
