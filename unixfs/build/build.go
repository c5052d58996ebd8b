// Package build turns files and directories into DAGs of blocks.
//
// File cuts a file into chunks, names them on all cores, and piles balanced
// nodes on top until one root is left. Tree does so for everything below a
// directory; directories are lists of named links, split into a HAMT when one
// block would grow too large. A Profile has every choice that decides which CID
// comes out.
//
// It is not a store: blocks go to a block.Putter, in batches. It has no clock.
// It starts goroutines to hash and to put, and waits for them before it returns;
// a Tree that is not finished must be aborted.
//
// Invariant: with the same Profile and the same content the root CID equals the
// one that Kubo gives, byte for byte. What is put can be read by package unixfs.
//
// Sources: the UnixFS specification (https://specs.ipfs.tech/unixfs/), IPIP-499
// for the profiles.
package build

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// Options say how a DAG is built. The zero value works.
type Options struct {
	Profile  Profile         // default V1_2025
	Mode     fs.FileMode     // permission bits to record; default 0, none
	ModTime  time.Time       // to record; default zero, none
	Progress func(bytes int) // called with the bytes of file just taken in; default nil
}

// Symlink puts a symbolic link to target. Only a modification time is
// recorded with it, as in Kubo.
func Symlink(ctx context.Context, p block.Putter, target string, o Options) (unixfs.Link, error) {
	out := newBatch(p)
	l, err := buildSymlink(ctx, out, target, o)
	if err != nil {
		return unixfs.Link{}, err
	}
	if err := out.flush(ctx); err != nil {
		return unixfs.Link{}, fmt.Errorf("put symlink: %w", err)
	}
	return l, nil
}

func buildSymlink(ctx context.Context, out *batch, target string, o Options) (unixfs.Link, error) {
	n := codec.Node{Type: codec.TypeSymlink, Data: []byte(target), ModTime: o.ModTime}
	b, err := block.New(n.Encode(), o.Profile.orDefault().node())
	if err != nil {
		return unixfs.Link{}, err
	}
	l := unixfs.Link{
		Cid: b.Cid(), Tsize: uint64(b.Size()), Size: uint64(len(target)),
		Type: unixfs.TypeSymlink, ModTime: o.ModTime,
	}
	return l, out.add(ctx, b)
}
