package build

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
	"github.com/p2pnode/p2pnode/unixfs/shard"
)

// dirBuilder makes the block, or the HAMT, of one directory.
type dirBuilder struct {
	out     *batch
	profile Profile
	links   []codec.Link // of entries, named as they are
	mode    fs.FileMode
	modTime time.Time
}

func (d *dirBuilder) build(ctx context.Context) (unixfs.Link, error) {
	var root codec.Link
	var err error
	if d.size() > d.profile.ShardSize {
		root, err = d.sharded(ctx)
	} else {
		root, err = d.emit(ctx, d.plain())
	}
	return unixfs.Link{
		Cid: root.Cid, Tsize: root.Tsize, Type: unixfs.TypeDir,
		Mode: d.mode & codec.ModeMask, ModTime: d.modTime,
	}, err
}

// plain is the directory as one node.
func (d *dirBuilder) plain() codec.Node {
	return codec.Node{Type: codec.TypeDir, Links: d.links, Mode: d.mode, ModTime: d.modTime}
}

// size estimates the directory for the decision to shard, as IPIP-499 says.
func (d *dirBuilder) size() int {
	if !d.profile.ShardByLinks {
		n := d.plain()
		return n.EncodedSize()
	}
	sum := 0
	for _, l := range d.links {
		sum += len(l.Name) + l.Cid.ByteLen()
	}
	return sum
}

func (d *dirBuilder) emit(ctx context.Context, n codec.Node) (codec.Link, error) {
	b, err := block.New(n.Encode(), d.profile.node())
	if err != nil {
		return codec.Link{}, err
	}
	return codec.Link{Cid: b.Cid(), Tsize: n.Tsize(b.Size())}, d.out.add(ctx, b)
}

func (d *dirBuilder) sharded(ctx context.Context) (codec.Link, error) {
	w, err := shard.NewWidth(uint64(d.profile.ShardFanout))
	if err != nil {
		return codec.Link{}, fmt.Errorf("unixfs profile: %w", err)
	}
	names := make([]string, len(d.links))
	for i, l := range d.links {
		names[i] = l.Name
	}
	root, err := w.Build(names)
	if err != nil {
		return codec.Link{}, err
	}
	return d.shard(ctx, w, root, true)
}

// shard emits the nodes below n, then n. Only the root carries mode and mtime.
func (d *dirBuilder) shard(ctx context.Context, w shard.Width, n *shard.Node, root bool) (codec.Link, error) {
	node := codec.Node{
		Type: codec.TypeShard, Data: w.Field(n.Slots), HashType: shard.HashCode, Fanout: uint64(w.Fanout),
		Links: make([]codec.Link, len(n.Slots)),
	}
	if root {
		node.Mode, node.ModTime = d.mode, d.modTime
	}
	for i, slot := range n.Slots {
		var l codec.Link
		if below := n.Nodes[i]; below != nil {
			var err error
			if l, err = d.shard(ctx, w, below, false); err != nil {
				return codec.Link{}, err
			}
		} else {
			l = d.links[n.Items[i]]
		}
		l.Name = w.Prefix(slot) + l.Name
		node.Links[i] = l
	}
	return d.emit(ctx, node)
}
