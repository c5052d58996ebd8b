package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

const (
	// batchBytes and batchBlocks are how much an add collects before it hands
	// blocks to the store, which syncs once for each batch.
	batchBytes  = 8 << 20
	batchBlocks = 1024
	// batchesInFlight is how many batches are being stored while the next is
	// collected; more would only cost memory.
	batchesInFlight = 2
)

// AddOptions says how to add. The zero value adds with the default profile and
// pins.
type AddOptions struct {
	// Profile decides chunk size, layout and CID version; the zero Profile
	// means build.V1_2025.
	Profile build.Profile

	// NoPin leaves the root without a pin: the next collection may take it.
	NoPin bool

	// Name is the name of the pin.
	Name string

	// OnlyHash computes CIDs and keeps nothing.
	OnlyHash bool

	// Progress, if not nil, is told of bytes that have been read.
	Progress func(bytes int)
}

// Adder adds files and directories by their paths. What it has written is safe
// from collection until Commit or Abort, one of which must be called. It is
// used by one goroutine at a time.
type Adder struct {
	node  *Node
	o     AddOptions
	build build.Options
	put   block.Putter
	batch *batch // nil with OnlyHash
	tree  *build.Tree
	root  unixfs.Link // set when the path "" was added
	lease *lease
}

// NewAdd starts an add.
func (n *Node) NewAdd(o AddOptions) *Adder {
	if o.Profile == (build.Profile{}) {
		o.Profile = build.V1_2025
	}
	a := &Adder{
		node:  n,
		o:     o,
		build: build.Options{Profile: o.Profile, Progress: o.Progress},
		lease: n.store.lease(),
	}
	if o.OnlyHash {
		a.put = discard{}
	} else {
		a.batch = &batch{node: n, lease: a.lease}
		a.batch.storing.SetLimit(batchesInFlight)
		a.put = a.batch
	}
	a.tree = build.NewTree(a.put, a.build)
	return a
}

// File adds the bytes of r at path. The path "" makes the file the root. Mode
// and mtime are kept in the DAG unless they are zero.
func (a *Adder) File(ctx context.Context, path string, r io.Reader, mode fs.FileMode, mtime time.Time) (unixfs.Link, error) {
	if path != "" {
		return a.tree.File(ctx, path, r, mode, mtime)
	}
	o := a.build
	o.Mode, o.ModTime = mode, mtime
	var err error
	a.root, err = build.File(ctx, a.put, r, o)
	return a.root, err
}

// Symlink adds a symbolic link to target at path.
func (a *Adder) Symlink(ctx context.Context, path, target string, mtime time.Time) (unixfs.Link, error) {
	if path != "" {
		return a.tree.Symlink(ctx, path, target, mtime)
	}
	o := a.build
	o.ModTime = mtime
	var err error
	a.root, err = build.Symlink(ctx, a.put, target, o)
	return a.root, err
}

// Dir adds a directory, which needs it only if it is empty or has a mode or
// mtime to keep.
func (a *Adder) Dir(path string, mode fs.FileMode, mtime time.Time) error {
	return a.tree.Dir(path, mode, mtime)
}

// Commit builds the directories, tells visit of each, and returns the root.
// When it returns without error, every block is on disk, then the pin, then the
// order to provide the root.
func (a *Adder) Commit(ctx context.Context, visit func(path string, l unixfs.Link)) (unixfs.Link, error) {
	defer a.Abort()
	root := a.root
	if !root.Cid.Defined() {
		var err error
		if root, err = a.tree.Finish(ctx, visit); err != nil {
			return unixfs.Link{}, err
		}
	}
	if a.o.OnlyHash {
		return root, nil
	}
	if err := a.batch.flush(ctx); err != nil {
		return unixfs.Link{}, fmt.Errorf("store %s: %w", root.Cid, err)
	}
	if !a.o.NoPin {
		if err := a.node.pins.put(ctx, Pin{Cid: root.Cid, Name: a.o.Name, Created: time.Now().UTC()}); err != nil {
			return unixfs.Link{}, fmt.Errorf("pin %s: %w", root.Cid, err)
		}
	}
	if err := a.node.provide(ctx, root.Cid); err != nil {
		return unixfs.Link{}, err
	}
	return root, nil
}

// Abort gives up what was not committed; the blocks are garbage then. After
// Commit it does nothing.
func (a *Adder) Abort() {
	if a.batch != nil {
		_ = a.batch.storing.Wait() // the writes must not outlive the lease
	}
	a.node.store.release(a.lease)
}

// Add adds the bytes of r as a file.
func (n *Node) Add(ctx context.Context, r io.Reader, o AddOptions) (unixfs.Link, error) {
	a := n.NewAdd(o)
	if _, err := a.File(ctx, "", r, 0, time.Time{}); err != nil {
		a.Abort()
		return unixfs.Link{}, err
	}
	return a.Commit(ctx, nil)
}

// discard is the Putter of an add that only hashes.
type discard struct{}

func (discard) Put(context.Context, ...block.Block) error { return nil }

// batch is the Putter of an add: it collects blocks and stores many at once,
// beside the reading and hashing of the next. An error of the store is
// returned by the first call that can.
type batch struct {
	node  *Node
	lease *lease

	blocks  []block.Block
	bytes   int
	storing errgroup.Group

	mu  sync.Mutex // guards the following field
	err error
}

func (b *batch) Put(ctx context.Context, blocks ...block.Block) error {
	for _, x := range blocks {
		b.blocks = append(b.blocks, x)
		b.bytes += x.Size()
		if b.bytes >= batchBytes || len(b.blocks) >= batchBlocks {
			b.send(ctx)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// send waits while too many batches are being stored: the back-pressure of an
// add on its reader.
func (b *batch) send(ctx context.Context) {
	blocks := b.blocks
	b.blocks, b.bytes = nil, 0
	if len(blocks) == 0 {
		return
	}
	b.storing.Go(func() error {
		err := b.node.store.putLeased(ctx, b.lease, blocks)
		if err != nil {
			b.mu.Lock()
			b.err = errors.Join(b.err, err)
			b.mu.Unlock()
			return err
		}
		b.node.announce(blocks)
		return nil
	})
}

// flush returns when everything is stored.
func (b *batch) flush(ctx context.Context) error {
	b.send(ctx)
	if err := b.storing.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// announce tells peers that were waiting for blocks that they are here.
func (n *Node) announce(blocks []block.Block) {
	if n.exchange == nil {
		return
	}
	cids := make([]cid.Cid, len(blocks))
	for i, b := range blocks {
		cids[i] = b.Cid()
	}
	n.exchange.Announce(cids...)
}

// provide orders that the network learns who has the roots; the order is on
// disk when it returns. An offline node leaves it to the next start: pinned
// roots are provided then.
func (n *Node) provide(ctx context.Context, roots ...cid.Cid) error {
	if n.dht == nil {
		return nil
	}
	if n.readOnly {
		return fmt.Errorf("provide %s: %w", roots[0], ErrReadOnly)
	}
	if err := n.dht.Provide(ctx, roots...); err != nil {
		return fmt.Errorf("provide %s: %w", roots[0], err)
	}
	return nil
}
