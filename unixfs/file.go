package unixfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Read-ahead of a File in bytes: a reader that has shown that it goes on is
// given more. The first step is small so that a look at a part costs little.
const (
	readAheadMin = 2 << 20
	readAheadMax = 32 << 20
)

// File reads one file: in order, from any offset, or at many offsets at once.
// Blocks are fetched ahead of a reader that goes on in order. Apart from ReadAt,
// it is not safe for concurrent use. Close must be called.
type File struct {
	link   Link
	start  func(from, to uint64, window int64) (*walk, context.CancelFunc)
	cancel context.CancelFunc
	wg     sync.WaitGroup // walks that have been left behind

	w      *walk // from the current offset on; nil before the first Read
	stop   context.CancelFunc
	window int64
	since  int64  // bytes read since the window last grew
	buf    []byte // of the current block, not yet read
	offset int64
	err    error
}

// Open opens the file at c, of which it gets the first block. It fails with a
// *NotFileError on anything else. The file ends with Close or with ctx.
func Open(ctx context.Context, g block.Getter, c cid.Cid) (*File, error) {
	root := rootPlace(c, kindEntry)
	b, err := getBlock(ctx, g, root)
	if err != nil {
		return nil, err
	}
	n, err := growUnixFS(root, b)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if n.link.Type != TypeFile {
		return nil, &NotFileError{Cid: c, Type: n.link.Type}
	}
	fileCtx, cancel := context.WithCancel(ctx)
	f := &File{link: n.link, cancel: cancel}
	first := held{b, g}
	f.start = func(from, to uint64, window int64) (*walk, context.CancelFunc) {
		walkCtx, stop := context.WithCancel(fileCtx)
		o := WalkOptions{WindowBytes: window}.walk()
		p := root
		p.from, p.to = from, to
		return newWalk(walkCtx, first, p, o), stop
	}
	return f, nil
}

// held is a getter that has one block at hand.
type held struct {
	b block.Block
	g block.Getter
}

func (h held) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if c.Equals(h.b.Cid()) {
		return h.b, nil
	}
	return h.g.Get(ctx, c)
}

// Prefetch passes on what will be needed soon.
func (h held) Prefetch(ctx context.Context, cids ...cid.Cid) {
	if p, ok := h.g.(block.Prefetcher); ok {
		p.Prefetch(ctx, cids...)
	}
}

// Link returns what is known about the file.
func (f *File) Link() Link { return f.link }

// Size returns the bytes of the file.
func (f *File) Size() int64 { return int64(f.link.Size) }

// Read reads on from the current offset.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.more(); err != nil {
		return 0, err
	}
	n := copy(p, f.buf)
	f.advance(n)
	return n, nil
}

// WriteTo writes everything from the current offset on, without copying it.
func (f *File) WriteTo(dst io.Writer) (int64, error) {
	total := int64(0)
	for {
		if err := f.more(); errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := dst.Write(f.buf)
		f.advance(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

func (f *File) advance(n int) {
	f.buf = f.buf[n:]
	f.offset += int64(n)
	f.since += int64(n)
	if f.since >= f.window && f.window < readAheadMax {
		f.since, f.window = 0, min(2*f.window, readAheadMax)
		f.w.setWindow(f.window)
	}
}

// more sees to it that buf is not empty, or returns io.EOF.
func (f *File) more() error {
	if f.err != nil {
		return f.err
	}
	if f.offset >= f.Size() {
		return io.EOF
	}
	if f.w == nil {
		f.window, f.since = readAheadMin, 0
		f.w, f.stop = f.start(uint64(f.offset), f.link.Size, f.window)
	}
	for len(f.buf) == 0 {
		it, err := f.w.next()
		if err == nil {
			err = it.err
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // sizes are checked, so this is ours
		}
		if err != nil {
			f.err = fmt.Errorf("read file: %w", err)
			return f.err
		}
		f.buf = it.grown.data
	}
	return nil
}

// Seek sets the offset of the next Read. Only nodes on the way are fetched.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.Size()
	default:
		return 0, errWhence
	}
	if offset < 0 {
		return 0, errOffset
	}
	if ahead := offset - f.offset; ahead >= 0 && ahead <= int64(len(f.buf)) {
		f.buf = f.buf[ahead:]
	} else {
		f.leave()
	}
	f.offset = offset
	return offset, nil
}

var (
	errWhence = errors.New("seek file: unknown whence")
	errOffset = errors.New("seek file: offset is negative")
)

// leave ends the walk under way, if any, without waiting for it.
func (f *File) leave() {
	if f.w == nil {
		return
	}
	w := f.w
	f.stop()
	f.w, f.buf = nil, nil
	f.wg.Go(w.wg.Wait)
}

// ReadAt reads len(p) bytes from an offset, or returns io.EOF at the end of the
// file. It is safe for concurrent use, but not with Close.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, errOffset
	}
	if offset >= f.Size() {
		return 0, io.EOF
	}
	to := min(uint64(offset)+uint64(len(p)), f.link.Size)
	w, stop := f.start(uint64(offset), to, readAheadMax)
	defer w.wg.Wait()
	defer stop()
	n := 0
	for n < int(to-uint64(offset)) {
		it, err := w.next()
		if err == nil {
			err = it.err
		}
		if err != nil {
			return n, fmt.Errorf("read file: %w", err)
		}
		n += copy(p[n:], it.grown.data)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close ends the file and waits for what it started.
func (f *File) Close() error {
	f.cancel()
	f.leave()
	f.wg.Wait()
	if f.err == nil {
		f.err = errFileClosed
	}
	return nil
}

var errFileClosed = errors.New("read from a closed file")
