package unixfs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/shard"
)

// Resolve follows p and returns what it leads to, whose first block it gets. It
// fails with a *NoLinkError where an entry is missing and with a *NotDirError
// where the path goes on below a file. Symlinks are not followed.
func Resolve(ctx context.Context, g block.Getter, p Path) (Link, error) {
	l := Link{Cid: p.Root}
	for i := 0; ; i++ {
		at := place{cid: l.Cid, kind: kindEntry, path: p.upTo(i), to: math.MaxUint64, link: l}
		b, err := getBlock(ctx, g, at)
		if err != nil {
			return Link{}, err
		}
		if i == len(p.Segments) {
			at.kind = kindStat
			found, err := growUnixFS(at, b)
			if err != nil {
				return Link{}, fmt.Errorf("resolve %s: %w", p, err)
			}
			return found.link, nil
		}
		child, err := lookUp(ctx, g, at, b, p.Segments[i])
		if errors.Is(err, errNoEntry) {
			return Link{}, &NoLinkError{Cid: l.Cid, Name: p.Segments[i], Path: p.upTo(i + 1)}
		}
		if err != nil {
			return Link{}, err
		}
		l = child
	}
}

// errNoEntry is how lookUp says that there is none.
var errNoEntry = errors.New("no entry of this name")

// getBlock gets the block at p, under the very CID that p has.
func getBlock(ctx context.Context, g block.Getter, p place) (block.Block, error) {
	if b, ok := block.Inline(p.cid); ok {
		return b, nil
	}
	b, err := g.Get(ctx, p.cid)
	if err == nil && !b.Cid().Equals(p.cid) {
		err = fmt.Errorf("the getter answered with %s", b.Cid())
	}
	if err != nil {
		return block.Block{}, missing(p, err)
	}
	return b, nil
}

// missing says of what a block could not be had. Which block it was, an error
// that is block.ErrNotFound says itself.
func missing(p place, err error) error {
	name := p.path
	if name == "" || strings.HasSuffix(name, p.cid.String()) {
		if errors.Is(err, block.ErrNotFound) {
			return err
		}
		name = p.cid.String()
	}
	return fmt.Errorf("get %s: %w", name, err)
}

// lookUp finds an entry of the directory whose first block is b. In a HAMT it
// gets only the nodes on the way.
func lookUp(ctx context.Context, g block.Getter, at place, b block.Block, name string) (Link, error) {
	path, hash := at.path, shard.Hash(name)
	for {
		at.path = "" // entries need not carry it
		n, err := growUnixFS(at, b)
		if err != nil {
			return Link{}, fmt.Errorf("resolve %s: %w", path, err)
		}
		if n.link.Type != TypeDir && at.kind == kindEntry {
			return Link{}, &NotDirError{Cid: at.cid, Path: path}
		}
		child, err := pick(n, name, hash)
		if err != nil {
			return Link{}, err
		}
		if child.kind == kindEntry {
			return child.link, nil
		}
		at = child
		at.path = path
		if b, err = getBlock(ctx, g, at); err != nil {
			return Link{}, err
		}
	}
}

// pick finds, among the children of a directory or a HAMT node, the entry of
// this name or the node where it would be.
func pick(n grown, name string, hash uint64) (place, error) {
	for range n.links {
		child, err := n.next()
		switch {
		case child.kind == kindShard && err == nil && !child.holds(hash):
		case child.kind == kindEntry && child.link.Name != name:
		case err != nil:
			return place{}, err
		default:
			return child, nil
		}
	}
	return place{}, errNoEntry
}

// holds tells whether a name of this hash belongs below a HAMT node.
func (p *place) holds(hash uint64) bool {
	w, err := shard.NewWidth(uint64(p.width))
	return err == nil && w.Share(hash, p.level) == p.hash
}

// Stat returns what c is, from its first block.
func Stat(ctx context.Context, g block.Getter, c cid.Cid) (Link, error) {
	return Resolve(ctx, g, Path{Root: c})
}
