package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// firstReadSize is the first buffer for a file of unknown size, in bytes: most
// files are small, and a full chunk for each would cost more than hashing it.
const firstReadSize = 4 << 10

// chunksPerCore bounds the chunks in flight: one being hashed, one waiting.
const chunksPerCore = 2

// File reads r to its end and puts the blocks of the file, leaves first.
// When it returns without an error, p has kept all of them.
//
// A mode or a modification time cannot be recorded in a raw leaf, so a file of
// one chunk that has them becomes a dag-pb leaf under every profile.
func File(ctx context.Context, p block.Putter, r io.Reader, o Options) (unixfs.Link, error) {
	out := newBatch(p)
	l, err := buildFile(ctx, out, r, o)
	if err != nil {
		out.drop()
		return unixfs.Link{}, err
	}
	if err := out.flush(ctx); err != nil {
		return unixfs.Link{}, fmt.Errorf("put blocks of file: %w", err)
	}
	return l, nil
}

func buildFile(ctx context.Context, out *batch, r io.Reader, o Options) (unixfs.Link, error) {
	o.Profile = o.Profile.orDefault()
	if err := o.Profile.check(); err != nil {
		return unixfs.Link{}, err
	}
	first, err := readFirst(r, o.Profile.ChunkSize)
	if err != nil {
		return unixfs.Link{}, fmt.Errorf("read file: %w", err)
	}
	f := fileBuilder{stopped: func() error { return context.Cause(ctx) }, o: o}
	if len(first) < o.Profile.ChunkSize {
		return f.small(ctx, out, first)
	}
	return f.large(ctx, out, r, first)
}

// readFirst reads at most size bytes, starting with a small buffer.
func readFirst(r io.Reader, size int) ([]byte, error) {
	buf := make([]byte, min(firstReadSize, size))
	n := 0
	for {
		m, err := io.ReadFull(r, buf[n:])
		n += m
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return append(make([]byte, 0, n), buf[:n]...), nil // the block keeps it: waste nothing
		}
		if err != nil || n == size {
			return buf[:n], err
		}
		grown := make([]byte, min(8*len(buf), size))
		copy(grown, buf)
		buf = grown
	}
}

// fileBuilder makes the blocks of one file.
type fileBuilder struct {
	stopped func() error // why to stop, if at all
	o       Options
	levels  []level
}

// level is the node being filled at one height above the leaves.
type level struct {
	links []codec.Link
	sizes []uint64
}

// part is a finished subtree.
type part struct {
	link codec.Link
	size uint64 // bytes of file in it
}

// small builds a file that fits one chunk.
func (f *fileBuilder) small(ctx context.Context, out *batch, data []byte) (unixfs.Link, error) {
	if err := f.stopped(); err != nil {
		return unixfs.Link{}, err
	}
	b, err := f.leaf(data, true)
	if err != nil {
		return unixfs.Link{}, err
	}
	f.progress(len(data))
	root := part{codec.Link{Cid: b.Cid(), Tsize: uint64(b.Size())}, uint64(len(data))}
	return f.link(root), out.add(ctx, b)
}

// leaf names a chunk; only says that it is the whole file.
func (f *fileBuilder) leaf(data []byte, only bool) (block.Block, error) {
	stat := only && (f.o.Mode&codec.ModeMask != 0 || !f.o.ModTime.IsZero())
	if !f.o.Profile.V0 && !stat {
		return block.New(data, f.o.Profile.leaf())
	}
	n := codec.Node{Type: codec.TypeFile, Data: data, Size: uint64(len(data)), HasSize: true}
	if len(data) == 0 {
		n.Data = nil
	}
	if stat {
		n.Mode, n.ModTime = f.o.Mode, f.o.ModTime
	}
	return block.New(n.Encode(), f.o.Profile.node())
}

// hashing is a chunk on its way through a core.
type hashing struct {
	size  int
	block block.Block
	err   error
	done  chan struct{}
}

