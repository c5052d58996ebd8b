package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

const (
	// offersMax is how many offers are remembered, and offersPerPeerMax how many of one peer.
	// The oldest make room.
	offersMax        = 256
	offersPerPeerMax = 16
)

// ErrNoSwarm means a peer that is not connected, or does not speak the swarm protocol.
var ErrNoSwarm = errors.New("no connected peer that speaks the swarm protocol")

// Offered is a DAG that a peer has offered. Nothing of it is here for that reason: whoever wants
// it fetches it.
type Offered struct {
	From peer.ID
	Root cid.Cid
	Size int64 // bytes of all blocks, as the peer says; 0 if it does not
}

// offers is what peers have offered, oldest first. The zero value has none.
type offers struct {
	mu    sync.Mutex // guards the following fields
	list  []numbered
	last  uint64
	fresh chan struct{} // closed when there is more; nil if nobody waits
}

// numbered is an offer that was the nth.
type numbered struct {
	Offered
	n uint64
}

// add takes an offer. One that is there already becomes the newest.
func (o *offers) add(f Offered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(o.list, func(x numbered) bool { return x.From == f.From && x.Root.Equals(f.Root) })
	o.trim(offersPerPeerMax, func(x numbered) bool { return x.From == f.From })
	o.trim(offersMax, func(numbered) bool { return true })
	o.last++
	o.list = append(o.list, numbered{f, o.last})
	if o.fresh != nil {
		close(o.fresh)
		o.fresh = nil
	}
}

// trim makes room for one more of those that count.
func (o *offers) trim(most int, counts func(numbered) bool) {
	n := 0
	for _, x := range o.list {
		if counts(x) {
			n++
		}
	}
	if n >= most {
		i := slices.IndexFunc(o.list, counts)
		o.list = slices.Delete(o.list, i, i+1)
	}
}

// after lists the offers after the nth, and tells when there are more.
func (o *offers) after(n uint64) ([]numbered, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fresh == nil {
		o.fresh = make(chan struct{})
	}
	i, _ := slices.BinarySearchFunc(o.list, n+1, func(x numbered, n uint64) int { return cmp.Compare(x.n, n) })
	return slices.Clone(o.list[i:]), o.fresh
}

// offering is an offer that is to be sent. done hears of it once.
type offering struct {
	to   peer.ID
	root cid.Cid
	size int64
	done chan<- error
}

// Offer tells a peer of a DAG that it may want. Nothing else is sent: the peer asks for it, or
// does not. size is that of all blocks in bytes, 0 if unknown.
func (x *Exchange) Offer(ctx context.Context, to peer.ID, root cid.Cid, size int64) error {
	err := block.Check(root)
	if err == nil {
		done := make(chan error, 1)
		if err = x.post(ctx, offering{to, root, max(size, 0), done}); err == nil {
			select {
			case err = <-done:
			case <-x.stopped:
				err = ErrStopped
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	if err != nil {
		return fmt.Errorf("offer %s to %s: %w", root, to, err)
	}
	return nil
}

// offer sends one.
func (d *driver) offer(ctx context.Context, o offering) {
	m := d.x.members[o.to]
	if m == nil {
		o.done <- ErrNoSwarm
		return
	}
	d.x.spawn(func() { o.done <- d.x.writeFrames(ctx, m, frame.Offer{Root: o.root, Size: o.size}) })
}

// Offers yields what peers have offered, oldest first, and then what they offer, until ctx ends.
// What was offered long ago, or by somebody who offers much, may have been forgotten.
func (x *Exchange) Offers(ctx context.Context) iter.Seq[Offered] {
	return func(yield func(Offered) bool) {
		seen := uint64(0)
		for {
			list, more := x.offers.after(seen)
			for _, o := range list {
				if seen = o.n; !yield(o.Offered) {
					return
				}
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Offered lists what peers have offered, oldest first.
func (x *Exchange) Offered() (list []Offered) {
	all, _ := x.offers.after(0)
	for _, o := range all {
		list = append(list, o.Offered)
	}
	return list
}
