// Package blockstore says what a store of blocks promises, and has the simplest
// one, Mem.
//
// It is not durable storage (see blockstore/disk) and knows no network. Every
// store must pass storetest.Run.
//
// Invariant: a store returns a block or an error, never bytes that do not hash
// to the CID they were asked by.
package blockstore

import (
	"context"
	"iter"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Store keeps blocks by their multihash: CIDs that differ only in version or
// codec name the same bytes, and Get answers with the CID it was asked by.
//
// Identity CIDs carry their block inside themselves: Get and Size always answer
// them, Put and Delete accept and ignore them, and All does not list them.
//
// All methods are safe for concurrent use. They fail with the context's error
// when it has ended, and on CIDs that block.Check refuses, except that Delete
// ignores these.
type Store interface {
	// Get returns the block, or an error that is block.ErrNotFound.
	block.Getter

	// Put keeps all blocks. When it returns nil they are as durable as the
	// store can make them. Blocks that are held already cost nothing.
	block.Putter

	// Size returns the number of bytes of a block without reading it, or an
	// error that is block.ErrNotFound.
	Size(ctx context.Context, c cid.Cid) (int, error)

	// Delete forgets blocks; those that are not there are no error.
	Delete(ctx context.Context, cids ...cid.Cid) error

	// All yields the CID of every block that was there when the loop started
	// and was not deleted since, in no order and under the CID that it was first
	// put by. Blocks put meanwhile may or may not appear. The loop may call the
	// store's other methods, Delete included. An error is yielded once, last, and means that the listing is
	// not complete; without one it is.
	All(ctx context.Context) iter.Seq2[cid.Cid, error]
}
