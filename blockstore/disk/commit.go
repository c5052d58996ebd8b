package disk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

// Limits of a group, which share one sync. A larger Put is cut into several.
const (
	groupBytesMax  = 32 << 20
	groupBlocksMax = 8192
	// requestsMax is how many callers may wait in line for the committer;
	// others wait to be let into the line.
	requestsMax = 256
)

// request is work for the committer. The blocks to write come first.
type request struct {
	blocks  []block.Block
	moves   []index.Change // of the blocks, one each, if they are copies made by compaction
	changes []index.Change // of the index alone
	forget  uint32         // segment that is gone
	seal    bool           // begin a new segment
	bytes   int64          // of the blocks
	err     error
	done    chan error // buffered
}

// committer is the one goroutine that changes segments and index.
type committer struct {
	s        *Store
	requests chan *request
	stop     chan struct{}
	stopped  chan struct{}
	groups   atomic.Int64

	// The following belong to the goroutine.
	active *segment.Writer // nil: the next write begins a segment
	end    index.Position  // of the active segment; its number is the last one even if there is no file
	broken error
}

// newCommitter makes the committer that goes on at the given position.
func newCommitter(s *Store, at appendPoint) *committer {
	return &committer{
		s: s, requests: make(chan *request, requestsMax),
		stop: make(chan struct{}), stopped: make(chan struct{}),
		active: at.writer, end: at.Position,
	}
}

