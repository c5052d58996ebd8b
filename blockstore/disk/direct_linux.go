package disk

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Direct writes go around the page cache. What is synced at once gains nothing
// from a copy there; making one costs up to a processor second per GiB, and
// drives out of memory what other programs need.
const (
	// directAlign is what file offsets, lengths and buffers of direct writes are
	// multiples of, in bytes: a page, and the largest sector in use.
	directAlign = 4096
	// directMin is the least that is worth a direct write, in bytes.
	directMin = 1 << 20
	// directBuffer is how much is gathered for one direct write, in bytes.
	directBuffer = 4 << 20
)

// directWriter writes the aligned middle of a stretch directly, and its ends,
// which share their pages with neighbours, through the page cache. The two never
// meet in one page at the same time: a page is filled up through the cache
// before direct writes begin behind it.
type directWriter struct {
	file   *os.File // through the page cache
	direct *os.File // nil where the file system has no direct writes
	buf    []byte   // aligned; nil until it is needed
}

func newDirectWriter(f *os.File) *directWriter {
	w := &directWriter{file: f}
	if d, err := os.OpenFile(f.Name(), os.O_WRONLY|unix.O_DIRECT, 0); err == nil {
		w.direct = d
	}
	return w
}

// close closes the second handle; the first is its owner's.
func (w *directWriter) close() {
	if w.direct != nil {
		w.direct.Close() // synced through the first handle: nothing to lose
	}
}

// writeAllAt writes bufs, of size bytes in all, one after the other at off. It
// changes bufs.
func (w *directWriter) writeAllAt(bufs [][]byte, size, off int64) error {
	if w.direct == nil || size < directMin {
		return writeAllAt(w.file, bufs, off)
	}
	q := queue(bufs)
	if head := -off & (directAlign - 1); head > 0 {
		if err := writeAllAt(w.file, q.take(head), off); err != nil {
			return err
		}
		off, size = off+head, size-head
	}
	if w.buf == nil {
		w.buf = alignedBuffer(directBuffer)
	}
	for size >= directAlign {
		n := q.copyTo(w.buf[:min(size, directBuffer)&^(directAlign-1)])
		if err := w.writeDirect(w.buf[:n], off); err != nil {
			return err
		}
		off, size = off+int64(n), size-int64(n)
	}
	return writeAllAt(w.file, q.take(size), off)
}

// writeDirect falls back for good where the file system takes the flag at
// opening and refuses it here.
func (w *directWriter) writeDirect(p []byte, off int64) error {
	if w.direct != nil {
		_, err := w.direct.WriteAt(p, off)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		w.close()
		w.direct = nil
	}
	_, err := w.file.WriteAt(p, off)
	return err
}

// queue is bytes that are still to be written.
type queue [][]byte

// take removes the first n bytes.
func (q *queue) take(n int64) [][]byte {
	var out [][]byte
	for n > 0 {
		b := (*q)[0]
		if int64(len(b)) > n {
			(*q)[0] = b[n:]
			return append(out, b[:n])
		}
		out = append(out, b)
		n -= int64(len(b))
		*q = (*q)[1:]
	}
	return out
}

// copyTo moves bytes into p until it is full, and returns how many.
func (q *queue) copyTo(p []byte) int {
	n := 0
	for n < len(p) && len(*q) > 0 {
		c := copy(p[n:], (*q)[0])
		n += c
		if (*q)[0] = (*q)[0][c:]; len((*q)[0]) == 0 {
			*q = (*q)[1:]
		}
	}
	return n
}

func alignedBuffer(size int) []byte {
	b := make([]byte, size+directAlign)
	skip := -uintptr(unsafe.Pointer(&b[0])) & (directAlign - 1)
	return b[skip:][:size:size]
}