// large builds a file of at least one whole chunk. Chunks are read here, hashed
// on all cores, and taken up again in order.
func (f *fileBuilder) large(ctx context.Context, out *batch, r io.Reader, chunk []byte) (unixfs.Link, error) {
	flightMax := chunksPerCore * runtime.GOMAXPROCS(0)
	flight := make([]*hashing, 0, flightMax)
	defer func() {
		for _, h := range flight {
			<-h.done
		}
	}()
	leaves := 0
	for eof := false; ; {
		next, err := []byte(nil), f.stopped()
		if err == nil && !eof {
			next, err = readChunk(r, f.o.Profile.ChunkSize)
		}
		if err != nil {
			return unixfs.Link{}, fmt.Errorf("read file: %w", err)
		}
		eof = len(next) < f.o.Profile.ChunkSize
		if len(chunk) > 0 {
			only := leaves == 0 && len(next) == 0
			flight = append(flight, f.hash(chunk, only))
			leaves++
		}
		chunk = next
		for len(flight) == flightMax || len(flight) > 0 && len(chunk) == 0 {
			h := flight[0]
			flight = flight[1:]
			<-h.done
			if err := f.take(ctx, out, h); err != nil {
				return unixfs.Link{}, err
			}
		}
		if len(chunk) == 0 {
			break
		}
	}
	root, err := f.finish(ctx, out)
	return f.link(root), err
}

func readChunk(r io.Reader, size int) ([]byte, error) {
	buf := make([]byte, size)
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if n < size {
		buf = append(make([]byte, 0, n), buf[:n]...)
	}
	return buf, err
}

func (f *fileBuilder) hash(chunk []byte, only bool) *hashing {
	h := &hashing{size: len(chunk), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		h.block, h.err = f.leaf(chunk, only)
	}()
	return h
}

// take emits a leaf and hangs it into the tree.
func (f *fileBuilder) take(ctx context.Context, out *batch, h *hashing) error {
	if h.err != nil {
		return h.err
	}
	f.progress(h.size)
	if err := out.add(ctx, h.block); err != nil {
		return fmt.Errorf("put block of file: %w", err)
	}
	leaf := part{codec.Link{Cid: h.block.Cid(), Tsize: uint64(h.block.Size())}, uint64(h.size)}
	return f.push(ctx, out, 0, leaf)
}

// push hangs p into level i. A full level is closed only when it has to make
// room, so that what remains at the end is the right edge of the tree.
func (f *fileBuilder) push(ctx context.Context, out *batch, i int, p part) error {
	if i == len(f.levels) {
		f.levels = append(f.levels, level{})
	}
	if len(f.levels[i].links) == f.o.Profile.LinksMax {
		full, err := f.close(ctx, out, i, false)
		if err != nil {
			return err
		}
		if err := f.push(ctx, out, i+1, full); err != nil {
			return err
		}
	}
	f.levels[i].links = append(f.levels[i].links, p.link)
	f.levels[i].sizes = append(f.levels[i].sizes, p.size)
	return nil
}

// close emits the node at level i and empties the level.
func (f *fileBuilder) close(ctx context.Context, out *batch, i int, root bool) (part, error) {
	l := &f.levels[i]
	n := codec.Node{Type: codec.TypeFile, HasSize: true, BlockSizes: l.sizes, Links: l.links}
	for _, s := range l.sizes {
		n.Size += s
	}
	if root {
		n.Mode, n.ModTime = f.o.Mode, f.o.ModTime
	}
	b, err := block.New(n.Encode(), f.o.Profile.node())
	if err != nil {
		return part{}, err
	}
	p := part{codec.Link{Cid: b.Cid(), Tsize: n.Tsize(b.Size())}, n.Size}
	l.links, l.sizes = l.links[:0], l.sizes[:0]
	return p, out.add(ctx, b)
}

// finish closes the right edge of the tree from the leaves up.
func (f *fileBuilder) finish(ctx context.Context, out *batch) (part, error) {
	if top := f.levels[0]; len(f.levels) == 1 && len(top.links) == 1 {
		return part{top.links[0], top.sizes[0]}, nil // a single leaf is the file
	}
	for i := 0; ; i++ {
		root := i == len(f.levels)-1
		p, err := f.close(ctx, out, i, root)
		if err != nil || root {
			return p, err
		}
		if err := f.push(ctx, out, i+1, p); err != nil {
			return part{}, err
		}
	}
}

func (f *fileBuilder) progress(bytes int) {
	if f.o.Progress != nil {
		f.o.Progress(bytes)
	}
}

func (f *fileBuilder) link(root part) unixfs.Link {
	return unixfs.Link{
		Cid: root.link.Cid, Tsize: root.link.Tsize, Size: root.size, Type: unixfs.TypeFile,
		Mode: f.o.Mode & codec.ModeMask, ModTime: f.o.ModTime,
	}
}
