package exchange

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// saving puts delivered blocks into the store, several Puts at a time, each as
// large as the queue is by then.
func (x *Exchange) saving(ctx context.Context) {
	slots := make(chan struct{}, putsMax)
	for ctx.Err() == nil {
		select {
		case <-x.saves:
		case <-ctx.Done():
		}
		for {
			slots <- struct{}{}
			batch := x.takeBatch()
			if len(batch) == 0 {
				<-slots
				break
			}
			x.tasks.Go(func() { // saving itself is a task, so Wait has not returned
				x.save(ctx, batch)
				<-slots
			})
		}
	}
}

// takeBatch takes the oldest blocks off the queue.
func (x *Exchange) takeBatch() []block.Block {
	x.mu.Lock()
	defer x.mu.Unlock()
	size, n := 0, 0
	for n < len(x.queue) && n < putBlocksMax && (n == 0 || size+x.queue[n].Size() <= putSizeMax) {
		size += x.queue[n].Size()
		n++
	}
	batch := x.queue[:n:n]
	x.queue = x.queue[n:]
	return batch
}

// save stores a batch, even if Run is about to end: the blocks are paid for.
func (x *Exchange) save(ctx context.Context, batch []block.Block) {
	put, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	err := x.o.Store.Put(put, batch...)
	if err != nil {
		x.log.Error("store fetched blocks", "blocks", len(batch), "err", err)
		x.blame(err)
	}
	held := swap.Held{Blocks: make([]swap.Sized, len(batch))}
	var size int64
	x.mu.Lock()
	for i, b := range batch {
		held.Blocks[i] = swap.Sized{Cid: b.Cid(), Size: b.Size()}
		size += int64(b.Size())
		delete(x.pending, b.Cid())
		if err == nil {
			x.saved.add(b.Cid())
		}
	}
	x.mu.Unlock()
	x.unsaved.Release(size)
	if err == nil {
		x.post(ctx, held)
	}
}

// savedRing remembers which blocks were stored last, so that a Get that raced
// with the store looks there once more instead of asking a peer.
type savedRing struct {
	known map[cid.Cid]struct{}
	order []cid.Cid
	next  int
}

func (r *savedRing) add(c cid.Cid) {
	if r.known == nil {
		r.known = make(map[cid.Cid]struct{})
	}
	if _, known := r.known[c]; known {
		return
	}
	r.known[c] = struct{}{}
	if len(r.order) < savedMax {
		r.order = append(r.order, c)
		return
	}
	delete(r.known, r.order[r.next])
	r.order[r.next] = c
	r.next = (r.next + 1) % savedMax
}

func (r *savedRing) has(c cid.Cid) bool {
	_, known := r.known[c]
	return known
}
