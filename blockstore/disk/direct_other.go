//go:build !linux

package disk

import "os"

// directWriter is plain writing where there are no direct writes.
type directWriter struct{ file *os.File }

func newDirectWriter(f *os.File) *directWriter { return &directWriter{file: f} }

func (w *directWriter) close() {}

// writeAllAt writes bufs, of size bytes in all, one after the other at off.
func (w *directWriter) writeAllAt(bufs [][]byte, _, off int64) error {
	return writeAllAt(w.file, bufs, off)
}
