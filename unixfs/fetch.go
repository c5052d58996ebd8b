package unixfs

import (
	"context"
	"errors"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// seenMax is how many blocks Fetch remembers so as not to visit them again:
// about 1 GiB of memory when it is full, for 16 TiB in chunks of 1 MiB. Beyond
// it, blocks are visited as often as they are linked, within LinksMax.
const seenMax = 1 << 24

// FetchOptions say how much is fetched. The zero value fetches everything.
type FetchOptions struct {
	Depth        int          // levels of blocks, the root being the first; default 0, all
	Progress     func(Totals) // called now and then, and at the end; default nil
	WindowBlocks int          // blocks in flight; default 1024
	WindowBytes  int64        // bytes of them; default 32 MiB
	LinksMax     uint64       // links followed in all; default 2^28
}

// Totals count what a Fetch has visited.
type Totals struct {
	Blocks int64
	Bytes  int64
}

// Fetch gets every block of the DAG below c, of any codec that codec.Links knows, each
// once, and drops it: what it is good for is that the getter keeps them. The
// error is the first in depth-first order; everything before it has been got.
func Fetch(ctx context.Context, g block.Getter, c cid.Cid, o FetchOptions) (Totals, error) {
	ctx, cancel := context.WithCancel(ctx)
	opts := WalkOptions{WindowBlocks: o.WindowBlocks, WindowBytes: o.WindowBytes, LinksMax: o.LinksMax}.walk()
	opts.discard, opts.eager = true, o.Progress != nil
	opts.grow = growAny(o.Depth)
	opts.admit = (&seen{keys: map[seenKey]int32{}, shallow: o.Depth > 0}).admit
	w := newWalk(ctx, g, rootPlace(c, kindAny), opts)
	defer w.wg.Wait()
	defer cancel()
	last := Totals{}
	for {
		it, err := w.poll()
		totals := w.count()
		if o.Progress != nil && totals != last {
			o.Progress(totals)
			last = totals
		}
		switch {
		case errors.Is(err, io.EOF):
			return totals, nil
		case err == nil && it != nil:
			err = it.err
		case err == nil:
			err = w.await()
		}
		if err != nil {
			return totals, err
		}
	}
}

func (w *walk) count() Totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.totals
}

// growAny follows all links, down to depth levels if that is not 0.
func growAny(depth int) func(place, block.Block) (grown, error) {
	return func(p place, b block.Block) (grown, error) {
		if depth > 0 && p.depth+1 >= depth {
			return grown{}, nil
		}
		links, err := codec.Links(b)
		if err != nil {
			return grown{}, err
		}
		next := func() (place, error) {
			l := links[0]
			links = links[1:]
			return place{cid: l.Cid, kind: kindAny, depth: p.depth + 1, link: Link{Cid: l.Cid, Tsize: l.Tsize}}, nil
		}
		return grown{links: len(links), kind: kindAny, next: next}, nil
	}
}

// seenKey is the codec and the end of the digest of a CID: as raw, a block has
// no links that it may have as dag-pb. 128 bits are beyond anyone who would make
// a block be skipped by a collision.
type seenKey struct {
	codec  uint64
	digest [16]byte
}

// seen remembers the blocks visited, each with the least depth it was met at.
type seen struct {
	keys    map[seenKey]int32
	shallow bool // depth is limited: a block met higher up must be visited again
}

func (s *seen) admit(p place) bool {
	hash := p.cid.Hash()
	k := seenKey{codec: p.cid.Type()}
	if len(hash) < len(k.digest)+2 {
		return true // inline: costs nothing to visit again
	}
	copy(k.digest[:], hash[len(hash)-len(k.digest):])
	depth, ok := s.keys[k]
	if ok && (!s.shallow || int(depth) <= p.depth) {
		return false
	}
	if len(s.keys) < seenMax || ok {
		s.keys[k] = int32(p.depth)
	}
	return true
}