// submit hands r in and waits for its end, or for that of ctx; then the work
// may be done all the same.
func (c *committer) submit(ctx context.Context, rs ...*request) error {
	for _, r := range rs {
		r.done = make(chan error, 1)
		select {
		case c.requests <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var first error
	for _, r := range rs {
		select {
		case err := <-r.done:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return first
}

// close ends the goroutine. Nobody may submit any more.
func (c *committer) close() error {
	close(c.stop)
	<-c.stopped
	if c.active == nil {
		return c.broken
	}
	if err := c.active.Close(); c.broken == nil {
		return err
	}
	return c.broken
}

func (c *committer) run() {
	defer close(c.stopped)
	for {
		select {
		case r := <-c.requests:
			c.serve(c.gather(r))
		case <-c.stop:
			// Callers that gave up waiting may have left work in the line.
			for {
				select {
				case r := <-c.requests:
					c.serve(c.gather(r))
				default:
					return
				}
			}
		}
	}
}

// gather adds to first what waits in the line, up to the limits of a group.
func (c *committer) gather(first *request) []*request {
	group := []*request{first}
	blocks, size := len(first.blocks), first.bytes
	for blocks < groupBlocksMax && size < groupBytesMax {
		select {
		case r := <-c.requests:
			group = append(group, r)
			blocks, size = blocks+len(r.blocks), size+r.bytes
		default:
			return group
		}
	}
	return group
}

func (c *committer) serve(group []*request) {
	err := c.commit(group)
	c.groups.Add(1)
	for _, r := range group {
		if r.err == nil {
			r.err = err
		}
		r.done <- r.err
	}
}

// commit does the work of a group: segment, sync, index. Its error is that of
// all; what concerns only some requests is in their err.
func (c *committer) commit(group []*request) error {
	if c.broken != nil {
		return c.broken
	}
	for _, r := range group {
		if r.seal {
			c.seal()
		}
	}
	b, err := c.plan(group)
	if err != nil {
		return err
	}
	var mark *index.Position
	if len(b.blocks) > 0 {
		if err := c.write(b); err != nil {
			for _, r := range group {
				if len(r.blocks) > 0 {
					r.err = err
				}
			}
			b.dropBlocks()
		} else {
			mark = &c.end
		}
	}
	if c.broken != nil {
		return c.broken
	}
	if len(b.changes) > 0 || mark != nil {
		if _, err := c.s.index.Update(b.changes, mark); err != nil {
			return c.fail(err)
		}
	}
	for _, r := range group {
		if r.forget != 0 {
			if err := c.s.index.Forget(r.forget); err != nil {
				return c.fail(err)
			}
		}
	}
	return nil
}

// batch is what a group comes to: blocks to append, and changes of the index
// in the order of the requests.
type batch struct {
	blocks  []block.Block
	bytes   int64 // of their data
	changes []index.Change
	places  []*index.Location // where each block will be; a change's to
	urgent  bool              // compaction is among them, which may use the reserve
}

// dropBlocks leaves what needs no bytes: deletions.
func (b *batch) dropBlocks() {
	kept := b.changes[:0]
	for _, ch := range b.changes {
		if ch.To == nil {
			kept = append(kept, ch)
		}
	}
	b.changes = kept
}

// plan leaves out the blocks that are held, or come twice in the group.
func (c *committer) plan(group []*request) (*batch, error) {
	b := &batch{}
	now := make(map[string]bool) // held, after what was planned so far
	for _, r := range group {
		mhs := make([]string, len(r.blocks))
		for i, blk := range r.blocks {
			mhs[i] = string(blk.Cid().Hash())
		}
		held, err := c.s.index.Held(mhs)
		if err != nil {
			return nil, fmt.Errorf("put blocks: %w", err)
		}
		for i, blk := range r.blocks {
			if planned, ok := now[mhs[i]]; ok {
				held[i] = planned
			}
			move := r.moves != nil
			if held[i] != move {
				continue // a put of what is held, or a move of what was deleted
			}
			to := new(index.Location) // known when it is written
			ch := index.Change{Multihash: mhs[i], To: to}
			if move {
				ch.From = r.moves[i].From
				b.urgent = true
			}
			b.blocks, b.places, b.changes = append(b.blocks, blk), append(b.places, to), append(b.changes, ch)
			b.bytes += int64(blk.Size())
			now[mhs[i]] = true
		}
		for _, ch := range r.changes {
			b.changes = append(b.changes, ch)
			now[ch.Multihash] = false // or perhaps not, if it has a from; then a put costs bytes for nothing
		}
	}
	return b, nil
}

// write appends the batch's blocks to the active segment, durably. On a full
// disk nothing changes; any other error breaks the store.
func (c *committer) write(b *batch) error {
	if err := c.s.checkSpace(b.bytes+int64(len(b.blocks))*segment.SectionHeaderMax, b.urgent); err != nil {
		return fmt.Errorf("put %d blocks: %w", len(b.blocks), err)
	}
	for from := 0; from < len(b.blocks); {
		n := c.fitting(b.blocks[from:])
		if n == 0 {
			c.seal()
		}
		if c.active == nil {
			if err := c.begin(); err != nil {
				return fmt.Errorf("put %d blocks: %w", len(b.blocks), err)
			}
			n = max(1, c.fitting(b.blocks[from:]))
		}
		if err := c.append(b.blocks[from:from+n], b.places[from:from+n]); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// fitting returns how many of the blocks still go into the active segment.
func (c *committer) fitting(blocks []block.Block) int {
	size := c.end.Offset
	for i, b := range blocks {
		if size += int64(b.Size()) + segment.SectionHeaderMax; size > c.s.opts.SegmentSizeMax {
			return i
		}
	}
	return len(blocks)
}

// append writes blocks behind the end of the active segment, durably, and tells
// where they are.
func (c *committer) append(blocks []block.Block, places []*index.Location) error {
	sections, err := c.active.Append(blocks)
	if errors.Is(err, ErrFull) {
		return fmt.Errorf("put blocks: %w", err)
	}
	if err != nil {
		return c.fail(err)
	}
	for i, sec := range sections {
		*places[i] = locate(c.end.Segment, sec)
	}
	c.end.Offset = c.active.End()
	return nil
}

// locate returns where a section of a segment is, for the index.
func locate(n uint32, sec segment.Section) index.Location {
	p := sec.Cid.Prefix()
	return index.Location{
		Segment: n, Offset: sec.Offset, Header: sec.Header, Size: len(sec.Data),
		Version: p.Version, Codec: p.Codec,
	}
}

// begin makes the next segment the active one.
func (c *committer) begin() error {
	w, err := c.s.segs.Create(c.end.Segment + 1)
	if errors.Is(err, ErrFull) {
		return err
	}
	if err != nil {
		return c.fail(err)
	}
	c.active, c.end = w, index.Position{Segment: c.end.Segment + 1, Offset: w.End()}
	return nil
}

// seal ends the active segment, which is durable already.
func (c *committer) seal() {
	if c.active != nil {
		c.active.Close()
		c.active = nil
	}
}

// fail ends all writing: what the disk holds is no longer known.
func (c *committer) fail(cause error) error {
	if c.broken == nil {
		c.broken = fmt.Errorf("%w: %w", ErrBroken, cause)
		c.s.opts.Logger.Error("store takes no more writes", "dir", c.s.dir, "err", cause)
	}
	return c.broken
}
