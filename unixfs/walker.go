package unixfs

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Defaults of the limits that a caller may set.
const (
	WindowBlocksDefault = 1024
	WindowBytesDefault  = 32 << 20
	// LinksMaxDefault bounds a walk of a DAG that refers to itself so often
	// that it would never end.
	LinksMaxDefault = 1 << 28
	// BytesMaxDefault does the same for bytes of file: 64 TiB.
	BytesMaxDefault = 1 << 46
)

// WalkOptions limit a walk. The zero value works.
type WalkOptions struct {
	WindowBlocks int    // blocks in flight or waiting for the reader; default 1024
	WindowBytes  int64  // bytes of them; default 32 MiB
	LinksMax     uint64 // links followed in all; default 2^28
	BytesMax     uint64 // bytes of files handed out in all; default 64 TiB
}

func (o WalkOptions) walk() walkOptions {
	w := walkOptions{windowBlocks: o.WindowBlocks, windowBytes: o.WindowBytes, linksMax: o.LinksMax, grow: growUnixFS}
	if w.windowBlocks <= 0 {
		w.windowBlocks = WindowBlocksDefault
	}
	if w.windowBytes <= 0 {
		w.windowBytes = WindowBytesDefault
	}
	if w.linksMax == 0 {
		w.linksMax = LinksMaxDefault
	}
	return w
}

// Entry is a file, directory or symlink that a Walker has come to.
type Entry struct {
	Path string // from the root, separated by slashes; "" is the root itself
	Link
}

// Walker reads everything below a CID in depth-first order, like tar.Reader:
// Next goes to the next entry, Read gives the bytes of the current one (of a
// symlink: its target). Blocks are fetched ahead, across files and directories.
//
// It is not safe for concurrent use. Close must be called.
type Walker struct {
	w      *walk
	cancel context.CancelFunc
	buf    []byte // of the current block, not yet read
	open   bool   // the current entry may have more blocks
	left   uint64 // of BytesMax
	max    uint64
	err    error // what ended the walk
}

// NewWalker starts a walk at c, which ends with Close or ctx.
func NewWalker(ctx context.Context, g block.Getter, c cid.Cid, o WalkOptions) *Walker {
	ctx, cancel := context.WithCancel(ctx)
	w := &Walker{cancel: cancel, max: o.BytesMax}
	if w.max == 0 {
		w.max = BytesMaxDefault
	}
	w.left = w.max
	w.w = newWalk(ctx, g, rootPlace(c, kindEntry), o.walk())
	return w
}

func rootPlace(c cid.Cid, k kind) place {
	return place{cid: c, kind: k, to: math.MaxUint64, link: Link{Cid: c}}
}

// Next goes to the next entry, dropping what is left of the current one. It
// returns io.EOF at the end. Any other error is final: it is the first one in
// the order of the walk.
func (w *Walker) Next() (*Entry, error) {
	if w.err != nil {
		return nil, w.err
	}
	w.buf, w.open = nil, false
	w.w.skip(kindPart)
	it, err := w.entry()
	if err != nil {
		w.err = err
		return nil, err
	}
	if err := w.take(it.grown.data); err != nil {
		return nil, err
	}
	w.open = true
	return &Entry{Path: it.place.path, Link: it.grown.link}, nil
}

// entry passes over the HAMT nodes inside directories.
func (w *Walker) entry() (*item, error) {
	for {
		it, err := w.w.next()
		if err != nil {
			return nil, err
		}
		if it.err != nil {
			return nil, it.err
		}
		if it.kind == kindEntry {
			return it, nil
		}
	}
}

// Read reads from the current entry and returns io.EOF at its end.
func (w *Walker) Read(p []byte) (int, error) {
	if err := w.more(); err != nil {
		return 0, err
	}
	n := copy(p, w.buf)
	w.buf = w.buf[n:]
	return n, nil
}

// WriteTo writes what is left of the current entry, without copying it.
func (w *Walker) WriteTo(dst io.Writer) (int64, error) {
	total := int64(0)
	for {
		if err := w.more(); errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := dst.Write(w.buf)
		total += int64(n)
		w.buf = w.buf[n:]
		if err != nil {
			return total, err
		}
	}
}

// more sees to it that buf is not empty, or returns io.EOF.
func (w *Walker) more() error {
	for len(w.buf) == 0 {
		if w.err != nil {
			return w.err
		}
		if k, ok := w.w.front(); !w.open || !ok || k != kindPart {
			w.open = false
			return io.EOF
		}
		it, err := w.w.next()
		if err == nil {
			err = it.err
		}
		if err != nil {
			w.err = err
			return err
		}
		if err := w.take(it.grown.data); err != nil {
			return err
		}
	}
	return nil
}

// take makes data the current block, if there is any left of the budget.
func (w *Walker) take(data []byte) error {
	if w.left < uint64(len(data)) {
		w.err = &LimitError{What: "bytes of files", Max: w.max}
		return w.err
	}
	w.left -= uint64(len(data))
	w.buf = data
	return nil
}

// Close ends the walk and waits for what it started.
func (w *Walker) Close() error {
	w.cancel()
	w.w.wg.Wait()
	if w.err == nil {
		w.err = errClosed
	}
	return nil
}

var errClosed = errors.New("read from a closed walker")
