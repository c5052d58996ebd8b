package unixfs

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/shard"
)

// dirBuilder makes the block, or the HAMT, of one directory.
type dirBuilder struct {
	out     *batch
	profile Profile
	links   []pbLink // of entries, named as they are
	mode    fs.FileMode
	modTime time.Time
}

func (d *dirBuilder) build(ctx context.Context) (Link, error) {
	var root pbLink
	var err error
	if d.size() > d.profile.ShardSize {
		root, err = d.sharded(ctx)
	} else {
		n := fsNode{typ: nodeDir, mode: d.mode, modTime: d.modTime}
		root, err = d.emit(ctx, pbNode{links: d.links, data: n.encode()})
	}
	return Link{
		Cid: root.cid, Tsize: root.tsize, Type: TypeDir,
		Mode: goMode(unixMode(d.mode)), ModTime: d.modTime,
	}, err
}

// size estimates the directory for the decision to shard, as IPIP-499 says.
func (d *dirBuilder) size() int {
	sum := 0
	if d.profile.ShardByLinks {
		for _, l := range d.links {
			sum += len(l.name) + l.cid.ByteLen()
		}
		return sum
	}
	n := fsNode{typ: nodeDir, mode: d.mode, modTime: d.modTime}
	sum = 1 + protowire.SizeBytes(len(n.encode()))
	for _, l := range d.links {
		sum += l.size()
	}
	return sum
}

func (d *dirBuilder) emit(ctx context.Context, n pbNode) (pbLink, error) {
	b, err := block.New(n.encode(), d.profile.node())
	if err != nil {
		return pbLink{}, err
	}
	return pbLink{cid: b.Cid(), tsize: n.tsize(b.Size())}, d.out.add(ctx, b)
}

func (d *dirBuilder) sharded(ctx context.Context) (pbLink, error) {
	w, err := shard.NewWidth(uint64(d.profile.ShardFanout))
	if err != nil {
		return pbLink{}, fmt.Errorf("unixfs profile: %w", err)
	}
	names := make([]string, len(d.links))
	for i, l := range d.links {
		names[i] = l.name
	}
	root, err := w.Build(names)
	if err != nil {
		return pbLink{}, err
	}
	return d.shard(ctx, w, root, true)
}

// shard emits the nodes below n, then n. Only the root carries mode and mtime.
func (d *dirBuilder) shard(ctx context.Context, w shard.Width, n *shard.Node, root bool) (pbLink, error) {
	f := fsNode{typ: nodeShard, data: w.Field(n.Slots), hashType: shard.HashCode, fanout: uint64(w.Fanout)}
	if root {
		f.mode, f.modTime = d.mode, d.modTime
	}
	node := pbNode{data: f.encode(), links: make([]pbLink, len(n.Slots))}
	for i, slot := range n.Slots {
		var l pbLink
		if below := n.Nodes[i]; below != nil {
			var err error
			if l, err = d.shard(ctx, w, below, false); err != nil {
				return pbLink{}, err
			}
		} else {
			l = d.links[n.Items[i]]
		}
		l.name = w.Prefix(slot) + l.name
		node.links[i] = l
	}
	return d.emit(ctx, node)
}
