package unixfs

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// List yields the entries of a directory, sharded or not, in the order in which
// they are stored. The first block of each entry is got, ahead of the loop, for
// its type and size; raw leaves need none.
//
// An error together with a link that has a name is about this entry alone, and
// the list goes on: the name is not a lawful one, or the block was not found.
// Any other error comes last.
func List(ctx context.Context, g block.Getter, c cid.Cid) iter.Seq2[Link, error] {
	return list(ctx, g, c, growStat)
}

// Names is List without getting the entries: of these only name, CID and Tsize
// are known.
func Names(ctx context.Context, g block.Getter, c cid.Cid) iter.Seq2[Link, error] {
	return list(ctx, g, c, growName)
}

func list(ctx context.Context, g block.Getter, c cid.Cid, grow func(place, block.Block) (grown, error)) iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		o := WalkOptions{}.walk()
		o.grow = grow
		w := newWalk(ctx, g, rootPlace(c, kindEntry), o)
		defer w.wg.Wait()
		defer cancel()
		for {
			it, err := w.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Link{}, err)
				return
			case it.place.link.Name != "":
				l := it.place.link
				if it.err == nil {
					l = it.grown.link
				}
				if !yield(l, it.err) {
					return
				}
			case it.err != nil:
				yield(Link{}, it.err)
				return
			}
		}
	}
}

// growStat makes the root a directory whose entries are not descended into.
func growStat(p place, b block.Block) (grown, error) {
	return growList(p, b, func(child *place) {
		child.kind = kindStat
		if child.cid.Type() == cid.Raw {
			child.known = true
			child.link.Type, child.link.Size = TypeFile, child.link.Tsize
		}
	})
}

func growName(p place, b block.Block) (grown, error) {
	return growList(p, b, func(child *place) { child.known = true })
}

func growList(p place, b block.Block, change func(entry *place)) (grown, error) {
	g, err := growUnixFS(p, b)
	if err != nil || p.kind == kindStat {
		return g, err
	}
	if p.kind == kindEntry && g.link.Type != TypeDir {
		return g, &NotDirError{Cid: p.cid, Path: "/ipfs/" + p.cid.String()}
	}
	next := g.next
	g.next = func() (place, error) {
		child, err := next()
		if child.kind == kindEntry {
			change(&child)
		}
		return child, err
	}
	return g, nil
}
