package directio

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// directAlign is what file offsets, lengths and buffers of direct writes are
	// multiples of, in bytes: a page, and the largest sector in use.
	directAlign = 4096
	// directMin is the least that is worth a direct write, in bytes.
	directMin = 1 << 20
	// directBuffer is how much is gathered for one direct write, in bytes.
	directBuffer = 4 << 20
)

// direct is a second handle of a file, for direct writes.
type direct struct {
	file *os.File // nil where the file system has no direct writes
	buf  []byte   // aligned; nil until it is needed
}

// open opens the file that f is, whatever its name is by now.
func (d *direct) open(f *os.File) {
	if again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|unix.O_DIRECT, 0); err == nil {
		d.file = again
	}
}

func (d *direct) close() error {
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}

// write writes size bytes of bufs at off.
func (w *Writer) write(bufs [][]byte, size, off int64) error {
	if w.direct.file == nil || size < directMin {
		return gather(w.file, bufs, off)
	}
	q := queue(bufs)
	if head := -off & (directAlign - 1); head > 0 {
		if err := gather(w.file, q.take(head), off); err != nil {
			return err
		}
		off, size = off+head, size-head
	}
	if w.direct.buf == nil {
		w.direct.buf = alignedBuffer(directBuffer)
	}
	for size >= directAlign {
		n := q.copyTo(w.direct.buf[:min(size, directBuffer)&^(directAlign-1)])
		if err := w.writeDirect(w.direct.buf[:n], off); err != nil {
			return err
		}
		off, size = off+int64(n), size-int64(n)
	}
	return gather(w.file, q.take(size), off)
}

// writeDirect falls back for good where the file system takes the flag at
// opening and refuses it here.
func (w *Writer) writeDirect(p []byte, off int64) error {
	if w.direct.file != nil {
		_, err := w.direct.file.WriteAt(p, off)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		w.direct.file.Close() // nothing was written by it
		w.direct.file = nil
	}
	_, err := w.file.WriteAt(p, off)
	return err
}

func alignedBuffer(size int) []byte {
	b := make([]byte, size+directAlign)
	skip := -uintptr(unsafe.Pointer(&b[0])) & (directAlign - 1)
	return b[skip:][:size:size]
}
